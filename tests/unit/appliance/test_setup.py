"""An existing system becomes a board, and what it was before again."""

import errno
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.setup_here import MODEL, RECORD, planned, planned_undo, set_up, undo
from gadgetip.appliance.setup_plan import (
    CONFIGURATION,
    MODULES,
    OVERLAY,
    RADIO,
    SKELETON,
    FileChange,
    SystemFacts,
    plan_setup,
    plan_undo,
)
from gadgetip.appliance.setup_record import format_record, merge, parse_record
from gadgetip.diagnosis.kernel_texts import dwc2_mode, parse_config_txt
from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import parse_config

CONFIG_TXT = "/boot/firmware/config.txt"
STOCK = """\
# For more options
dtparam=audio=on

[cm4]
otg_mode=1

[cm5]
dtoverlay=dwc2,dr_mode=host

[all]
"""


def raspberry(text: str = STOCK, **files: bytes) -> SystemFacts:
    return SystemFacts(True, CONFIG_TXT, True, {CONFIG_TXT: text.encode(), **files})


def paths(system: SystemFacts) -> list[str]:
    return [change.path for change in plan_setup(system)]


def test_raspberry_pi_os() -> None:
    assert paths(raspberry()) == [CONFIG_TXT, MODULES, CONFIGURATION, RADIO]
    overlay, modules, *_ = plan_setup(raspberry())
    assert overlay.diff().splitlines()[-4:] == [
        "+",
        "+# gadgetip: the USB port is a device's",
        "+[all]",
        "+dtoverlay=dwc2,dr_mode=peripheral",
    ]
    assert overlay.restart
    assert modules.after.split()[-3:] == [b"dwc2", b"libcomposite", b"usb_f_fs"]


def test_debian_needs_no_overlay() -> None:
    system = SystemFacts(False, CONFIG_TXT, False, {CONFIG_TXT: b""})
    assert paths(system) == [MODULES, CONFIGURATION]
    assert b"dwc2" not in plan_setup(system)[0].after


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("dtoverlay=dwc2", False),
        ("[all]\ndtoverlay=dwc2,dr_mode=peripheral\n", False),
        ("dtoverlay=dwc2,dr_mode=otg\n[pi4]\n", False),
        ("dtoverlay=dwc2,dr_mode=host\n", True),
        ("[cm5]\ndtoverlay=dwc2\n", True),
        ("#dtoverlay=dwc2\n", True),
        ("", True),
    ],
)
def test_when_an_overlay_is_added(text: str, changed: bool) -> None:
    assert (CONFIG_TXT in paths(raspberry(text))) == changed


@given(st.text(st.sampled_from("[]all\n#dtoverlay=wc2,rmodehs ")))
def test_any_config_txt_asks_for_a_device_afterwards(text: str) -> None:
    for change in plan_setup(raspberry(text)):
        if change.path == CONFIG_TXT:
            assert change.before is not None
            assert change.after.startswith(change.before)
            overlays = parse_config_txt(change.after.decode())
            assert dwc2_mode(o for o in overlays if o.section == "all") == "peripheral"
            assert CONFIG_TXT not in paths(raspberry(change.after.decode()))


def test_the_skeleton_is_a_configuration() -> None:
    assert parse_config(SKELETON, "f") == Config()
    sample = SKELETON.replace("# [[", "[[").replace("# name", "name").replace("# server", "server")
    (stick,) = parse_config(sample.replace("# match", "match"), "f").attachments
    assert stick.name == "stick"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in (
        (CONFIG_TXT, STOCK),
        ("/etc/rpi-issue", ""),
        ("/etc/NetworkManager/conf.d/own.conf", ""),
    ):
        file = tmp_path / path[1:]
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return tmp_path


def tree(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_there_and_back(root: Path) -> None:
    before = tree(root)
    set_up(planned(root), root)
    assert tree(root).keys() - before.keys() == {
        path[1:] for path in (MODULES, CONFIGURATION, RADIO, RECORD)
    }
    assert planned(root) == ()  # a second time there is nothing to do
    undo(planned_undo(root), root)
    assert tree(root) == before
    with pytest.raises(GadgetipError, match="nothing to undo"):
        planned_undo(root)


def test_what_was_edited_since_stays(root: Path) -> None:
    set_up(planned(root), root)
    (root / CONFIGURATION[1:]).write_text(SKELETON + "# mine\n")
    (root / MODULES[1:]).unlink()
    config_txt = root / CONFIG_TXT[1:]
    config_txt.write_text("# above\n" + config_txt.read_text() + "# below\n")
    undoings = planned_undo(root)
    undo(undoings, root)
    assert config_txt.read_text() == f"# above\n{STOCK}# below\n"
    assert (root / CONFIGURATION[1:]).read_text().endswith("# mine\n")
    assert not (root / RADIO[1:]).exists()
    assert {each.path for each in undoings if each.left} == {CONFIGURATION, MODULES}


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("Raspberry Pi Model B Rev 2", True),
        ("Raspberry Pi Model B Plus Rev 1.2", True),
        ("Raspberry Pi 2 Model B Rev 1.1", True),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", True),
        ("Raspberry Pi 3 Model A Plus Rev 1.0", False),
        ("Raspberry Pi 4 Model B Rev 1.4", False),
        ("Raspberry Pi 5 Model B Rev 1.0", False),
        ("Raspberry Pi Zero 2 W Rev 1.0", False),
        ("Raspberry Pi Zero W Rev 1.1", False),
    ],
)
def test_where_the_network_hangs_on_the_port_nothing_is_changed(
    root: Path, model: str, refused: bool
) -> None:
    file = root / MODEL[1:]
    file.parent.mkdir(parents=True)
    file.write_text(f"{model}\0")
    if refused:
        with pytest.raises(PrerequisiteError, match=f"this {model} cannot be a board"):
            planned(root)
    else:
        assert len(planned(root)) == 4


