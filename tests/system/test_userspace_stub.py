"""The user-space stub against the kernel's own client, stock `usbip attach`, with drivers on top.

`usbip-host` has nothing to do with it; the same devices pass the same tests through it.
"""

import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.usb import SetupPacket
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    OpStatus,
    RepImport,
    ReqImport,
    RetSubmit,
    RetUnlink,
)
from tests.system import drivers, host, usbtest
from tests.system.devices import Gadget, catalogue
from tests.system.stick import Stick, sha256
from tests.system.test_classes import KEYS, USAGE_A
from tests.system.userspace_server import PORT, UserspaceServer, detach_all
from tests.system.waiting import wait_for

CLIENT_UDC = usbtest.VHCI_UDC  # stands for the first vhci controller
UDC = "dummy_udc.0"
ANSWER_LIMIT_S = 30.0
FREE_LIMIT_S = 20.0
ITERATIONS = 4
CASES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 17, 18, 21)
AUDIO = "46f4:0002"  # QEMU's usb-audio, which `make captures` adds to the machine


class RawClient:
    """A client that speaks USB/IP itself, and stops in the middle whenever it likes."""

    def __init__(self, busid: str, port: int = PORT) -> None:
        self.stream = socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_S)
        self.connection = ClientConnection()
        self.stream.sendall(self.connection.send(ReqImport(busid)))
        reply = self.receive()
        assert isinstance(reply, RepImport)
        self.status = reply.status
        self.devid = reply.device.devid if reply.device else 0
        self._seqnum = 0

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def receive(self) -> object:
        """The next message."""
        while (message := self.connection.next_event()) is NEED_DATA:
            data = self.stream.recv(65536)
            if data:
                self.connection.receive_data(data)
            else:
                self.connection.receive_eof()
        return message

    def submit(self, address: int, length: int, setup: bytes = bytes(8)) -> int:
        """Send a CMD_SUBMIT; returns its number."""
        self._seqnum += 1
        direction = Direction.IN if address & 0x80 else Direction.OUT
        message = CmdSubmit(
            self._seqnum,
            self.devid,
            direction,
            address & 0x0F,
            transfer_buffer_length=length,
            setup=setup,
            data=b"" if direction else bytes(length),
        )
        self.stream.sendall(self.connection.send(message))
        return self._seqnum

    def submit_packets(self, address: int, sizes: list[int]) -> int:
        """Send an isochronous CMD_SUBMIT."""
        self._seqnum += 1
        offsets = [sum(sizes[:number]) for number in range(len(sizes))]
        message = CmdSubmit(
            self._seqnum,
            self.devid,
            Direction.IN if address & 0x80 else Direction.OUT,
            address & 0x0F,
            transfer_buffer_length=sum(sizes),
            number_of_packets=len(sizes),
            data=b"" if address & 0x80 else bytes(sum(sizes)),
            iso_packets=tuple(map(IsoPacketDescriptor, offsets, sizes)),
        )
        self.stream.sendall(self.connection.send(message))
        return self._seqnum

    def unlink(self, seqnum: int) -> int:
        """Send a CMD_UNLINK; returns its own number."""
        self._seqnum += 1
        self.stream.sendall(self.connection.send(CmdUnlink(self._seqnum, self.devid, seqnum)))
        return self._seqnum

    def control(self, setup: SetupPacket) -> RetSubmit:
        """A control request and its answer; nothing else may be in flight."""
        self.submit(setup.bmRequestType & 0x80, setup.wLength, setup.pack())
        answer = self.receive()
        assert isinstance(answer, RetSubmit)
        return answer


def import_until_free(busid: str) -> RawClient:
    """Import a device as soon as it is free; how soon is part of the promise."""
    deadline = time.monotonic() + FREE_LIMIT_S
    while True:
        client = RawClient(busid)
        if client.status is OpStatus.OK:
            return client
        client.stream.close()
        assert client.status is OpStatus.DEV_BUSY
        assert time.monotonic() < deadline, "the device is not free again"
        time.sleep(0.1)


def drivers_of(busid: str) -> set[str]:
    """Which drivers have the device's interfaces at the server."""
    links = Path("/sys/bus/usb/devices").glob(f"{busid}:*/driver")
    return {link.resolve().name for link in links}


@pytest.fixture(scope="module")
def stick() -> Iterator[Stick]:
    with Stick(UDC, size_mib=16) as plugged:
        plugged.fill()
        yield plugged
        detach_all()


@pytest.fixture(scope="module")
def zero() -> Iterator[Gadget]:
    usbtest.load_driver()
    with Gadget(catalogue.gadget_zero(loopback=True), "dummy_udc.2") as gadget:
        yield gadget
        detach_all()


