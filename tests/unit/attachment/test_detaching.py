"""Which of the attached things is meant, and how each is taken off."""

from dataclasses import replace

import pytest

from gadgetip.attachment import detaching
from gadgetip.attachment.detaching import Attached, choose, detach, join
from gadgetip.attachment.running import Running
from gadgetip.errors import GadgetipError, UsageError
from gadgetip.usb import Speed
from gadgetip.vhci import PortStatus, Remembered, VhciPort, remembered

FIRST = VhciPort(0, False, PortStatus.USED, Speed.HIGH, 0x10002, "3-1")
SECOND = VhciPort(7, False, PortStatus.USED, Speed.HIGH, 0x10003, "3-8")
STARTING = VhciPort(20, True, PortStatus.NOT_ASSIGNED, Speed.UNKNOWN, 0, "0-0")
FROM_NAS = Remembered("nas", "3240", "1-2", devid=0x10002)
KEPT = Running(41, 1, 1.0, "vhci", "nas", "serial=B", busid="1-3", port=7)
AWAITED = Running(42, 1, 1.0, "vhci", "nas", "0483:5740")
GADGET = Running(43, 1, 1.0, "gadget", "nas", "1-9", busid="1-9", udc="dummy_udc.0")
EVERYTHING = join([(FIRST, FROM_NAS), (SECOND, None), (STARTING, None)], [KEPT, AWAITED, GADGET])


def test_ports_and_who_keeps_them_belong_together() -> None:
    assert [
        Attached(FIRST, FROM_NAS),
        Attached(SECOND, None, KEPT),
        Attached(STARTING),
        Attached(running=AWAITED),
        Attached(running=GADGET),
    ] == EVERYTHING
    # A port that was just lost is nobody's, but its keeper can still be ended.
    assert join([], [KEPT]) == [Attached(running=KEPT)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("00", 0),
        ("7", 1),
        ("20", 2),
        ("1-2", 0),
        ("3-1", 0),
        ("3-8", 1),
        ("1-3", 1),
        ("0483:5740", 3),
        ("1-9", 4),
        ("dummy_udc.0", 4),
    ],
)
def test_what_is_meant(text: str, number: int) -> None:
    assert choose(EVERYTHING, text) is EVERYTHING[number]


def test_a_port_on_which_nothing_is() -> None:
    assert choose(EVERYTHING, "5") is None
    assert choose([], "999999999") is None


@pytest.mark.parametrize("text", ["0000000000", "1234567890", "9" * 5000])
def test_a_number_that_is_no_port(text: str) -> None:
    cut = Attached(replace(FIRST, number=123456789))
    with pytest.raises(GadgetipError, match="there is no port") as error:
        choose([*EVERYTHING, cut], text)
    assert len(str(error.value)) < 100


def test_several_are_meant() -> None:
    both = [Attached(FIRST, FROM_NAS), Attached(SECOND, replace(FROM_NAS, busid="3-1"))]
    with pytest.raises(UsageError, match=r"3-1 is 2 attached devices: .*port 0.*; .*port 7"):
        choose(both, "3-1")


def test_none_is_meant() -> None:
    with pytest.raises(GadgetipError, match="1-7 is not attached here: nothing is"):
        choose([], "1-7")
    with pytest.raises(GadgetipError, match=r"attached: 1-2 of nas on port 0, 3-1 here; .*unknown"):
        choose(EVERYTHING, "1-7")
    with pytest.raises(GadgetipError):
        choose(EVERYTHING, "0-0")


class Machine:
    """What was done to it, in order."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, port: VhciPort = FIRST, *, ends: bool = True
    ) -> None:
        self.done: list[object] = []
        self.ends = ends
        self.port = port
        self.then = replace(port, status=PortStatus.FREE)
        self.record: Remembered | None = None
        monkeypatch.setattr(remembered, "remembered_on", lambda _: self.record)
        monkeypatch.setattr(detaching, "stop", self.stop)
        monkeypatch.setattr(detaching, "forget", self.forget)
        monkeypatch.setattr(detaching, "detach_port", self.done.append)
        monkeypatch.setattr(detaching, "wait_until_free", lambda *_: None)
        monkeypatch.setattr(detaching, "port_numbered", lambda _: self.port)

    def forget(self, number: int, ours: Remembered | None) -> None:
        self.done.append(("forget", number, ours))

    def stop(self, running: Running) -> None:
        self.done.append(running.pid)
        if not self.ends:
            raise GadgetipError("it does not end")
        self.port = self.then


def test_a_port_of_nobody_is_detached_after_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    detach(Attached(FIRST, FROM_NAS))
    assert machine.done == [("forget", 0, FROM_NAS), 0]


def test_a_process_that_keeps_a_port_detaches_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, SECOND)
    detach(Attached(SECOND, None, KEPT))
    assert machine.done == [41]


@pytest.mark.parametrize(
    ("then", "record"),
    [
        (replace(SECOND, devid=0x10004), None),
        (SECOND, Remembered("other", "3240", "1-2", devid=0x10003)),
        (replace(STARTING, number=7), Remembered("other", "3240", "1-2", devid=0x10003)),
    ],
)
def test_a_port_that_became_somebody_elses_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, then: VhciPort, record: Remembered | None
) -> None:
    kept = Remembered("nas", "3240", "1-3", devid=0x10003)
    machine = Machine(monkeypatch, SECOND)
    machine.then, machine.record = then, record
    detach(Attached(SECOND, kept, KEPT))
    assert machine.done == [41]
    # Where nobody has taken it off for us, it is said.
    machine.port = then
    with pytest.raises(GadgetipError, match="port 7 does not show what it did"):
        detach(Attached(SECOND, kept))
    assert machine.done == [41]


def test_a_driver_that_held_it_after_its_keeper_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, SECOND)
    machine.then = SECOND
    detach(Attached(SECOND, None, KEPT))
    assert machine.done == [41, ("forget", 7, None), 7]


def test_a_process_that_hangs_loses_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, SECOND, ends=False)
    detach(Attached(SECOND, None, KEPT))
    assert machine.done == [41, ("forget", 7, None), 7]
    with pytest.raises(GadgetipError, match="does not end"):
        detach(Attached(running=GADGET))
