"""What people started and stopped, over restarts."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import GadgetipError
from gadgetip.supervisor.wishes import Wishes, format_wishes, parse_wishes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "stopped.json"


def again(path: Path) -> Wishes:
    wishes = Wishes(path)
    wishes.load()
    return wishes


def test_stopped_means_stopped(path: Path) -> None:
    wishes = again(path)
    assert wishes.runs("stick", enabled=True)
    wishes.record("stick", runs=False, enabled=True)
    wishes.record("other", runs=True, enabled=False)
    wishes = again(path)
    assert not wishes.runs("stick", enabled=True)
    assert wishes.runs("other", enabled=False)
    wishes.record("stick", runs=True, enabled=True)
    wishes = again(path)
    assert wishes.runs("stick", enabled=True)
    assert not wishes.runs("stick", enabled=False), "it is as the configuration says again"


def test_a_broken_record_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"schema": "stopped/1", "stopped": ["stick"')
    wishes = Wishes(path)
    with pytest.raises(GadgetipError, match=r"stopped\.broken now: everything runs"):
        wishes.load()
    assert wishes.runs("stick", enabled=True)
    assert path.with_suffix(".broken").exists()
    wishes.record("stick", runs=False, enabled=True)
    assert not again(path).runs("stick", enabled=True)


def test_a_broken_record_that_cannot_be_put_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"{")

    def replace(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", replace)
    wishes = Wishes(path)
    with pytest.raises(GadgetipError, match=r"put aside \(Read-only file system\): everything"):
        wishes.load()
    assert wishes.runs("stick", enabled=True)


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    wishes = Wishes(blocked / "stopped.json")
    with pytest.raises(GadgetipError, match="stick is stopped, but only until the next restart"):
        wishes.record("stick", runs=False, enabled=True)
    assert not wishes.runs("stick", enabled=True)


@given(st.dictionaries(st.text(max_size=10), st.booleans(), max_size=8))
def test_there_and_back(wishes: dict[str, bool]) -> None:
    assert parse_wishes(format_wishes(wishes)) == wishes


@given(
    st.one_of(
        st.binary(max_size=100),
        st.sampled_from(
            [
                b"[" * 100_000,
                b"[]",
                b"{}",
                b'{"schema": "stopped/2", "started": [], "stopped": []}',
                b'{"schema": "stopped/1", "started": [1], "stopped": []}',
                b'{"schema": "stopped/1", "started": "x", "stopped": []}',
                b'{"schema": "stopped/1", "started": []}',
            ]
        ),
    )
)
def test_whatever_is_in_the_file(data: bytes) -> None:
    assert parse_wishes(data) is None