@pytest.fixture(scope="module")
def server(stick: Stick, zero: Gadget) -> Iterator[UserspaceServer]:
    """One server for both, as there is in life."""
    with UserspaceServer(stick.busid, zero.busid) as running:
        yield running
    # Whatever the tests did, this machine's own drivers have the devices again.
    wait_for(lambda: drivers_of(stick.busid) == {"usb-storage"}, "usb-storage bound again")
    wait_for(lambda: drivers_of(zero.busid) == {"usbtest"}, "usbtest bound again")


def test_a_stick_is_read_and_written(stick: Stick, server: UserspaceServer) -> None:
    with server.attached(stick.busid):
        disk = host.wait_for_disk(CLIENT_UDC)
        assert sha256(disk) == stick.checksum()
        noise = os.urandom(4 << 20)
        subprocess.run(
            ["dd", f"of={disk}", "bs=1M", "oflag=direct", "iflag=fullblock", "status=none"],
            input=noise,
            check=True,
        )
        assert stick.store.read_bytes()[: len(noise)] == noise
    host.wait_for_unplug(CLIENT_UDC)


class TestUsbtest:
    @pytest.fixture(scope="class")
    def device(self, zero: Gadget, server: UserspaceServer) -> Iterator[Path]:
        with server.attached(zero.busid):
            yield usbtest.wait_for_usbtest(CLIENT_UDC)
        host.wait_for_unplug(CLIENT_UDC)

    @pytest.mark.parametrize("number", CASES, ids=lambda n: f"{n}-{usbtest.CASES[n]}")
    def test_case(self, device: Path, number: int) -> None:
        before = len(host.kernel_log())
        result = usbtest.run_case(device, usbtest.Case(number, ITERATIONS), 60.0)
        said = [line for line in host.kernel_log()[before:] if "usbtest" in line]
        assert result.passed, f"{result}: {said}"


def test_one_client_at_a_time(stick: Stick, server: UserspaceServer) -> None:
    with import_until_free(stick.busid), RawClient(stick.busid) as second:
        assert second.status is OpStatus.DEV_BUSY


def test_configuration_and_reset(zero: Gadget, server: UserspaceServer) -> None:
    with import_until_free(zero.busid) as client:
        assert client.control(SetupPacket.set_configuration(0)).status == 0
        client.submit(0x81, 64)
        refused = client.receive()
        assert isinstance(refused, RetSubmit)
        assert refused.status == -errno.ENOENT
        assert client.control(SetupPacket.set_configuration(2)).status == 0
        assert client.control(SetupPacket.set_interface(0, 0)).status == 0
        assert client.control(SetupPacket.port_reset()).status == 0
        assert client.control(SetupPacket.get_configuration()).data == b"\x02"
        assert client.control(SetupPacket.get_descriptor(3, 0x77)).status == -errno.EPIPE
        assert client.control(SetupPacket.set_configuration(77)).status == -errno.EPIPE
        assert client.control(SetupPacket.get_descriptor(1, length=18)).actual_length == 18
        assert client.control(SetupPacket.set_configuration(0)).status == 0
    with import_until_free(zero.busid) as client:  # as the first client found it
        assert client.control(SetupPacket.get_configuration()).data == b"\x01"


def test_unlinks_in_both_races(zero: Gadget, server: UserspaceServer) -> None:
    """Every submit is answered once, by data or by the unlink; the client's ledger checks it."""
    with import_until_free(zero.busid) as client:
        assert client.control(SetupPacket.set_configuration(1)).status == 0
        address = bulk_in(zero)
        answered = unlinked = 0
        for _ in range(60):
            unlinks = {client.unlink(client.submit(address, 4096))}
            while unlinks:
                answer = client.receive()
                if isinstance(answer, RetUnlink):
                    unlinks.remove(answer.seqnum)
                    unlinked += answer.status == -errno.ECONNRESET
                else:
                    assert isinstance(answer, RetSubmit)
                    assert answer.actual_length or answer.status
                    answered += 1
        assert answered + unlinked == 60
        assert client.connection.pending == 0


def bulk_in(zero: Gadget) -> int:
    """Gadget zero's bulk IN endpoint."""
    for endpoint in sorted(zero.sysfs.glob("*:*/ep_8*")):
        if (endpoint / "type").read_text().strip() == "Bulk":
            return int((endpoint / "bEndpointAddress").read_text(), 16)
    raise AssertionError("no bulk IN endpoint")


