"""Endpoint 0 of FunctionFS: what is done for each request, and by which numbers it is passed on."""

import errno
import gc
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from functionfs.functionfs import BIND, DISABLE, ENABLE, RESUME, SETUP, SUSPEND, UNBIND

from gadgetip.gadget import HostEvent
from gadgetip.gadget.host_events import FillerEvents, FunctionFsEvents
from gadgetip.gadget.udc_models import DUMMY_HCD, USBIP_VUDC
from gadgetip.usb import SetupPacket

from .devices import device, stick
from .planning import functionfs, only
from .scripted_ep0 import Stage, functionfs_event

IN = SetupPacket(0xC0, 1, 2, 3, 8)
OUT = SetupPacket(0x40, 1, 2, 3, 5)
NO_DATA = SetupPacket(0x40, 1, 2, 3, 0)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def make(
    stage: Stage, interfaces: Sequence[int] = (0,), addresses: Sequence[int] = ()
) -> FunctionFsEvents:
    return FunctionFsEvents(stage.open(), 7, interfaces, addresses)


def test_its_file_is_the_backends_to_close(tmp_path: Path) -> None:
    """Its number may be another file's by the time when this is collected."""
    file = os.open(tmp_path / "ep0", os.O_RDWR | os.O_CREAT)
    events = FunctionFsEvents(file, 7, (0,), ())
    del events
    gc.collect()
    os.close(file)  # EBADF, if it were closed already


def test_events_tell_which_configuration_they_are_about(stage: Stage) -> None:
    kinds = (BIND, ENABLE, SUSPEND, RESUME, DISABLE)
    told = stage.play(make(stage), [functionfs_event(kind) for kind in kinds])
    assert told == [
        (HostEvent.ENABLE, 7),
        (HostEvent.SUSPEND, 7),
        (HostEvent.RESUME, 7),
        (HostEvent.DISABLE, 7),
    ]


def test_an_unbound_replica_is_gone(stage: Stage) -> None:
    assert stage.play(make(stage), [functionfs_event(UNBIND)]) == []


def test_data_goes_to_the_host(stage: Stage) -> None:
    steps = [functionfs_event(SETUP, IN), ("write", b"12345678", b"")]
    assert stage.play(make(stage), steps, answer=b"123456789") == [IN]  # no more than was asked


def test_data_comes_from_the_host(stage: Stage) -> None:
    steps = [functionfs_event(SETUP, OUT), ("read", 5, b"12345")]
    assert stage.play(make(stage), steps) == [(OUT, b"12345")]


def test_a_request_without_data_is_acknowledged_by_reading_nothing(stage: Stage) -> None:
    assert stage.play(make(stage), [functionfs_event(SETUP, NO_DATA), ("read", 0, b"")])


@pytest.mark.parametrize(
    ("setup", "call", "nothing"), [(IN, "read", 0), (NO_DATA, "write", b"")], ids=["in", "no-data"]
)
def test_what_the_device_refuses_is_stalled(
    stage: Stage, setup: SetupPacket, call: str, nothing: int | bytes
) -> None:
    """By the call that its direction does not want, which the kernel answers with EL2HLT."""
    steps = [functionfs_event(SETUP, setup), (call, nothing, errno.EL2HLT)]
    assert stage.play(make(stage), steps, answer=None) == [setup]


def test_data_that_the_device_refuses_was_acknowledged_before(stage: Stage) -> None:
    steps = [functionfs_event(SETUP, OUT), ("read", 5, b"12345"), functionfs_event(ENABLE)]
    assert stage.play(make(stage), steps, answer=None)[-1] == (HostEvent.ENABLE, 7)


@pytest.mark.parametrize("number", [errno.EIDRM, errno.EINTR, errno.EAGAIN])
def test_a_failure_to_read_that_passes(stage: Stage, number: int) -> None:
    steps = [("read", 12, number), functionfs_event(ENABLE)]
    assert stage.play(make(stage), steps) == [(HostEvent.ENABLE, 7)]


@pytest.mark.parametrize("number", [errno.EIDRM, errno.ESHUTDOWN])
def test_a_host_that_gives_up_in_the_middle(stage: Stage, number: int) -> None:
    steps = [functionfs_event(SETUP, IN), ("write", b"a", number), functionfs_event(DISABLE)]
    assert stage.play(make(stage), steps, answer=b"a") == [IN, (HostEvent.DISABLE, 7)]


def test_an_event_that_is_cut_is_none(stage: Stage) -> None:
    assert stage.play(make(stage), [("read", 12, b"\1\2\3")]) == []


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_type", "index", "own"),
    [
        (0x21, 1, 5),  # an interface by its place
        (0x21, 0, 2),
        (0x21, 0x0301, 0x0305),  # the high byte is the entity's, where the kernel leaves it
        (0x21, 2, 2),  # there is no third
        (0x22, 1, 0x81),  # an endpoint by its place, from 1
        (0x22, 2, 0x02),
        (0x22, 3, 3),
        (0x22, 0, 0),
        (0x40, 1, 1),  # the device
        (0x43, 1, 1),  # something else
    ],
)
def test_a_request_has_the_devices_own_numbers(
    stage: Stage, request_type: int, index: int, own: int
) -> None:
    setup = SetupPacket(request_type, 9, 0, index, 0)
    steps = [functionfs_event(SETUP, setup), ("read", 0, b"")]
    (told,) = stage.play(make(stage, (2, 5), (0x81, 0x02)), steps)
    assert told == SetupPacket(request_type, 9, 0, own, 0)


def test_a_filler_tells_no_events(stage: Stage) -> None:
    kinds = (BIND, ENABLE, SUSPEND, RESUME, DISABLE, UNBIND)
    events = FillerEvents(stage.open(), 1, (), (0x02,))
    assert stage.play(events, [functionfs_event(kind) for kind in kinds]) == []


@pytest.mark.parametrize(("index", "own"), [(1, 0x82), (2, 2), (3, 0x01), (4, 4)])
def test_a_filler_passes_on_what_was_meant_for_another_endpoint(
    stage: Stage, index: int, own: int
) -> None:
    """Those whose number no endpoint of the device has stay as they are."""
    setup = SetupPacket(0x22, 1, 0, index, 0)
    events = FillerEvents(stage.open(), 1, (), (0x82, 0, 0x01))
    steps = [functionfs_event(SETUP, setup), ("read", 0, b"")]
    assert stage.play(events, steps) == [SetupPacket(0x22, 1, 0, own, 0)]


def test_the_plan_knows_whose_numbers_its_fillers_have() -> None:
    planned = only(functionfs(device(stick(0x81, 0x02)), USBIP_VUDC))
    assert len(planned.fillers) == 1  # takes 0x01, so that the next is 0x02
    assert planned.filler_addresses == (0x81,)
    planned = only(functionfs(device(stick(0x82, 0x01)), DUMMY_HCD))
    assert len(planned.fillers) == len(planned.filler_addresses)
    assert set(planned.filler_addresses) == {0, 0x82, 0x01}
    assert only(functionfs(device(stick(0x81, 0x02)), DUMMY_HCD)).filler_addresses == ()
