"""Changes to a system, as data: what was decided can be shown and tested before it is done.

Paths are absolute, as the system sees them; `applying` does the changes, below any root.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Have a file with this content, replaced in one step; its directory is made if need be."""

    path: str
    content: bytes
    mode: int = 0o644
    directory_mode: int = 0o755


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Have no such file."""

    path: str


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Have a symbolic link there, to `target`."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Put `new` over `old`, as long, at this offset of a file that stays where it is.

    So nothing of `old` is left on the medium, as a new file in its place would leave it. It is not
    done where `old` is not there, nor once an earlier change has failed. An empty file `mark` is
    there while it is done, and stays where it came to no end.
    """

    path: str
    offset: int
    old: bytes
    new: bytes
    mark: str = ""


@dataclass(frozen=True, slots=True)
class NameHost:
    """Tell the running kernel the host's name."""

    name: str


Change = WriteFile | RemoveFile | MakeLink | Overwrite | NameHost