def test_a_client_that_is_gone_in_the_middle(
    stick: Stick, zero: Gadget, server: UserspaceServer
) -> None:
    for ending in ("with reads in flight", "inside a message", "with garbage"):
        client = import_until_free(zero.busid)
        for _ in range(8):
            client.submit(bulk_in(zero), 65536)
        if ending == "inside a message":
            client.stream.sendall(bytes(20))
        elif ending == "with garbage":
            client.stream.sendall(b"\xa5" * 96)
        client.stream.close()
    import_until_free(zero.busid).stream.close()


def test_killed_and_healed() -> None:
    """After kill -9 no driver has the device; the next server takes it and returns it."""
    with Stick("dummy_udc.3", size_mib=16) as plugged:
        with UserspaceServer(plugged.busid, port=PORT + 1) as running:
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
        wait_for(lambda: drivers_of(plugged.busid) == set(), "no driver")
        with UserspaceServer(plugged.busid, port=PORT + 1):
            pass
        wait_for(lambda: drivers_of(plugged.busid) == {"usb-storage"}, "usb-storage bound again")


def test_unplugged_in_a_transfer() -> None:
    with (
        Stick("dummy_udc.3", size_mib=16) as plugged,
        UserspaceServer(plugged.busid, port=PORT + 1) as running,
    ):
        with running.attached(plugged.busid):
            disk = host.wait_for_disk(CLIENT_UDC)
            with subprocess.Popen(
                ["dd", f"if={disk}", "of=/dev/null", "bs=1M", "iflag=direct"],
                stderr=subprocess.DEVNULL,
            ) as reading:
                time.sleep(0.5)
                plugged.unplug()
                host.wait_for_unplug(CLIENT_UDC)
                reading.kill()
        assert running.process.poll() is None


def test_keyboard() -> None:
    described = catalogue.keyboard_and_mouse()
    with (
        Gadget(described, "dummy_udc.3") as gadget,
        UserspaceServer(gadget.busid, port=PORT + 1) as running,
    ):
        with running.attached(gadget.busid):
            device = host.wait_for_device(CLIENT_UDC)
            with (
                gadget.node(described.functions[0]).open("r+b", buffering=0) as keys,
                drivers.Events(drivers.events(device, 0)) as typed,
            ):
                for number in range(10):
                    keys.write(bytes([0, 0, USAGE_A + number, 0, 0, 0, 0, 0]))
                    keys.write(bytes(8))
                pressed = [code for code, value in typed.read(20, drivers.EV_KEY, 30.0) if value]
                assert pressed == list(KEYS[:10])
        host.wait_for_unplug(CLIENT_UDC)


def test_serial_port() -> None:
    described = catalogue.cdc_acm()
    with (
        Gadget(described, "dummy_udc.3") as gadget,
        UserspaceServer(gadget.busid, port=PORT + 1) as running,
    ):
        with running.attached(gadget.busid):
            device = host.wait_for_device(CLIENT_UDC)
            with (
                drivers.raw_terminal(gadget.node(described.functions[0])) as far,
                drivers.raw_terminal(drivers.terminal(device)) as near,
            ):
                data = os.urandom(16384), os.urandom(16384)
                drivers.exchange(near, far, data, 2048, 60.0)
        host.wait_for_unplug(CLIENT_UDC)


def test_isochronous() -> None:
    """Samples for QEMU's loudspeaker, in packets of different sizes."""
    found = [
        path
        for path in Path("/sys/bus/usb/devices").glob("[0-9]*-[0-9]*")
        if (path / "idVendor").exists()
        and ":".join((path / name).read_text().strip() for name in ("idVendor", "idProduct"))
        == AUDIO
    ]
    assert found, "needs QEMU's usb-audio: `make system` says how the machine gets it"
    busid = found[0].name
    with UserspaceServer(busid, port=PORT + 1), RawClient(busid, PORT + 1) as client:
        assert client.control(SetupPacket.set_interface(1, 1)).status == 0
        sizes = [192, 188, 192, 0, 192, 184, 192, 48]
        submitted = [client.submit_packets(0x01, sizes) for _ in range(6)]
        answers = [client.receive() for _ in submitted]
        assert all(isinstance(each, RetSubmit) and each.status == 0 for each in answers)
        many = client.submit_packets(0x01, [192] * 200)  # more than usbfs takes at once
        answer = client.receive()
        assert isinstance(answer, RetSubmit)
        assert (answer.seqnum, answer.status, answer.error_count) == (many, 0, 0)
        assert [each.offset for each in answer.iso_packets] == [n * 192 for n in range(200)]
        taken = [each.actual_length for each in answer.iso_packets]
        assert sum(taken) == answer.actual_length
        assert set(taken) <= {0, 192}  # QEMU's loudspeaker takes none while its buffer is full
        assert client.control(SetupPacket.set_interface(1, 0)).status == 0
