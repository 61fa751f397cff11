"""Other images, made of the one: a newer one that is well, and some that are not.

    newer     the same system, with another version in it
    no_init   its kernel starts, and finds no system
    mute      all of it starts but the supervisor, which never answers
    no_kernel what should be its kernel is none

Only the slot and the manifest differ. The squashfs is compressed less than the image's, which takes
a tenth of the time.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from board.image import file_systems as fs
from tests.image.card import SLOT_A, Card

VERSION = "99.1"
"""Of the newer one. The broken ones are 99.2, ..."""
MARKER = "etc/gadgetip/image"
DROP_IN = "etc/systemd/system/gadgetip.service.d/zz-mute.conf"
MUTE = b"[Service]\nType=simple\nWatchdogSec=0\nExecStart=\nExecStart=/usr/bin/sleep infinity\n"


def newer(image: Card, path: Path) -> Card:
    """A newer image."""
    return _variant(image, path, VERSION, {})


def mute(image: Card, path: Path) -> Card:
    """One whose supervisor never answers."""
    return _variant(image, path, "99.2", {DROP_IN: MUTE})


def no_init(image: Card, path: Path) -> Card:
    """One whose root has no first process, nor anything else but folders to mount things on."""
    work = fs.fresh(path.with_suffix(".work"))
    slot = _unpack_slot(image, work)
    empty = fs.fresh(work / "empty")
    for name in ("dev", "etc", "media", "proc", "run", "sys"):
        (empty / name).mkdir()
    root = work / "root.tar"
    with tarfile.open(root, "w") as target:
        target.add(empty, ".")
    _squash(slot, root)
    return _pack(image, path, "99.3", slot, work)


def no_kernel(image: Card, path: Path) -> Card:
    """One whose kernel is noise."""
    work = fs.fresh(path.with_suffix(".work"))
    slot = fs.fresh(work / "slot")
    for name in ("vmlinuz", "initrd.img", "root.squashfs"):
        (slot / name).write_bytes(b"neither this nor that\n" * 100_000)
    return _pack(image, path, "99.4", slot, work)


def _variant(image: Card, path: Path, version: str, added: dict[str, bytes]) -> Card:
    """An image whose root says this version, and has these files in place of its own or more."""
    work = fs.fresh(path.with_suffix(".work"))
    slot = _unpack_slot(image, work)
    root = work / "root.tar"
    document = image.manifest | {"version": version}
    document.pop("slot")
    added = added | {MARKER: json.dumps(document).encode() + b"\n"}
    with subprocess.Popen(
        ["sqfs2tar", "--no-skip", slot / "root.squashfs"], stdout=subprocess.PIPE
    ) as unpacking:
        assert unpacking.stdout is not None
        with (
            tarfile.open(fileobj=unpacking.stdout, mode="r|") as source,
            tarfile.open(root, "w", format=tarfile.PAX_FORMAT) as target,
        ):
            for member in source:
                name = member.name.removeprefix("./").strip("/")
                if name in added:
                    continue
                content = source.extractfile(member) if member.isreg() else None
                target.addfile(member, content)
            _add(target, added.items())
    assert unpacking.returncode == 0
    _squash(slot, root)
    return _pack(image, path, version, slot, work)


def _squash(slot: Path, root: Path) -> None:
    target = slot / "root.squashfs"
    target.unlink()
    with root.open("rb") as tar:
        command = ["mksquashfs", "-", str(target), "-tar", "-quiet", "-no-progress"]
        command += ["-comp", "zstd", "-Xcompression-level", "3", "-b", "256K", "-no-xattrs"]
        subprocess.run(command, check=True, stdin=tar, stdout=subprocess.DEVNULL)
    root.unlink()


def _add(target: tarfile.TarFile, files: Iterable[tuple[str, bytes]]) -> None:
    for name, content in files:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        member.mode = 0o644
        target.addfile(member, io.BytesIO(content))


def _unpack_slot(image: Card, work: Path) -> Path:
    slot = work / "slot"
    slot.mkdir()
    system = image.extract(SLOT_A, work / "slot.ext4")
    subprocess.run(
        ["/sbin/debugfs", "-R", f'rdump / "{slot}"', system], check=True, capture_output=True
    )
    system.unlink()
    shutil.rmtree(slot / "lost+found", ignore_errors=True)
    return slot


def _pack(image: Card, path: Path, version: str, slot: Path, work: Path) -> Card:
    system = work / "slot.ext4"
    fs.ext4(system, slot, fs.ext4_size(slot), f"slot {version}", 1, journal=False)
    result = image.copy(path)
    result.insert(SLOT_A, system)
    with system.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    place = {"offset": image.partition(SLOT_A).offset, "size": system.stat().st_size}
    result.set_manifest(image.manifest | {"version": version, "slot": place | {"sha256": digest}})
    shutil.rmtree(work)
    return result
