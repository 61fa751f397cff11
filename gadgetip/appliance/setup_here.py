"""Setting this machine up as a board, and taking that back."""

from collections.abc import Iterable
from pathlib import Path

from gadgetip.appliance.applying import ROOT, apply_changes, below
from gadgetip.appliance.changes import Change, RemoveFile, WriteFile
from gadgetip.appliance.setup_plan import (
    CONFIGURATION,
    MODULES,
    RADIO,
    FileChange,
    SystemFacts,
    Undoing,
    obstacle,
    plan_setup,
    plan_undo,
)
from gadgetip.appliance.setup_record import MAX_BYTES, format_record, merge, parse_record
from gadgetip.diagnosis.kernel_texts import parse_device_tree_text
from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.supervisor.board_config import IMAGE_FILE

RECORD = "/var/lib/gadgetip/setup.json"
MODEL = "/proc/device-tree/model"
CONFIG_TXT = ("/boot/firmware/config.txt", "/boot/config.txt")
RASPBERRY_PI_OS = ("/etc/rpi-issue",)
"""What Raspberry Pi OS has and Debian on a Raspberry Pi has not; both say ID=debian where arm64."""
MAX_FILE_BYTES = 1 << 20


def gather(root: Path = ROOT) -> SystemFacts:
    """The system as it is; raises `GadgetipError` for a file that cannot be read."""
    config_txt = next(
        (_real(root, path) for path in CONFIG_TXT if below(root, path).is_file()), None
    )
    model = _contents(root, [MODEL]).get(MODEL, b"")
    paths = [MODULES, CONFIGURATION, RADIO, *([config_txt] if config_txt else [])]
    return SystemFacts(
        raspberry_pi_os=any(below(root, path).exists() for path in RASPBERRY_PI_OS),
        config_txt=config_txt,
        network_manager=below(root, RADIO).parent.is_dir(),
        files=_contents(root, paths),
        model=parse_device_tree_text(model),
    )


def planned(root: Path = ROOT) -> tuple[FileChange, ...]:
    """What `set_up` would change; raises `PrerequisiteError` for what can be no board."""
    system = gather(root)
    if below(root, str(IMAGE_FILE)).exists():
        raise PrerequisiteError(
            "this is an image, which is set up: gadgetip.toml on its card counts"
        )
    if problem := obstacle(system):
        raise PrerequisiteError(problem)
    return plan_setup(system)


def set_up(changes: tuple[FileChange, ...], root: Path = ROOT) -> None:
    """Write down what is changed, and change it; raises `GadgetipError` where that fails.

    So it does, with nothing done, if these are not what `planned` says any more: somebody has
    edited a file while its change was shown.
    """
    if not changes:
        return
    if planned(root) != changes:
        raise GadgetipError("a file was changed meanwhile: nothing is done; try again")
    record = format_record(merge(recorded(root), changes))
    if len(record) > MAX_BYTES:
        raise GadgetipError(f"{RECORD} would become too large: take back first, with --undo")
    # The record first, and nothing without it.
    for each in (
        [WriteFile(RECORD, record)],
        [WriteFile(change.path, change.after) for change in changes],
    ):
        _apply(each, root)


def planned_undo(root: Path = ROOT) -> tuple[Undoing, ...]:
    """What `undo` would do; raises `GadgetipError` where there is nothing to take back."""
    done = recorded(root)
    if not done:
        raise GadgetipError(f"there is nothing to undo: {RECORD} is not there")
    return plan_undo(done, _contents(root, [change.path for change in done]))


def undo(undoings: tuple[Undoing, ...], root: Path = ROOT) -> None:
    """Take changes back, and forget them; raises `GadgetipError` as `set_up` does."""
    if planned_undo(root) != undoings:
        raise GadgetipError("a file was changed meanwhile: nothing is done; try again")
    changes: list[Change] = []
    for each in undoings:
        if each.after != each.now:
            back = each.after
            changes.append(RemoveFile(each.path) if back is None else WriteFile(each.path, back))
    _apply(changes, root)
    _apply([RemoveFile(RECORD)], root)


def recorded(root: Path = ROOT) -> tuple[FileChange, ...]:
    """What earlier calls have changed; raises `GadgetipError` for a record that is damaged."""
    data = _contents(root, [RECORD], MAX_BYTES).get(RECORD)
    if data is None:
        return ()
    changes = parse_record(data)
    if changes is None:
        raise GadgetipError(
            f"{RECORD} cannot be understood: move it away; its changes are taken back by hand then"
        )
    return changes


def _apply(changes: Iterable[Change], root: Path) -> None:
    failed = apply_changes(changes, root)
    if failed:
        raise GadgetipError("; ".join(failed))


def _real(root: Path, path: str) -> str:
    """The file itself where the path is a link to it: writing would replace the link."""
    real, top = below(root, path).resolve(), root.resolve()
    return f"/{real.relative_to(top)}" if real.is_relative_to(top) else path


def _contents(root: Path, paths: list[str], most: int = MAX_FILE_BYTES) -> dict[str, bytes]:
    """The content of each file that is there; one that cannot be read must not be written over."""
    found = {}
    for path in paths:
        try:
            with below(root, path).open("rb") as file:
                data = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            raise GadgetipError(f"{path}: {error.strerror}: try again with sudo") from None
        except OSError as error:
            raise GadgetipError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > most:
            raise GadgetipError(f"{path} has more than {most} bytes: it is not what it should be")
        found[path] = data
    return found
