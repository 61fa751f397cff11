import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.usb import Speed
from gadgetip.vhci import (
    PortStatus,
    Remembered,
    VhciPort,
    forget,
    forget_stale,
    is_recorded,
    remember,
    remembered,
    remembered_on,
    still_shows,
)
from gadgetip.vhci.remembered import parse_own, parse_stock

USED = VhciPort(3, False, PortStatus.USED, Speed.HIGH, 0x10002, "3-1")
STARTING = VhciPort(3, False, PortStatus.NOT_ASSIGNED, Speed.UNKNOWN, 0, "0-0")
FREE = VhciPort(3, False, PortStatus.FREE, Speed.UNKNOWN, 0, "0-0")
OURS = Remembered("nas", "3240", "1-2", devid=0x10002, started=1.5, selector="0781:5581")


@pytest.fixture(autouse=True)
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(remembered, "STOCK_DIRECTORY", tmp_path / "vhci_hcd")
    monkeypatch.setattr(remembered, "DIRECTORY", tmp_path / "own/vhci")
    return tmp_path


def age(path: Path, seconds: float) -> None:
    when = time.time() - seconds
    os.utime(path, (when, when))


def test_what_is_remembered_is_what_the_stock_tool_reads(directories: Path) -> None:
    remember(3, OURS)
    assert (directories / "vhci_hcd/port3").read_bytes() == b"nas 3240 1-2\n"
    assert remembered_on(USED) == OURS
    assert remembered_on(STARTING) == OURS
    assert remembered_on(FREE) is None
    assert is_recorded(3, OURS)
    forget(3)
    assert not is_recorded(3, OURS)
    assert remembered_on(USED) is None
    assert not (directories / "vhci_hcd").exists()
    forget(3)


def test_what_the_stock_tool_wrote(directories: Path) -> None:
    (directories / "vhci_hcd").mkdir()
    (directories / "vhci_hcd/port3").write_bytes(b"fd00::7 3241 1-1.4\n")
    known = remembered_on(USED)
    assert known == Remembered("fd00::7", "3241", "1-1.4")
    assert known.server == "[fd00::7]:3241"


def test_the_younger_record_wins(directories: Path) -> None:
    remember(3, OURS)
    stock, own = directories / "vhci_hcd/port3", directories / "own/vhci/port3.json"
    stock.write_bytes(b"other 3240 2-1\n")
    age(own, 60)
    known = remembered_on(USED)
    assert known is not None
    assert known.host == "other"
    # Ours of another device is not believed at any age.
    age(stock, 120)
    assert remembered_on(USED) == OURS
    known = remembered_on(replace(USED, devid=7))
    assert known is not None
    assert known.host == "other"


def test_only_what_is_still_ours_is_forgotten(directories: Path) -> None:
    stock, own = directories / "vhci_hcd/port3", directories / "own/vhci/port3.json"
    remember(3, replace(OURS, started=2.5))
    forget(3, OURS)
    assert own.exists()
    stock.parent.mkdir()
    stock.write_bytes(b"other 3240 2-1\n")
    forget(3, replace(OURS, started=2.5))
    assert stock.exists()
    assert not own.exists()
    assert not is_recorded(3, OURS)


def test_a_port_still_shows_what_was_seen(directories: Path) -> None:
    assert still_shows(USED, OURS.devid, None)  # nobody wrote anything down
    remember(3, OURS)
    assert still_shows(USED, OURS.devid, OURS)
    assert still_shows(STARTING, OURS.devid, OURS)
    # Seen by the stock tool's record only, or with that one left.
    assert still_shows(USED, OURS.devid, Remembered("nas", "3240", "1-2"))
    (directories / "own/vhci/port3.json").unlink()
    assert still_shows(USED, OURS.devid, OURS)
    forget(3)
    assert still_shows(USED, OURS.devid, OURS)


def test_a_port_that_shows_something_else() -> None:
    assert not still_shows(FREE, OURS.devid, OURS)
    assert not still_shows(replace(USED, devid=7), OURS.devid, OURS)
    remember(3, replace(OURS, started=99.0))
    assert not still_shows(USED, OURS.devid, OURS)
    assert not still_shows(USED, OURS.devid, None)
    assert not still_shows(STARTING, OURS.devid, OURS)


def test_a_name_that_the_stock_tool_could_not_read(directories: Path) -> None:
    remember(3, OURS)
    remember(3, replace(OURS, busid="my stick"))
    assert not (directories / "vhci_hcd/port3").exists()
    known = remembered_on(USED)
    assert known is not None
    assert known.busid == "my stick"


def test_stale_records_are_removed(directories: Path) -> None:
    remember(3, OURS)
    stock, own = directories / "vhci_hcd/port3", directories / "own/vhci/port3.json"
    forget_stale([FREE])
    assert stock.exists()  # an attach may be going on
    for path in (stock, own):
        age(path, 60)
    forget_stale([FREE], spare=[3])
    forget_stale([USED])
    assert stock.exists()
    assert own.exists()
    forget_stale([replace(USED, devid=9)])
    assert stock.exists()
    assert not own.exists()
    forget_stale([FREE])
    assert not stock.exists()


def test_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "STOCK_DIRECTORY", Path("/proc/none"))
    monkeypatch.setattr(remembered, "DIRECTORY", Path("/proc/none"))
    remember(3, OURS)
    assert remembered_on(USED) is None
    forget(3)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    parsed = parse_stock(data)
    assert parsed is None or (parsed.host and parsed.port and parsed.busid)
    parse_own(data)


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["host", "port", "busid", "devid", "started", "selector", "more"]), _VALUES
    )
)
def test_any_json_does_no_harm(fields: dict[str, object]) -> None:
    parsed = parse_own(json.dumps(fields).encode())
    if parsed is not None:
        assert isinstance(parsed.server, str)
        assert parsed.devid is None or type(parsed.devid) is int


def test_a_record_that_has_no_end(directories: Path) -> None:
    (directories / "vhci_hcd").mkdir()
    (directories / "vhci_hcd/port3").symlink_to("/dev/zero")
    assert remembered_on(USED) is None
