import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.attachment import Traffic, running
from gadgetip.attachment.running import Registration, Running, list_running, parse_running, stop


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "DIRECTORY", tmp_path / "attachments")
    return tmp_path / "attachments"


def test_an_attachment_is_listed_while_it_runs(directory: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Registration("vhci", "nas", "0781:5581") as registration:
        [awaited] = list_running()
        assert (awaited.pid, awaited.to, awaited.busid) == (os.getpid(), "vhci", None)
        registration.attached("1-2", port=3)
        [there] = list_running()
        assert (there.busid, there.port, there.device) == ("1-2", 3, "0781:5581")
        registration.lost()
        assert list_running() == [awaited]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert list_running() == []
    assert list(directory.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_has_moved_is_listed_until_the_device_is_lost() -> None:
    with Registration("gadget", "nas", "1-2", "dummy_udc.0") as registration:
        registration.attached("1-2", udc="dummy_udc.0", window_urbs=8)
        assert (list_running()[0].window_urbs, list_running()[0].traffic) == (8, None)
        began = time.monotonic()
        traffic = Traffic(1, 2, 3, 4, 5, 6, 7, 0.5, 0.25, 8)
        registration.moved(traffic)
        [there] = list_running()
        assert there.traffic == traffic
        assert there.counted_s is not None
        assert began <= there.counted_s <= time.monotonic()
        registration.moved(Traffic(2, 3))
        assert list_running()[0].traffic == Traffic(2, 3)
        registration.lost()
        [awaited] = list_running()
        assert (awaited.traffic, awaited.counted_s, awaited.window_urbs) == (None, None, None)


def test_a_controller_that_was_asked_for_is_known_from_the_beginning() -> None:
    with Registration("gadget", "nas", "1-2", "dummy_udc.0") as registration:
        assert list_running()[0].udc == "dummy_udc.0"
        registration.attached("1-2", udc="dummy_udc.0")
        registration.lost()
        assert list_running()[0].udc == "dummy_udc.0"


def test_what_a_dead_process_left_behind_is_removed(directory: Path) -> None:
    directory.mkdir()
    mine = {"started": 1.0, "to": "vhci", "server": "nas", "device": "1-2"}
    # The process id is in use, by another process.
    (directory / "1.json").write_text(json.dumps({"pid": os.getpid(), "start_ticks": 1, **mine}))
    (directory / "2.json").write_text("nonsense")
    (directory / "3.json").symlink_to("/dev/zero")
    assert list_running() == []
    assert list(directory.iterdir()) == []


def test_what_a_killed_one_left_goes_when_the_next_begins(directory: Path) -> None:
    directory.mkdir()
    (directory / "2.json").write_text("nonsense")
    with Registration("vhci", "nas", "1-2"):
        assert [path.name for path in directory.iterdir()] == [f"{os.getpid()}.json"]


def test_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "DIRECTORY", Path("/proc/none"))
    with Registration("vhci", "nas", "1-2") as registration:
        registration.lost()
        assert list_running() == []


SLEEPER = """
import signal, sys, time
from pathlib import Path
from gadgetip.attachment import running
running.DIRECTORY = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a background job of a shell
try:
    with running.Registration("vhci", "nas", "1-2"):
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_an_attachment_is_told_to_end(directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(directory)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        [there] = list_running()
        other = Running(there.pid, there.start_ticks + 1, 1.0, "vhci", "nas", "1-2")
        stop(other)  # another process by now: not touched
        assert process.poll() is None
        stop(there)
        assert process.wait(10) == 7
    stop(there)
    assert list_running() == []


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
_FIELDS = ["pid", "start_ticks", "started", "to", "server", "device", "busid", "port", "udc", "x"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _VALUES))
def test_any_json_does_no_harm(fields: dict[str, object]) -> None:
    parsed = parse_running(json.dumps(fields).encode())
    assert parsed is None or (type(parsed.pid) is int and parsed.pid > 0)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    assert parse_running(data) is None
