"""Another program unpacks the archive; that the kernel does is shown by `make test-image`."""

import stat
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from board.image import cpio

NAMES = st.text("abcdefghij-_.0123456789", min_size=1, max_size=20).filter(
    lambda name: name.strip(".") != ""
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def _unpack(archive: bytes, target: Path) -> None:
    command = ["busybox", "cpio", "-i", "-d", "--quiet"]
    subprocess.run(command, input=archive, check=True, cwd=target)


def test_files_links_and_modes_arrive(tmp_path: Path) -> None:
    entries = {
        "init": cpio.file(b"#!/bin/sh\n", 0o755),
        "bin/busybox": cpio.file(b"x" * 4097, 0o755),
        "bin/sh": cpio.link("busybox"),
        "dev": cpio.directory(),
    }
    _unpack(cpio.archive(entries, 1_700_000_000), tmp_path)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "bin/busybox").stat().st_size == 4097
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert (tmp_path / "dev").is_dir()


@given(st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=6))
def test_the_order_given_does_not_matter(contents: dict[str, bytes]) -> None:
    entries = {name: cpio.file(content) for name, content in contents.items()}
    turned = dict(reversed(entries.items()))
    archive = cpio.archive(entries, 0)
    assert archive == cpio.archive(turned, 0)
    assert archive.count(b"070701") >= len(entries) + 1
    assert len(archive) % 4 == 0


def test_a_device_has_its_number() -> None:
    archive = cpio.archive({"dev/console": cpio.device(5, 1)}, 0)
    head = archive[archive.index(b"dev/console") - 110 :]
    fields = [int(head[6 + 8 * number : 14 + 8 * number], 16) for number in range(13)]
    assert stat.S_ISCHR(fields[1])
    assert (fields[9], fields[10]) == (5, 1)
