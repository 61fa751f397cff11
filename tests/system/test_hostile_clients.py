"""Clients that mean harm, against `gadgetip serve` with each stub.

They come from 127.0.0.2. Meanwhile a client of 127.0.0.1 reads its disk, block by block, compares,
and must not notice. Whatever is said to the server, it answers as the protocol says or closes; it
says one line about it at most; and the device that was attacked can be had again.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import pytest

from gadgetip.wire import (
    CmdSubmit,
    Direction,
    OpCode,
    OpStatus,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    TransferFlag,
    build,
)
from tests.system.bulk_only import SECTOR, BulkOnlyDisk
from tests.system.devices import Gadget, catalogue
from tests.system.exporters import STUBS, serving
from tests.system.serving import Serve
from tests.system.stick import Stick
from tests.system.waiting import wait_for
from tests.system.wire_client import (
    DEVICE_DESCRIPTOR,
    LIMIT_S,
    RefusedByServerError,
    WireClient,
    wait_until_listed,
)

ENEMY = "127.0.0.2"
STICK_MIB = 4
SECTORS = 8
CROWD = 200
REQUEST_LIMIT_S = 10.0
SLACK_S = 8.0
DISTURBED_S = 10.0
"""A read that takes longer was disturbed; this machine is slow, and emulated."""


class Reader:
    """The well-behaved neighbour: reads and compares until the context ends."""

    def __init__(self, port: int, stick: Stick) -> None:
        self._port, self._stick = port, stick
        self._stop = threading.Event()
        self.reads = 0
        self.slowest_s = 0.0
        self.error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Reader":
        self._thread.start()
        assert self._ready.wait(LIMIT_S), self.error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        try:
            with WireClient(self._port, self._stick.busid) as client:
                disk = BulkOnlyDisk(client, self._stick.descriptors())
                self._read(disk)
        except BaseException as error:  # it is the test's
            self.error = error

    def _read(self, disk: BulkOnlyDisk) -> None:
        source = random.Random(1)
        with self._stick.store.open("rb") as store:
            while not self._stop.is_set():
                sector = source.randrange((STICK_MIB << 20) // SECTOR - SECTORS)
                began = time.monotonic()
                data = disk.read(sector, SECTORS)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                store.seek(sector * SECTOR)
                assert data == store.read(SECTORS * SECTOR), f"sector {sector} differs"
                self.reads += 1
                self._ready.set()

    def assert_undisturbed(self, before: int) -> None:
        """It has read on since then, quickly, and what was right."""
        if self.error is not None:
            raise self.error
        wait_for(lambda: self.error or self.reads > before, "another read", DISTURBED_S)
        assert self.error is None, self.error
        assert self.slowest_s < DISTURBED_S


@dataclass
class Besieged:
    """A server under attack, and who is there."""

    stub: str
    serve: Serve
    reader: Reader
    target: Gadget
    stick: Stick
    attacks: int = field(default=0)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.serve.port


@pytest.fixture(scope="module", params=STUBS)
def besieged(request: pytest.FixtureRequest, kernel_modules: None) -> Iterator[Besieged]:
    """A stick that is in use by a good client, and gadget zero that enemies may have."""
    with (
        Stick("dummy_udc.0", size_mib=STICK_MIB) as stick,
        Gadget(catalogue.gadget_zero(), "dummy_udc.2") as target,
    ):
        stick.fill()
        with (
            serving(request.param, [stick.busid, target.busid]) as serve,
            Reader(serve.port, stick) as reader,
        ):
            yield Besieged(request.param, serve, reader, target, stick)


def call(port: int) -> socket.socket:
    """Connect, as an enemy."""
    return socket.create_connection((("127.0.0.1"), port), LIMIT_S, source_address=(ENEMY, 0))


def say(port: int, data: bytes, *, finish: bool = False) -> bytes:
    """Say this, and give everything that comes until the server closes."""
    with call(port) as stream:
        with contextlib.suppress(OSError):  # closed while we talk: so be it
            stream.sendall(data)
            if finish:
                stream.shutdown(socket.SHUT_WR)
        return drain(stream)


def drain(stream: socket.socket) -> bytes:
    """What comes until the end of the stream; a reset is one, too. TimeoutError without any."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while data := stream.recv(65536):
            answer += data
    return answer


def request(code: int, *, version: int = 0x0111, status: int = 0, body: bytes = b"") -> bytes:
    """A request with anything in its fields."""
    return struct.pack(">HHI", version, code, status) + body


