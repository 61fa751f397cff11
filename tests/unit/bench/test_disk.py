"""Who uses a disk, and how fast a file is that is read and written as one."""

import math
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.bench.disk import BLOCK_BYTES, REQUEST_BYTES, opened, require_disk, time_disk
from gadgetip.bench.disk_use import uses_of
from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError

NUMBERS = {"sdb": "8:16", "sdb1": "8:17", "sdb2": "8:18"}
MOUNTS = r"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 8:17 / /media/my\040stick rw - vfat /dev/sdb1 rw
31 22 0:44 /@ /data rw - btrfs /dev/sdb2 rw
"""
SWAPS = "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb2 partition\t1\t0\t-2\n"


def test_mounts_swap_and_what_is_made_of_it() -> None:
    assert uses_of(NUMBERS, MOUNTS, SWAPS, {"sdb1": [], "sdb": ["dm-0"]}) == [
        "sdb1 is mounted on /media/my stick",
        "sdb2 is mounted on /data",
        "sdb2 is swap",
        "sdb is part of dm-0",
    ]


def test_another_disk_is_free() -> None:
    assert uses_of({"sdc": "8:32"}, MOUNTS, SWAPS, {"sdc": []}) == []


@given(st.text(), st.text())
def test_any_lists_do_no_harm(mountinfo: str, swaps: str) -> None:
    uses_of(NUMBERS, mountinfo, swaps, {})


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "disk"
    path.write_bytes(bytes(4 * REQUEST_BYTES + 100))
    number = os.open(path, os.O_RDWR)
    yield number
    os.close(number)


@pytest.mark.parametrize("write", [False, True])
def test_timing(file: int, write: bool) -> None:
    speed = time_disk(file, 2.0, write=write)
    assert speed.sequential_bytes == 4 * REQUEST_BYTES
    assert speed.bytes_per_s > 0
    assert speed.random is not None
    assert speed.random.count >= 1
    assert 0 < speed.random.p50_s <= speed.random.p99_s <= speed.random.most_s
    assert speed.random_per_s == 1 / speed.random.p50_s
    assert os.fstat(file).st_size == 4 * REQUEST_BYTES + 100
    written = os.pread(file, 4 * REQUEST_BYTES, 0) != bytes(4 * REQUEST_BYTES)
    assert written is write
    assert os.pread(file, 100, 4 * REQUEST_BYTES) == bytes(100)


@pytest.mark.parametrize("seconds", [math.nan, 0.0, -1.0])
def test_a_time_that_is_none_never_overwrites_the_whole_disk(file: int, seconds: float) -> None:
    assert time_disk(file, seconds, write=True).sequential_bytes == REQUEST_BYTES


def test_one_that_is_too_small(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(BLOCK_BYTES))
    with path.open("rb") as small, pytest.raises(GadgetipError, match="4096 bytes, too few"):
        time_disk(small.fileno(), 1.0, write=False)


@pytest.mark.parametrize("path", ["/dev/null", "/etc/passwd", "/", "/nowhere/at/all"])
def test_what_is_no_disk(path: str) -> None:
    with pytest.raises(UsageError, match=path):
        require_disk(Path(path))


@contextmanager
def without_rights() -> Iterator[None]:
    """As nobody, where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("write", [False, True])
def test_one_that_may_not_be_opened(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "disk"
    path.touch(mode=0)
    with (
        pytest.raises(PrerequisiteError, match="disk may not be opened: try again with sudo"),
        without_rights(),
        opened(path, write=write),
    ):
        pass


def test_one_that_cannot_be_opened(tmp_path: Path) -> None:
    with (
        pytest.raises(GadgetipError, match="cannot be opened: No such file"),
        opened(tmp_path / "gone", write=False),
    ):
        pass
