"""Endpoint 0 of GadgetFS: requests, and how one that cancelled another is brought to its end."""

import errno
import os
from pathlib import Path

import pytest

from gadgetip.gadget import HostEvent, gadgetfs_events
from gadgetip.gadget.gadgetfs_events import MAX_CONTROL_BYTES, GadgetFsEvents
from gadgetip.usb import SetupPacket

from .scripted_ep0 import Stage, Step, gadgetfs_event

NOP, CONNECT, DISCONNECT, SETUP, SUSPEND = range(5)
IN = SetupPacket(0xC0, 1, 2, 3, 8)
IN_NOTHING = SetupPacket(0xC0, 1, 2, 3, 0)
OUT = SetupPacket(0x40, 1, 2, 3, 5)
NO_DATA = SetupPacket(0x40, 1, 2, 3, 0)
OTHER = SetupPacket(0xC0, 9, 0, 0, 4)

CANCELLED: list[Step] = [gadgetfs_event(SETUP, IN), ("write", b"a", errno.EIDRM)]
"""The host gave up an IN request while its answer was written, and sent another request."""

DATA_STAGE = MAX_CONTROL_BYTES
IN_IS_STALLED: list[Step] = [("read", DATA_STAGE, errno.EL2HLT)]
NO_DATA_IS_STALLED: list[Step] = [("read", DATA_STAGE, errno.EAGAIN), ("write", b"", errno.EL2HLT)]
DATA_IS_TAKEN: list[Step] = [("read", DATA_STAGE, b"12345")]


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gadgetfs_events, "NOT_YET_BOUND_S", 0)
    monkeypatch.setattr(gadgetfs_events, "SETTLE_PAUSE_S", 0)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


# --- requests and events ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setup", "answer", "steps"),
    [
        (IN, b"12", [("write", b"12", b"")]),
        (IN, b"123456789", [("write", b"12345678", b"")]),
        (IN, None, [("read", 0, errno.EL2HLT)]),
        (IN_NOTHING, b"", [("write", b"", b"")]),
        (IN_NOTHING, None, [("read", 0, errno.EL2HLT)]),
        (NO_DATA, b"", [("read", 0, b"")]),
        (NO_DATA, None, [("write", b"", errno.EL2HLT)]),
        # SET_CONFIGURATION on some controllers cannot be stalled, and must end.
        (NO_DATA, None, [("write", b"", errno.ESRCH), ("read", 0, b"")]),
    ],
)
def test_a_request(
    stage: Stage, setup: SetupPacket, answer: bytes | None, steps: list[Step]
) -> None:
    told = stage.play(
        GadgetFsEvents(stage.open()), [gadgetfs_event(SETUP, setup), *steps], answer=answer
    )
    assert told == [setup]


@pytest.mark.parametrize("answer", [b"", None])
def test_data_of_the_host_is_read_before_the_device_judges(
    stage: Stage, answer: bytes | None
) -> None:
    steps: list[Step] = [gadgetfs_event(SETUP, OUT), ("read", 5, b"12345")]
    assert stage.play(GadgetFsEvents(stage.open()), steps, answer=answer) == [(OUT, b"12345")]


def test_nothing_is_read_until_the_gadget_is_bound(stage: Stage) -> None:
    steps: list[Step] = [("read", 12, errno.EINVAL)] * 3 + [gadgetfs_event(CONNECT)]
    assert stage.play(GadgetFsEvents(stage.open()), steps) == []


@pytest.mark.parametrize("number", sorted(gadgetfs_events._OVER))
def test_a_gadget_that_is_no_more_is_gone(stage: Stage, number: int) -> None:
    assert stage.play(GadgetFsEvents(stage.open()), [("read", 12, number)]) == []


@pytest.mark.parametrize("kind", [CONNECT, SETUP, DISCONNECT, NOP])
def test_the_next_event_tells_of_a_resume(stage: Stage, kind: int) -> None:
    steps = [gadgetfs_event(SUSPEND), gadgetfs_event(SUSPEND), gadgetfs_event(kind, IN)]
    if kind == SETUP:
        steps.append(("write", b"a", b""))
    told = stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a")
    expected = [(HostEvent.SUSPEND, 0), (HostEvent.SUSPEND, 0), (HostEvent.RESUME, 0)]
    more = {SETUP: IN, DISCONNECT: (HostEvent.DISCONNECT, 0)}
    assert told == expected + ([more[kind]] if kind in more else [])


@pytest.mark.parametrize("was_read", [True, False])
def test_a_second_connection_tells_of_the_end_of_the_first(stage: Stage, was_read: bool) -> None:
    """The kernel drops a DISCONNECT that nobody has read when the host connects again."""
    steps = [gadgetfs_event(CONNECT)]
    steps += [gadgetfs_event(DISCONNECT)] if was_read else []
    told = stage.play(GadgetFsEvents(stage.open()), [*steps, gadgetfs_event(CONNECT)])
    assert told == [(HostEvent.DISCONNECT, 0)]


# --- a request that cancelled another ---------------------------------------------------------