MALFORMED = {
    "nothing": b"",
    "half-a-header": b"\x01\x11\x80",
    "old-version": request(OpCode.REQ_DEVLIST, version=0x0100),
    "new-version": request(OpCode.REQ_IMPORT, version=0xFFFF, body=b"1-1".ljust(32, b"\0")),
    "unknown-code": request(0x8009),
    "a-reply": request(OpCode.REP_IMPORT),
    "with-a-status": request(OpCode.REQ_DEVLIST, status=5),
    "half-a-busid": request(OpCode.REQ_IMPORT, body=b"1-1"),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(192),
    "noise": random.Random(3).randbytes(2000),
    "list-and-a-lot": build(ReqDevlist()) + bytes(200_000),
    "urb-without-import": build(CmdSubmit(1, 0x10002, Direction.IN, 0, 0, 18)),
}

BUSIDS = (
    *(b"../../../etc/passwd", b"1-1/../1-2", b"/sys/bus/usb", b".", b"..", b"", b"usb1", b"0-0"),
    *(b"1-1\n2-2", b"\x1b[2J", b"%s%n", b"\xff\xfe", b"A" * 31, b"A" * 32, b"1-1 ", b"99-99.9"),
)


def test_requests_that_are_none(besieged: Besieged) -> None:
    before = besieged.reader.reads
    for name, data in MALFORMED.items():
        answer = say(besieged.port, data, finish=True)
        assert len(answer) < 4096, name
        if answer and name != "list-and-a-lot":
            version, _, status = struct.unpack(">HHI", answer[:8])
            assert (version, status != 0) == (0x0111, True), name
    besieged.reader.assert_undisturbed(before)


def test_busids_that_are_none(besieged: Besieged) -> None:
    """One and the same answer, so that nobody learns what there is."""
    before = besieged.reader.reads
    answers = {
        say(besieged.port, request(OpCode.REQ_IMPORT, body=busid.ljust(32, b"\0")))
        for busid in BUSIDS
    }
    refusal = struct.pack(">HHI", 0x0111, OpCode.REP_IMPORT, OpStatus.NODEV)
    assert answers == {refusal}
    in_use = say(besieged.port, build(ReqImport(besieged.stick.busid)))
    assert in_use == struct.pack(">HHI", 0x0111, OpCode.REP_IMPORT, OpStatus.DEV_BUSY)
    besieged.reader.assert_undisturbed(before)


def test_slow_ones_and_a_crowd(besieged: Besieged) -> None:
    """One byte a second, silence, and two hundred at once; all are rid of in time."""
    before = besieged.reader.reads
    began = time.monotonic()
    slow, silent, half_open = (call(besieged.port) for _ in range(3))
    half_open.sendall(b"\x01\x11\x80\x05")
    crowd = []
    for _ in range(CROWD):
        with contextlib.suppress(OSError):
            crowd.append(call(besieged.port))
    for stream in crowd[::3]:
        with contextlib.suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
    besieged.reader.assert_undisturbed(before)
    body = request(OpCode.REQ_IMPORT, body=bytes(32))
    with contextlib.suppress(OSError):
        for byte in body:
            slow.sendall(bytes([byte]))
            assert time.monotonic() - began < REQUEST_LIMIT_S + SLACK_S, "it may go on for ever"
            time.sleep(1.0)
    for stream in (slow, silent, half_open, *crowd):
        if stream.fileno() >= 0:
            stream.settimeout(max(REQUEST_LIMIT_S + SLACK_S - (time.monotonic() - began), 0.1))
            drain(stream)
            stream.close()
    besieged.reader.assert_undisturbed(besieged.reader.reads)
    wait_until_listed(besieged.port, besieged.target.busid)


def submit(devid: int, **fields: object) -> bytes:
    """The header of a CMD_SUBMIT with anything in its fields."""
    values: dict[str, int] = {
        "command": 1,
        "seqnum": 90,
        "devid": devid,
        "direction": 1,
        "ep": 0,
        "flags": 0x200,
        "length": 18,
        "start_frame": 0,
        "number_of_packets": 0,
        "interval": 0,
    }
    values.update(fields)  # type: ignore[arg-type]
    numbers = [value & 0xFFFF_FFFF for value in values.values()]
    return struct.pack(">10I", *numbers) + DEVICE_DESCRIPTOR