def test_an_image_is_set_up_already(root: Path) -> None:
    (root / "etc/gadgetip").mkdir()
    (root / "etc/gadgetip/image").touch()
    with pytest.raises(PrerequisiteError, match="this is an image"):
        planned(root)


@pytest.mark.parametrize(
    ("edited", "undone"),
    [
        ("# all new\n", "# all new\n"),
        (STOCK, STOCK),
        (f"{STOCK}{OVERLAY}dtoverlay=dwc2,dr_mode=host\n", f"{STOCK}dtoverlay=dwc2,dr_mode=host\n"),
    ],
)
def test_undoing_two_setups_keeps_what_was_edited_in_between(
    root: Path, edited: str, undone: str
) -> None:
    before = tree(root)
    set_up(planned(root), root)
    (root / CONFIG_TXT[1:]).write_text(edited)
    (root / MODULES[1:]).unlink()
    set_up(planned(root), root)
    assert dwc2_mode(parse_config_txt((root / CONFIG_TXT[1:]).read_text())) == "peripheral"
    undoings = planned_undo(root)
    assert len({each.path for each in undoings}) == len(undoings) == 4
    undo(undoings, root)
    assert tree(root) == {**before, CONFIG_TXT[1:]: undone}


def test_what_was_edited_while_the_changes_were_shown_stays(root: Path) -> None:
    shown = planned(root)
    (root / CONFIG_TXT[1:]).write_text("# mine\n")
    before = tree(root)
    with pytest.raises(GadgetipError, match="changed meanwhile: nothing is done"):
        set_up(shown, root)
    assert tree(root) == before
    set_up(planned(root), root)
    back = planned_undo(root)
    (root / CONFIG_TXT[1:]).write_text("# mine again\n")
    before = tree(root)
    with pytest.raises(GadgetipError, match="changed meanwhile: nothing is done"):
        undo(back, root)
    assert tree(root) == before


def test_a_link_to_config_txt_stays_one(root: Path) -> None:
    link, real = root / CONFIG_TXT[1:], root / "boot/firmware/mine.txt"
    link.rename(real)
    link.symlink_to("mine.txt")
    set_up(planned(root), root)
    assert link.is_symlink()
    assert real.read_text() == STOCK + OVERLAY
    undo(planned_undo(root), root)
    assert (link.is_symlink(), real.read_text()) == (True, STOCK)


def test_a_full_disk_leaves_no_half_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = tree(root)
    changes = planned(root)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GadgetipError, match="No space left"):
        set_up(changes, root)
    assert tree(root) == before


def test_a_damaged_record_is_not_written_over(root: Path) -> None:
    (root / RECORD[1:]).parent.mkdir(parents=True)
    (root / RECORD[1:]).write_text("{")
    with pytest.raises(GadgetipError, match="cannot be understood"):
        set_up(planned(root), root)
    assert (root / CONFIG_TXT[1:]).read_text() == STOCK


changes = st.builds(
    FileChange,
    st.text(min_size=1, max_size=9).map(lambda name: f"/{name}"),
    st.none() | st.binary(max_size=30),
    st.binary(max_size=30),
    st.text(max_size=9),
)


@given(st.lists(changes, max_size=4))
def test_what_is_recorded_is_read_again(done: list[FileChange]) -> None:
    assert parse_record(format_record(done)) == tuple(done)


@given(st.binary(max_size=60))
def test_what_is_no_record(data: bytes) -> None:
    assert parse_record(data) is None
    assert parse_record(b'{"schema": "setup/1", "changes": [' + data) is None


@given(st.lists(changes, max_size=4), st.lists(changes, max_size=4))
def test_no_change_is_forgotten_and_none_is_twice_in_a_record(
    first: list[FileChange], later: list[FileChange]
) -> None:
    merged = [(each.path, each.before, each.after) for each in merge(merge((), first), later)]
    every = [(each.path, each.before, each.after) for each in (*first, *later)]
    assert set(merged) == set(every)
    assert len(set(merged)) == len(merged)
    assert merged[-1:] == every[-1:]


@given(st.lists(st.binary(max_size=30), min_size=2, max_size=5))
def test_changes_of_one_file_are_taken_back_to_the_first(contents: list[bytes]) -> None:
    done = [FileChange("/f", *pair, "") for pair in itertools.pairwise(contents)]
    (undoing,) = plan_undo(done, {"/f": contents[-1]})
    assert (undoing.now, undoing.after) == (contents[-1], contents[0])
    assert (undoing.left == "") == (undoing.now != undoing.after)


@given(st.lists(changes, max_size=4, unique_by=lambda change: change.path))
def test_untouched_changes_are_taken_back(done: list[FileChange]) -> None:
    after = {change.path: change.after for change in done}
    for undoing in plan_undo(done, after):
        (change,) = (each for each in done if each.path == undoing.path)
        assert undoing.after == change.before
