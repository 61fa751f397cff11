"""configfs's rules about directories, for a tree below a temporary one.

Making a gadget makes its groups; removing one fails while a user's own child is in it; a link
keeps the function that it points to.
"""

import errno
import os
from pathlib import Path

import pytest

GROUPS = ("configs", "functions", "strings", "os_desc")


class KernelTree:
    """`root` stands for /sys/kernel/config/usb_gadget; `log` has what was done, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[str] = []
        self._mkdir, self._rmdir, self._unlink = os.mkdir, os.rmdir, os.unlink

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "mkdir", self.make)
        monkeypatch.setattr(os, "rmdir", self._remove)
        monkeypatch.setattr(os, "unlink", self._remove_link)
        for module in ("configfs", "udc"):
            monkeypatch.setattr(f"gadgetip.gadget.{module}.CONFIGFS_GADGETS", self.root)

    def _place(self, path: "str | os.PathLike[str]") -> tuple[str, ...] | None:
        try:
            return Path(path).relative_to(self.root).parts
        except ValueError:
            return None

    def make(self, path: "str | os.PathLike[str]", mode: int = 0o777) -> None:
        self._mkdir(path, mode)
        place = self._place(path)
        if place is None:
            return
        self.log.append(f"mkdir {'/'.join(place)}")
        if len(place) == 1:
            for group in GROUPS:
                self._mkdir(Path(path) / group)
            (Path(path) / "UDC").write_text("\n")
        elif place[1] == "configs" and len(place) == 3:
            self._mkdir(Path(path) / "strings")

    def _remove(self, path: "str | os.PathLike[str]") -> None:
        place = self._place(path)
        if place is None:
            self._rmdir(path)
            return
        self.log.append(f"rmdir {'/'.join(place)}")
        if self._own_children(Path(path), place):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        if len(place) == 3 and place[1] == "functions":
            links = [p for p in self.root.rglob("*") if p.is_symlink()]
            if any(link.readlink() == Path(path) for link in links):
                raise OSError(errno.EBUSY, "Device or resource busy")
        if (self.root / place[0] / "UDC").read_text().strip():
            raise OSError(errno.EBUSY, "Device or resource busy")
        self._wipe(Path(path))

    def _own_children(self, path: Path, place: tuple[str, ...]) -> list[Path]:
        groups = [path]
        if len(place) == 1:
            groups = [path / group for group in GROUPS]
        elif place[1] == "configs" and len(place) == 3:
            groups = [path, path / "strings"]
        return [
            child
            for group in groups
            for child in group.iterdir()
            if (child.is_dir() or child.is_symlink()) and child not in groups
        ]

    def _wipe(self, path: Path) -> None:
        for child in path.iterdir():
            if child.is_dir():
                self._wipe(child)
            else:
                self._unlink(child)
        self._rmdir(path)

    def _remove_link(self, path: "str | os.PathLike[str]") -> None:
        self._unlink(path)
        if (place := self._place(path)) is not None:
            self.log.append(f"unlink {'/'.join(place)}")
