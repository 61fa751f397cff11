"""Provisioning this machine: what is there is read, what was decided is done."""

import os
from dataclasses import dataclass
from pathlib import Path

from gadgetip.appliance.applying import ROOT, apply_changes, below
from gadgetip.appliance.changes import Change, WriteFile
from gadgetip.appliance.image_manifest import has_wireless
from gadgetip.appliance.provisioning import (
    ZONES,
    Places,
    Present,
    Provisioning,
    page_of_failures,
    provision,
    tell,
)
from gadgetip.appliance.wifi import parse_key
from gadgetip.strict_toml import MAX_FILE_BYTES
from gadgetip.supervisor.board_config import IMAGE_FILE


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was decided, what of it failed, and the whole text for the owner."""

    decided: Provisioning
    failed: tuple[str, ...]
    page: str


def provision_here(root: Path = ROOT, places: Places | None = None) -> Provisioned:
    """Take over gadgetip.toml; `root` is where the system is."""
    places = places or Places()
    present = gather(root, places)
    decided = provision(present, places)
    failed = apply_changes(decided.changes, root, read_only=(places.boot,))
    if decided.made and present.lasting and not failed:
        failed = apply_changes(_remember(decided, root, places), root)
    page = page_of_failures(decided, failed, places)
    if page != decided.page:
        # The lamp, and the card, which may take this much.
        apply_changes(tell(page, places, fault=True), root, read_only=(places.boot,))
    return Provisioned(decided, failed, page)


def _remember(decided: Provisioning, root: Path, places: Places) -> list[Change]:
    # Only here: few boots come by, and these are slow anyway.
    from gadgetip.appliance.remembering import archive, sums  # noqa: PLC0415

    image = _read(below(root, str(IMAGE_FILE)))
    made = archive(decided.made)
    contents = {places.card_config: decided.card, str(IMAGE_FILE): image or b"", places.made: made}
    return [
        WriteFile(places.made, made, 0o600, 0o700),
        WriteFile(places.sums, sums(contents), 0o600, 0o700),
    ]


def gather(root: Path, places: Places) -> Present:
    """What is there now."""
    key = _read(below(root, places.key))
    return Present(
        config=_read(below(root, places.card_config)),
        kept=_read(below(root, places.kept_config)),
        key=None if key is None else parse_key(key),
        zones=_Zones(below(root, ZONES)),
        # A directory that stands for a root has no partitions.
        lasting=root != ROOT or _lasts(Path(places.partition)),
        interrupted=below(root, places.mark).exists(),
        misnamed=below(root, f"{places.card_config}.txt").exists(),
        wireless=has_wireless(_read(below(root, str(IMAGE_FILE))) or b""),
    )


def _lasts(partition: Path) -> bool:
    """Whether it is mounted, and can be written."""
    try:
        return partition.is_mount() and not os.statvfs(partition).f_flag & os.ST_RDONLY
    except OSError:
        return False


class _Zones:
    """The time zones that a system has; asked one by one, as `zoneinfo` would open all of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self._directory / name).is_file()


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
