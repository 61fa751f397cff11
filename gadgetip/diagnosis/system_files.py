"""Reading this machine for a diagnosis: what cannot be read is empty, and nothing raises."""

import subprocess
from pathlib import Path

TEXT_LIMIT_BYTES = 1 << 20
COMMAND_LIMIT_S = 5.0


def read_text(path: Path | str, limit: int = TEXT_LIMIT_BYTES) -> str:
    """The beginning of a file as text; "" if it cannot be read."""
    return read_bytes(path, limit).decode("utf-8", "replace")


def read_bytes(path: Path | str, limit: int = TEXT_LIMIT_BYTES) -> bytes:
    """The beginning of a file; b"" if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError):
        return b""


def exists(path: Path) -> bool:
    """Whether something is there; what we may not look at is not."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def children(directory: Path | str) -> list[Path]:
    """What is in a directory, by name; nothing if it cannot be read."""
    try:
        return sorted(Path(directory).iterdir())
    except OSError:
        return []


def link_name(path: Path) -> str:
    """The last part of where a link leads; "" if it is none."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def output_of(*command: str, limit_s: float = COMMAND_LIMIT_S) -> str:
    """The last mebibyte that a command prints; "" if it is not there or fails.

    Longer than `limit_s` seconds nobody waits for it; that is a failure, too.
    """
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    if done.returncode:
        return ""
    output = done.stdout[-TEXT_LIMIT_BYTES:].decode("utf-8", "replace")
    if len(done.stdout) > TEXT_LIMIT_BYTES:
        output = output.partition("\n")[2]  # not half a line
    return output
