"""A small card for the boot script: the layout of an image's, slots that hold next to nothing.

The kernel in a slot is some instructions that write the slot's letter to the serial port and switch
the machine off. So a boot of QEMU's U-Boot ends by itself, and shows which slot's kernel ran, not
which was meant to.
"""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
SECTOR = 512
DISK = 0x67697030
STATE_COPIES = (64 * SECTOR, 72 * SECTOR)  # a second opinion, not the code's own constant
FIRST = (4 * MIB, 8 * MIB)
SLOTS = {"A": (12 * MIB, 4 * MIB), "B": (16 * MIB, 4 * MIB)}
SIZE = 20 * MIB

_UART = 0x0900_0000  # the first serial port of QEMU's "virt"
_PSCI_OFF = 0x8400_0008  # by hvc, as that machine's firmware interface wants


@dataclass(frozen=True, slots=True)
class SmallCard:
    """The card, a file."""

    path: Path

    def states(self) -> tuple[bytes, bytes]:
        """Both copies of the boot state, as they lie there."""
        with self.path.open("rb") as file:
            first, second = (_read(file.fileno(), offset) for offset in STATE_COPIES)
        return first, second

    def set_states(self, first: bytes, second: bytes) -> None:
        """Write both copies; a text is filled with zeros."""
        with self.path.open("r+b") as file:
            for offset, text in zip(STATE_COPIES, (first, second), strict=True):
                file.seek(offset)
                file.write(text.ljust(SECTOR, b"\0"))

    def insert(self, where: tuple[int, int], content: Path) -> None:
        """Write a partition over."""
        data = content.read_bytes()
        assert len(data) == where[1]
        with self.path.open("r+b") as file:
            file.seek(where[0])
            file.write(data)


def make(directory: Path, script: bytes, bits: int) -> SmallCard:
    """A card whose slots both boot, for a processor of 64 or 32 bits."""
    path = directory / "card.img"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.write(_partition_table())
    card = SmallCard(path)
    card.insert(FIRST, first_partition(directory, {"boot.scr": script}))
    for letter, where in SLOTS.items():
        card.insert(where, slot(directory, system(letter, bits)))
    return card


def system(letter: str, bits: int) -> dict[str, bytes]:
    """What U-Boot needs in a slot."""
    return {"vmlinuz": kernel(letter, bits), "initrd.img": b"an initramfs"}


def first_partition(directory: Path, files: dict[str, bytes]) -> Path:
    """The FAT that U-Boot looks into."""
    path = directory / "first"
    path.unlink(missing_ok=True)
    _run("/sbin/mkfs.vfat", "-C", path, FIRST[1] // 1024)
    for name, content in files.items():
        (directory / "file").write_bytes(content)
        _run("mcopy", "-i", path, directory / "file", f"::{name}")
    return path


def slot(directory: Path, files: dict[str, bytes]) -> Path:
    """A slot's file system, without a journal, as an image's."""
    root = directory / "root"
    shutil.rmtree(root, ignore_errors=True)
    (root / "dtb").mkdir(parents=True)
    for name, content in files.items():
        (root / name).write_bytes(content)
    path = directory / "slot"
    path.unlink(missing_ok=True)
    size = SLOTS["A"][1] // 1024
    _run("/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, path, f"{size}k")
    return path


def kernel(letter: str, bits: int) -> bytes:
    """A kernel that writes a line with its letter and is done."""
    line = f"\r\nkernel {letter} runs\r\n"
    return _image(line) if bits == 64 else _zimage(line)


def _image(line: str) -> bytes:
    code = [0xD2A00000 | 0 | (_UART >> 16) << 5]  # movz x0, #uart, lsl #16
    for character in line:
        code += [0x52800001 | ord(character) << 5, 0xB9000001]  # mov w1, #c; str w1, [x0]
    code += [
        0xD2A00000 | (_PSCI_OFF >> 16) << 5,  # movz x0, #..., lsl #16
        0xF2800000 | (_PSCI_OFF & 0xFFFF) << 5,  # movk x0, #...
        0xD4000002,  # hvc #0
        0x14000000,  # b .
    ]
    body = struct.pack(f"<{len(code)}I", *code)
    # Documentation/arch/arm64/booting.rst: a branch over the header, and where it wants to be.
    header = struct.pack("<IIQQQ24x4sI", 0x14000010, 0, 0, 64 + len(body), 0xA, b"ARM\x64", 0)
    return header + body


def _zimage(line: str) -> bytes:
    code = [0xE3A00409]  # mov r0, #0x09000000
    for character in line:
        code += [0xE3A01000 | ord(character), 0xE5801000]  # mov r1, #c; str r1, [r0]
    code += [
        0xE3A00484,  # mov r0, #0x84000000
        0xE3800008,  # orr r0, r0, #8
        0xE1400070,  # hvc #0
        0xEAFFFFFE,  # b .
    ]
    body = struct.pack(f"<{len(code)}I", *code)
    # A branch over what a zImage has at 0x24: magic, start, end.
    size = 48 + len(body)
    return struct.pack("<I32xIIII", 0xEA00000A, 0x016F2818, 0, size, 0) + body


def _partition_table() -> bytes:
    table = bytes(440) + struct.pack("<IH", DISK, 0)
    for kind, (start, size) in ((0x0C, FIRST), (0x83, SLOTS["A"]), (0x83, SLOTS["B"])):
        active = 0x80 if kind == 0x0C else 0
        table += struct.pack("<B3xB3xII", active, kind, start // SECTOR, size // SECTOR)
    return table.ljust(510, b"\0") + b"\x55\xaa"


def _read(descriptor: int, offset: int) -> bytes:
    return os.pread(descriptor, SECTOR, offset)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)
