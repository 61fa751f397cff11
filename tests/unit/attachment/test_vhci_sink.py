"""Handing a device to the kernel, where the kernel is a directory and the stream is real."""

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.attachment import Imported, attach_to_vhci, stay_on_vhci, vhci_sink
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.errors import DeviceUnpluggedError, GadgetipError, LinkLostError
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.remote import DeviceBusyError, FoundDevice, ImportedDevice, stale_session
from gadgetip.vhci import Remembered, ports, remember, remembered
from gadgetip.wire import ClientConnection
from tests.unit.gadget.devices import HS_STICK
from tests.unit.pump.stub import tcp_pair
from tests.unit.remote.examples import record

FREE = "hs  0004 004 000 00000000 000000 0-0\n"
USED = "hs  0004 006 003 00010002 000000 3-1\n"
ADDRESS = HostAddress("nas", 3241)
SELECTOR = DeviceSelector.parse("0781:5581")


class Machine:
    """One port, a stream to a server, and what became of both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stream, self.server = tcp_pair()
        (directory / "attach").write_text("")
        (directory / "detach").write_text("")
        self.show(FREE)

    def show(self, row: str) -> None:
        (self.directory / "status").write_text(row)

    def search(self, *_: object) -> FoundDevice:
        imported = ImportedDevice(ADDRESS, record("1-2", HS_STICK), self.stream, ClientConnection())
        return FoundDevice(imported, HS_STICK)

    def stock_record(self) -> Path:
        return self.directory / "stock/port4"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(ports, "CONTROLLER", tmp_path)
    monkeypatch.setattr(remembered, "STOCK_DIRECTORY", tmp_path / "stock")
    monkeypatch.setattr(remembered, "DIRECTORY", tmp_path / "own")
    monkeypatch.setattr(stale_session, "DIRECTORY", tmp_path / "imports")
    monkeypatch.setattr(vhci_sink, "require_vhci", lambda: None)
    monkeypatch.setattr(vhci_sink, "LOOK_S", 0.05)
    monkeypatch.setattr(ports, "wait_until_free", lambda *_: None)
    made = Machine(tmp_path)
    handlers = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    try:
        yield made
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        made.server.close()
        made.stream.close()


def test_the_stream_is_the_kernels(machine: Machine) -> None:
    number = machine.stream.fileno()
    imported = attach_to_vhci(ADDRESS, SELECTOR, machine.search)
    assert imported.port.number == 4
    assert (machine.directory / "attach").read_text() == f"4 {number} {0x10002} 3"
    assert machine.stock_record().read_text() == "nas 3241 1-2\n"
    assert machine.stream.fileno() == -1
    assert len(list((machine.directory / "imports").iterdir())) == 1


def stay(machine: Machine, *, then: object) -> list[Imported]:
    """Stay attached; `then` happens as soon as it is."""
    there: list[Imported] = []

    def attached(imported: Imported) -> None:
        there.append(imported)
        machine.show(USED)
        assert callable(then)
        then()

    stay_on_vhci(ADDRESS, SELECTOR, machine.search, attached)
    return there


@pytest.mark.parametrize("why", [LinkLostError("broken"), DeviceUnpluggedError("pulled out")])
def test_a_loss_is_noticed_and_explained(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, why: Exception
) -> None:
    async def is_still_exported(address: HostAddress, busid: str) -> Exception:
        assert (address, busid) == (ADDRESS, "1-2")
        return why

    monkeypatch.setattr(vhci_sink, "is_still_exported", is_still_exported)

    def lose() -> None:
        def go() -> None:
            machine.server.shutdown(socket.SHUT_RDWR)
            machine.stream.shutdown(socket.SHUT_RDWR)
            machine.show(FREE)

        threading.Timer(0.1, go).start()

    with pytest.raises(type(why)):
        stay(machine, then=lose)
    assert not machine.stock_record().exists()
    assert (machine.directory / "detach").read_text() == ""
    assert len(list((machine.directory / "imports").iterdir())) == 1


def test_what_was_found_is_told_before_the_kernel_gets_it(machine: Machine) -> None:
    """Where every port is taken, who hears of that must know what was lost."""
    machine.show(USED)
    found: list[FoundDevice] = []
    attached: list[Imported] = []
    with pytest.raises(GadgetipError, match="port"):
        stay_on_vhci(ADDRESS, SELECTOR, machine.search, attached.append, on_found=found.append)
    assert [each.imported.record.busid for each in found] == ["1-2"]
    assert attached == []
    assert machine.stream.fileno() == -1


def test_the_user_stops_it(machine: Machine) -> None:
    there = stay(machine, then=lambda: signal.raise_signal(signal.SIGTERM))
    assert len(there) == 1
    assert (machine.directory / "detach").read_text() == "4"
    assert not machine.stock_record().exists()
    assert list((machine.directory / "imports").iterdir()) == []
    assert machine.stream.fileno() == -1


def test_the_stock_tool_detaches_it(machine: Machine) -> None:
    def detach() -> None:
        machine.stock_record().unlink()
        machine.show(FREE)

    assert len(stay(machine, then=detach)) == 1


def test_another_device_on_the_port_is_not_ours(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_still_exported(*_: object) -> Exception:
        return LinkLostError("broken")

    monkeypatch.setattr(vhci_sink, "is_still_exported", is_still_exported)
    with pytest.raises(LinkLostError):
        stay(machine, then=lambda: machine.show(USED.replace("00010002", "00010003")))


def test_a_device_that_is_attached_here_already(machine: Machine) -> None:
    attach_to_vhci(ADDRESS, SELECTOR, machine.search)
    machine.show(USED)

    def busy(*_: object) -> FoundDevice:
        raise DeviceBusyError("in use by another client")

    with pytest.raises(DeviceBusyError, match="attached to this machine already, on vhci port 4"):
        attach_to_vhci(ADDRESS, DeviceSelector.parse("1-2"), busy)
    with pytest.raises(DeviceBusyError, match="in use by another client"):
        attach_to_vhci(ADDRESS, DeviceSelector.parse("1-3"), busy)


def test_a_port_in_error_is_detached(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_still_exported(*_: object) -> Exception:
        return LinkLostError("broken")

    monkeypatch.setattr(vhci_sink, "is_still_exported", is_still_exported)
    with pytest.raises(LinkLostError):
        stay(machine, then=lambda: machine.show("hs  0004 007 000 00000000 000000 0-0\n"))
    assert (machine.directory / "detach").read_text() == "4"


OTHER = Remembered("other", "3240", "1-2", devid=0x10002)


@pytest.mark.parametrize("row", [USED, "hs  0004 007 000 00000000 000000 0-0\n"])
def test_a_port_that_became_somebody_elses_is_left_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    async def is_still_exported(*_: object) -> Exception:
        return LinkLostError("broken")

    monkeypatch.setattr(vhci_sink, "is_still_exported", is_still_exported)

    def lose() -> None:
        remember(4, OTHER)
        machine.show(row)

    # The stock tool's record is another's: somebody detached ours, and took the port.
    assert len(stay(machine, then=lose)) == 1
    assert (machine.directory / "detach").read_text() == ""
    assert machine.stock_record().exists()


def test_the_user_stops_it_when_the_port_is_somebody_elses(machine: Machine) -> None:
    def stop() -> None:
        remember(4, OTHER)
        signal.raise_signal(signal.SIGTERM)

    assert len(stay(machine, then=stop)) == 1
    assert (machine.directory / "detach").read_text() == ""
    assert machine.stock_record().exists()


def test_a_driver_that_does_not_let_go(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhci_sink, "FREE_LIMIT_S", 0.2)

    def lose() -> None:
        machine.server.shutdown(socket.SHUT_RDWR)
        machine.stream.shutdown(socket.SHUT_RDWR)

    with pytest.raises(GadgetipError, match=r"port 4 is not free .* a driver of this machine"):
        stay(machine, then=lose)
    assert machine.stream.fileno() == -1
    assert not machine.stock_record().exists()