URBS: dict[str, Callable[[int], bytes]] = {
    "noise": lambda devid: random.Random(4).randbytes(2000),
    "unknown-command": lambda devid: submit(devid, command=99),
    "an-answer": lambda devid: submit(devid, command=3),
    "another-device": lambda devid: submit(devid + 1),
    "half-a-header": lambda devid: submit(devid)[:20],
    "negative-length": lambda devid: submit(devid, length=-1),
    "huge-length": lambda devid: submit(devid, length=0x7FFF_FFFF),
    "huge-payload-announced": lambda devid: submit(devid, direction=0, ep=1, length=0x4000_0000),
    "endpoint-1000": lambda devid: submit(devid, ep=1000),
    "endpoint-with-payload": lambda devid: submit(devid, direction=0, ep=9, length=64) + bytes(64),
    "many-packets": lambda devid: submit(devid, ep=1, number_of_packets=0x7FFF_FFFF),
    "negative-packets": lambda devid: submit(devid, ep=1, number_of_packets=-5),
    "packets-on-control": lambda devid: submit(devid, number_of_packets=2) + bytes(32),
    "twice-one-number": lambda devid: submit(devid) + submit(devid) + submit(devid),
}


def test_urbs_that_are_none(besieged: Besieged) -> None:
    """In the middle of a session; afterwards the device is there for the next.

    Ours closes when the client has said its last word. The kernel's stub does so from the one queue
    that ends the sessions of all devices, one after the other, each once its URBs are given back
    (usbip_event.c, stub_dev.c): no limit is known for that, so only that it is to be had again.
    """
    before = besieged.reader.reads
    port, busid = besieged.port, besieged.target.busid
    for name, make in URBS.items():
        with patient(port, busid) as client:
            with contextlib.suppress(OSError):  # closed while we talk: so be it
                client.stream.sendall(make(client.device.devid))
                client.stream.shutdown(socket.SHUT_WR)
            tolerated = (TimeoutError,) if besieged.stub == "kernel" else ()
            with contextlib.suppress(*tolerated):
                assert len(drain(client.stream)) < 1 << 20, name
    with patient(port, busid) as client:
        assert client.device_descriptor()[8:12] == bytes.fromhex("2505a0a4")
    besieged.reader.assert_undisturbed(before)


def patient(port: int, busid: str) -> WireClient:
    """Import as soon as the device is free; a stub may have to bring it back from an error."""

    def imported() -> WireClient | None:
        try:
            return WireClient(port, busid)
        except (RefusedByServerError, ConnectionError):
            return None

    return wait_for(imported, f"{busid} to be had again", LIMIT_S)


def test_unlinks_of_nothing_and_of_everything(besieged: Besieged) -> None:
    before = besieged.reader.reads
    with patient(besieged.port, besieged.target.busid) as client:
        devid = client.device.devid
        client.send(
            CmdSubmit(
                1 << 30, devid, Direction.IN, 0, TransferFlag.DIR_IN, 18, setup=DEVICE_DESCRIPTOR
            )
        )
        assert isinstance(client.answer(1 << 30), RetSubmit)
        vain = [client.unlink(seqnum) for seqnum in (0, 7, 1 << 30, 0xFFFF_FFFF)]
        # The kernel's stub queues such an answer without waking its sender (stub_rx.c): it leaves
        # behind the next one.
        assert client.device_descriptor()[:2] == b"\x12\x01"
        assert [client.answer(number).status for number in vain] == [0] * len(vain)
        client.stream.settimeout(LIMIT_S)
        numbers = [client.submit(0x80, 18, setup=DEVICE_DESCRIPTOR) for _ in range(50)]
        unlinks = [client.unlink(number) for number in numbers]
        assert client.device_descriptor()[:2] == b"\x12\x01"
        for number in unlinks:
            client.answer(number)
    besieged.reader.assert_undisturbed(before)


def test_the_server_has_kept_its_temper(besieged: Besieged) -> None:
    """It lives, and has said no more than a line for each."""
    errors = besieged.serve.errors
    lines = errors.splitlines()
    assert all(line.isprintable() for line in lines), errors
    assert "Traceback" not in errors
    assert "this is a bug" not in errors
    assert len(lines) <= len(MALFORMED) + len(BUSIDS) + 2 * len(URBS) + CROWD + 20
    wait_until_listed(besieged.port, besieged.target.busid)
    print(f"{besieged.reader.reads} reads, the slowest {besieged.reader.slowest_s:.2f} s")