@pytest.mark.parametrize(
    ("settling", "setup", "stall"),
    [
        (IN_IS_STALLED, OTHER, ("read", 0, errno.EL2HLT)),
        (NO_DATA_IS_STALLED, NO_DATA, ("write", b"", errno.EL2HLT)),
        # One more came in the middle: the last one is what counts.
        ([("read", DATA_STAGE, errno.EIDRM), *IN_IS_STALLED], OTHER, ("read", 0, errno.EL2HLT)),
        (
            [("read", DATA_STAGE, errno.EAGAIN), ("write", b"", errno.EIDRM), *IN_IS_STALLED],
            OTHER,
            ("read", 0, errno.EL2HLT),
        ),
    ],
)
def test_it_is_stalled_and_stalled_again_when_its_event_comes(
    stage: Stage, settling: list[Step], setup: SetupPacket, stall: Step
) -> None:
    steps = [*CANCELLED, *settling, gadgetfs_event(SETUP, setup), stall]
    steps += [gadgetfs_event(SETUP, IN), ("write", b"a", b"")]  # and then all is as before
    told = stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a")
    assert told == [IN, IN]  # the device never hears of the one that could not be served


@pytest.mark.parametrize(
    ("data", "setup"),
    [(b"12345", OUT), (b"1234567", OUT), (b"123", SetupPacket(0x21, 9, 0, 0, 3))],
)
def test_its_data_comes_first_and_its_event_afterwards(
    stage: Stage, data: bytes, setup: SetupPacket
) -> None:
    steps = [*CANCELLED, ("read", DATA_STAGE, data), gadgetfs_event(SETUP, setup)]
    told = stage.play(GadgetFsEvents(stage.open()), [*steps, gadgetfs_event(NOP)], answer=b"a")
    assert told == [IN, (setup, data[: setup.wLength])]


def test_data_on_its_way_is_waited_for_without_blocking(stage: Stage) -> None:
    """The data may not be there yet, and a request of this kind cannot be stalled (ESRCH)."""
    waiting: list[Step] = [("read", DATA_STAGE, errno.EAGAIN), ("write", b"", errno.ESRCH)]
    steps = [*CANCELLED, *waiting, *waiting, *DATA_IS_TAKEN, gadgetfs_event(SETUP, OUT)]
    told = stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a")
    assert told == [IN, (OUT, b"12345")]
    assert stage.ep0.nonblocking == [False, False, *[True] * 5, False]


def test_data_that_is_lost_is_said(stage: Stage) -> None:
    steps: list[Step] = [gadgetfs_event(SETUP, OUT), ("read", 5, errno.EIDRM), *IN_IS_STALLED]
    steps += [gadgetfs_event(SETUP, OTHER), ("read", 0, errno.EL2HLT)]
    assert stage.play(GadgetFsEvents(stage.open()), steps) == [("lost", OUT)]


def test_a_request_that_is_cancelled_while_the_next_event_is_awaited(stage: Stage) -> None:
    steps: list[Step] = [("read", 12, errno.EIDRM), *DATA_IS_TAKEN, gadgetfs_event(SETUP, OUT)]
    assert stage.play(GadgetFsEvents(stage.open()), steps) == [(OUT, b"12345")]


@pytest.mark.parametrize(
    ("settling", "setup", "steps", "told"),
    [
        (IN_IS_STALLED, OUT, [("read", 5, b"abcde")], (OUT, b"abcde")),
        (DATA_IS_TAKEN, OTHER, [("write", b"a", b"")], OTHER),
    ],
)
def test_an_event_of_another_kind_is_another_requests(
    stage: Stage,
    settling: list[Step],
    setup: SetupPacket,
    steps: list[Step],
    told: object,
) -> None:
    script = [*CANCELLED, *settling, gadgetfs_event(SETUP, setup), *steps]
    assert stage.play(GadgetFsEvents(stage.open()), script, answer=b"a") == [IN, told]


def test_an_event_that_comes_much_later_is_another_requests(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was settled is then one that the kernel answers by itself, and tells nothing of."""
    monkeypatch.setattr(gadgetfs_events, "EVENT_LIMIT_S", -1)
    steps = [*CANCELLED, *IN_IS_STALLED, gadgetfs_event(SETUP, OTHER), ("write", b"a", b"")]
    assert stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a") == [IN, OTHER]


@pytest.mark.parametrize("kind", [CONNECT, DISCONNECT])
def test_a_new_connection_begins_anew(stage: Stage, kind: int) -> None:
    steps = [*CANCELLED, *IN_IS_STALLED, gadgetfs_event(kind)]
    steps += [gadgetfs_event(SETUP, OTHER), ("write", b"a", b"")]
    told = stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a")
    assert told[-1] == OTHER


def test_what_cannot_be_settled_does_not_hold_up_the_rest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gadgetfs_events, "SETTLE_LIMIT_S", 0.02)
    steps = [*CANCELLED, gadgetfs_event(SETUP, OTHER), ("write", b"a", b"")]
    never: list[Step] = [("read", DATA_STAGE, errno.EAGAIN), ("write", b"", errno.ESRCH)]
    told = stage.play(GadgetFsEvents(stage.open()), steps, answer=b"a", always=never)
    assert told == [IN, OTHER]


def test_settling_ends_where_the_host_has_gone_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that wait are no data stage: they are left for the one who reads events."""
    file = os.open(tmp_path / "ep0", os.O_RDWR | os.O_CREAT)
    read: list[int] = []
    monkeypatch.setattr(gadgetfs_events.GadgetFsEvents, "_try_to_settle", lambda _: read.append(1))
    events = gadgetfs_events.GadgetFsEvents(file)
    events._settle()  # an ordinary file is always readable
    assert read == []
    os.close(file)
