"""What people told the supervisor with `start` and `stop`, kept over restarts.

Stop means stopped until told otherwise, also after a loss of power. The record has only what
differs from the configuration's `enabled`, so that an untouched machine does what its file says. It
is replaced in one step and is on the disk before the command is answered.

A record that cannot be read is put aside and said. Everything then runs as the configuration says:
a board that nobody can reach should do its work, and the configuration says what that is.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from gadgetip.errors import GadgetipError

STATE_DIRECTORY = Path("/var/lib/gadgetip")
FILE_NAME = "stopped.json"
SCHEMA = "stopped/1"
MAX_BYTES = 256 * 1024


class Wishes:
    """Which attachments people have started or stopped against the configuration."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wishes: dict[str, bool] = {}

    def load(self) -> None:
        """Read the record; raises `GadgetipError` for a broken one, which is as good as none."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise GadgetipError(
                f"{self._path}: {error.strerror}; nothing is taken for stopped"
            ) from None
        wishes = parse_wishes(data)
        if wishes is None:
            aside = self._path.with_suffix(".broken")
            try:
                self._path.replace(aside)
            except OSError as error:
                where = f"cannot be put aside ({error.strerror})"
            else:
                where = f"is {aside.name} now"
            raise GadgetipError(
                f"{self._path} could not be understood and {where}: everything runs "
                "as the configuration says; `gadgetip stop` what should not"
            )
        self._wishes = wishes

    def runs(self, name: str, *, enabled: bool) -> bool:
        """Whether the attachment is to run; `enabled` is what the configuration says."""
        return self._wishes.get(name, enabled)

    def record(self, name: str, *, runs: bool, enabled: bool) -> None:
        """Note a wish and have it on the disk.

        Raises `GadgetipError` where it cannot be written; then it holds until the next restart.
        """
        before = dict(self._wishes)
        self._wishes.pop(name, None)
        if runs != enabled:
            self._wishes[name] = runs
        if self._wishes == before:
            return
        try:
            self._write()
        except OSError as error:
            done = "started" if runs else "stopped"
            raise GadgetipError(
                f"{name} is {done}, but only until the next restart: {self._path}: {error.strerror}"
            ) from None

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(format_wishes(self._wishes))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def format_wishes(wishes: Mapping[str, bool]) -> bytes:
    """The record's bytes."""
    started = sorted(name for name, runs in wishes.items() if runs)
    stopped = sorted(name for name, runs in wishes.items() if not runs)
    record = {"schema": SCHEMA, "started": started, "stopped": stopped}
    return json.dumps(record, indent=2).encode("ascii") + b"\n"


def parse_wishes(data: bytes) -> dict[str, bool] | None:
    """What a record says; None if it is none."""
    if len(data) > MAX_BYTES:
        return None
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    wishes: dict[str, bool] = {}
    for key, runs in (("started", True), ("stopped", False)):
        names = record.get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        wishes.update(dict.fromkeys(names, runs))
    return wishes
