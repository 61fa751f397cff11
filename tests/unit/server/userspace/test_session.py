"""A session: every kind of transfer, both ways an unlink can go, bounds, and a client at random.

The client is `wire.ClientConnection`, which is as strict as the kernel's: an answer that it does
not await is an error.
"""

import errno
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gadgetip.errors import RemoteProtocolError
from gadgetip.server.userspace import session as session_module
from gadgetip.server.userspace.device_share import HOLD_LIMIT_S
from gadgetip.server.userspace.session import MAX_CLIENT_BYTES, UrbSession
from gadgetip.server.userspace.urb import DeviceLostError
from gadgetip.usb import SetupPacket
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    TransferFlag,
)
from tests.unit.server.userspace.scripted import BULK_IN, ISO_IN, ISO_OUT, ScriptedDevice

DEVID = 0x10002


class Client:
    """A client, the session and the device, with no stream between."""

    def __init__(self) -> None:
        self.device = ScriptedDevice()
        self.session = UrbSession(self.device, ServerConnection.after_import(DEVID))
        self.connection = ClientConnection.after_import(DEVID)
        self.numbers = itertools.count(1)
        self.cut = 0  # where messages are cut in two on their way

    def send(self, message: CmdSubmit | CmdUnlink) -> None:
        """Send a message, in one piece or two."""
        data = self.connection.send(message)
        if self.cut:
            self.session.receive(data[: self.cut])
        if data[self.cut :]:
            self.session.receive(data[self.cut :])

    def submit(self, address: int, length: int = 0, **fields: Any) -> int:
        """Send a CMD_SUBMIT; returns its number."""
        seqnum = next(self.numbers)
        direction = Direction.IN if address & 0x80 else Direction.OUT
        data = b"" if direction else bytes(length)
        packets = fields.get("iso_packets", ())
        message = CmdSubmit(
            seqnum,
            DEVID,
            direction,
            address & 0x0F,
            transfer_buffer_length=length,
            data=data,
            number_of_packets=len(packets),
        )
        self.send(message._replace(**fields))
        return seqnum

    def control(self, setup: SetupPacket) -> int:
        """Send a control request, with zeroes for data."""
        return self.submit(setup.bmRequestType & 0x80, setup.wLength, setup=setup.pack())

    def unlink(self, seqnum: int) -> int:
        """Send a CMD_UNLINK; returns its own number."""
        number = next(self.numbers)
        self.send(CmdUnlink(number, DEVID, seqnum))
        return number

    def answers(self) -> list[RetSubmit | RetUnlink]:
        """What the client has been sent, as it understands it."""
        self.session.collect()
        output = self.session.output()
        self.connection.receive_data(b"".join(output))
        self.session.sent(len(output))
        found = []
        while (message := self.connection.next_event()) is not NEED_DATA:
            assert isinstance(message, (RetSubmit, RetUnlink))
            found.append(message)
        return found

    def answer(self) -> RetSubmit | RetUnlink:
        """The only answer."""
        (only,) = self.answers()
        return only


@pytest.fixture(params=[0, 20, 48], ids=["whole", "cut", "body-apart"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client whose messages come whole, which is the short way, or in two pieces."""
    made = Client()
    made.cut = request.param
    yield made
    made.device.close()


@pytest.mark.parametrize("length", [1, 47, 48, 49, 96])
def test_a_body_that_looks_like_a_header(client: Client, length: int) -> None:
    for _ in range(3):
        client.submit(0x02, length)
    assert [len(urb.data) for urb in client.device.pending] == [length] * 3


def test_bulk_both_ways(client: Client) -> None:
    out = client.submit(0x02, 31)
    into = client.submit(BULK_IN, 4096)
    first, second = client.device.pending
    assert (bytes(first.data), second.length) == (bytes(31), 4096)
    client.device.complete(second, data=memoryview(b"abc"))
    client.device.complete(first)
    assert client.answers() == [
        RetSubmit(into, 0, 3, data=b"abc"),
        RetSubmit(out, 0, 31),
    ]
    assert client.device.recycled == 2
    assert client.session.held_bytes == 0


def test_flags(client: Client) -> None:
    client.submit(0x02, 512, transfer_flags=TransferFlag.ZERO_PACKET)
    client.submit(BULK_IN, 512, transfer_flags=TransferFlag.ZERO_PACKET | TransferFlag.DIR_IN)
    client.submit(BULK_IN, 512, transfer_flags=TransferFlag.SHORT_NOT_OK)
    flags = [(urb.add_zero_packet, urb.short_not_ok) for urb in client.device.pending]
    assert flags == [(True, False), (False, False), (False, True)]


def test_control(client: Client) -> None:
    seqnum = client.control(SetupPacket.get_descriptor(1, length=18))
    (urb,) = client.device.pending
    assert urb.setup == SetupPacket.get_descriptor(1, length=18).pack()
    client.device.complete(urb, data=b"\x12\x01")
    assert client.answer() == RetSubmit(seqnum, 0, 2, data=b"\x12\x01")
    seqnum = client.control(SetupPacket(0x21, 0x20, 0, 0, 7))
    client.device.complete(client.device.pending[0], -errno.EPIPE)
    assert client.answer() == RetSubmit(seqnum, -errno.EPIPE, 0)


@pytest.mark.parametrize(
    ("setup", "length", "address", "status"),
    [
        (SetupPacket.get_descriptor(1, length=18), 17, 0x80, -errno.EBADR),
        (SetupPacket.get_descriptor(1, length=18), 18, 0x00, -errno.EINVAL),
        (SetupPacket(0x21, 9, 0, 0, 4), 4, 0x80, -errno.EINVAL),
    ],
)
def test_control_that_contradicts_itself(
    client: Client, setup: SetupPacket, length: int, address: int, status: int
) -> None:
    seqnum = client.submit(address, length, setup=setup.pack())
    assert client.answer() == RetSubmit(seqnum, status, 0)
    assert not client.device.pending


def test_isochronous(client: Client) -> None:
    packets = (IsoPacketDescriptor(0, 10), IsoPacketDescriptor(16, 10), IsoPacketDescriptor(32, 8))
    into = client.submit(ISO_IN, 64, iso_packets=packets)
    client.device.complete(client.device.pending[0])
    answer = client.answer()
    assert isinstance(answer, RetSubmit)
    assert (answer.seqnum, answer.status, answer.error_count) == (into, 0, 1)
    assert answer.data == bytes(9 + 7)
    assert answer.iso_packets == (
        IsoPacketDescriptor(0, 10, 9, 0),
        IsoPacketDescriptor(16, 10, 0, -errno.EXDEV),
        IsoPacketDescriptor(32, 8, 7, 0),
    )
    client.submit(ISO_OUT, 64, iso_packets=packets)
    client.device.complete(client.device.pending[0])
    answer = client.answer()
    assert isinstance(answer, RetSubmit)
    assert answer.actual_length == 16


@pytest.mark.parametrize(
    ("address", "count", "status"),
    [
        (ISO_IN, 0, -errno.EINVAL),
        (ISO_IN, -1, -errno.EINVAL),
        (BULK_IN, 2, -errno.EINVAL),
        (0x8A, 0, -errno.ENOENT),
        (0x01, 0, -errno.ENOENT),
        (0x0A, 3, -errno.ENOENT),
    ],
)
def test_refused(client: Client, address: int, count: int, status: int) -> None:
    packets = (IsoPacketDescriptor(0, 8),) * max(count, 0)
    fields: dict[str, Any] = {"iso_packets": packets, "number_of_packets": count}
    seqnum = client.submit(address, 64, **fields)
    answer = client.answer()
    assert isinstance(answer, RetSubmit)
    assert (answer.seqnum, answer.status, answer.actual_length) == (seqnum, status, 0)
    assert not client.device.pending
    client.submit(BULK_IN, 64)  # the stream is still in step
    assert len(client.device.pending) == 1


def test_the_device_refuses(client: Client) -> None:
    client.device.refusals = [-errno.EMSGSIZE]
    seqnum = client.submit(BULK_IN, 64)
    assert client.answer() == RetSubmit(seqnum, -errno.EMSGSIZE, 0)


class TestUnlink:
    def test_pending(self, client: Client) -> None:
        seqnum = client.submit(BULK_IN, 64)
        unlink = client.unlink(seqnum)
        assert client.answer() == RetUnlink(unlink, -errno.ECONNRESET)
        assert client.session.in_flight == 0
        assert client.device.recycled == 1

    def test_too_late(self, client: Client) -> None:
        seqnum = client.submit(BULK_IN, 64)
        client.device.late.add(seqnum)
        unlink = client.unlink(seqnum)
        client.device.complete(client.device.pending[0], data=b"kept")
        assert client.answers() == [RetSubmit(seqnum, 0, 4, data=b"kept"), RetUnlink(unlink, 0)]

    def test_cancelled_with_data(self, client: Client) -> None:
        seqnum = client.submit(BULK_IN, 64)
        client.device.late.add(seqnum)
        unlink = client.unlink(seqnum)
        client.device.complete(client.device.pending[0], -errno.ECONNRESET, b"half")
        assert client.answers() == [
            RetSubmit(seqnum, -errno.ECONNRESET, 4, data=b"half"),
            RetUnlink(unlink, 0),
        ]

    def test_answered_before(self, client: Client) -> None:
        seqnum = client.submit(BULK_IN, 64)
        client.device.complete(client.device.pending[0], data=b"x")
        client.session.collect()
        unlink = client.unlink(seqnum)
        assert client.answers() == [RetSubmit(seqnum, 0, 1, data=b"x"), RetUnlink(unlink, 0)]

    def test_unknown(self, client: Client) -> None:
        unlink = client.unlink(77)
        assert client.answer() == RetUnlink(unlink, 0)

    def test_twice_is_an_offence(self, client: Client) -> None:
        seqnum = client.submit(BULK_IN, 64)
        client.device.late.add(seqnum)
        client.unlink(seqnum)
        again = ClientConnection.after_import(DEVID).send(CmdUnlink(99, DEVID, seqnum))
        with pytest.raises(RemoteProtocolError):
            client.session.receive(again)


class TestRequestsDoneHere:
    @pytest.mark.parametrize(
        ("setup", "request_name"),
        [
            (SetupPacket.clear_halt(0x81), "clear_halt 0x81"),
            (SetupPacket.set_interface(1, 2), "set_interface 1 2"),
            (SetupPacket.set_configuration(1), "set_configuration 1"),
            (SetupPacket.port_reset(), "reset"),
        ],
    )
    def test_done(self, client: Client, setup: SetupPacket, request_name: str) -> None:
        seqnum = client.control(setup)
        assert client.device.journal == [request_name]
        assert client.answer() == RetSubmit(seqnum, 0, 0)
        assert not client.device.pending
        client.device.answers[request_name] = -errno.EPIPE
        seqnum = client.control(setup)
        (urb,) = client.device.pending  # after a failure the device is asked itself
        client.device.complete(urb, -errno.EPIPE)
        assert client.answer() == RetSubmit(seqnum, -errno.EPIPE, 0)

    def test_with_packets_that_make_no_sense(self, client: Client) -> None:
        setup = SetupPacket.set_configuration(1).pack()
        packets = (IsoPacketDescriptor(0, 0),)
        seqnum = client.submit(0x00, 0, setup=setup, iso_packets=packets)
        answer = client.answer()
        assert isinstance(answer, RetSubmit)
        assert (answer.seqnum, answer.status) == (seqnum, 0)

    def test_what_is_in_flight_on_endpoints_that_go_away(self, client: Client) -> None:
        bulk = client.submit(BULK_IN, 64)
        interrupt = client.submit(0x83, 8)
        control = client.control(SetupPacket.get_descriptor(1))
        done = client.control(SetupPacket.set_interface(1, 1))
        assert client.answers() == [
            RetSubmit(interrupt, -errno.ESHUTDOWN, 0),
            RetSubmit(done, 0, 0),
        ]
        done = client.control(SetupPacket.set_configuration(1))
        assert client.answers() == [RetSubmit(bulk, -errno.ESHUTDOWN, 0), RetSubmit(done, 0, 0)]
        done = client.control(SetupPacket.port_reset())
        assert client.answers() == [RetSubmit(control, -errno.ESHUTDOWN, 0), RetSubmit(done, 0, 0)]

    def test_a_halt_is_cleared_under_transfers(self, client: Client) -> None:
        client.submit(BULK_IN, 64)
        client.control(SetupPacket.clear_halt(BULK_IN))
        assert len(client.device.pending) == 1

    def test_lost_in_a_reset(self, client: Client) -> None:
        client.device.loses_itself = True
        with pytest.raises(DeviceLostError):
            client.control(SetupPacket.port_reset())


class TestBounds:
    def test_in_flight(self, client: Client) -> None:
        size = 8 << 20
        fit = [client.submit(BULK_IN, size) for _ in range(3)]
        over = [client.submit(BULK_IN, size) for _ in range(2)]
        assert client.answers() == [RetSubmit(seqnum, -errno.ENOMEM, 0) for seqnum in over]
        assert client.session.held_bytes <= MAX_CLIENT_BYTES
        unlink = client.unlink(fit[0])  # it is heard all the same
        assert client.answer() == RetUnlink(unlink, -errno.ECONNRESET)
        client.submit(BULK_IN, size)
        assert len(client.device.pending) == 3

    def test_many_small_ones(self, client: Client) -> None:
        for _ in range(MAX_CLIENT_BYTES // session_module.URB_ALLOWANCE_BYTES):
            client.submit(BULK_IN, 64)
        assert {answer.status for answer in client.answers()} == {-errno.ENOMEM}
        assert client.session.held_bytes <= MAX_CLIENT_BYTES

    def test_answers_that_nobody_takes(self, client: Client) -> None:
        size = 1 << 20
        for _ in range(4):
            assert not client.session.is_clogged
            client.submit(BULK_IN, size)
            client.device.complete(client.device.pending[0])
            client.session.collect()
        assert client.session.output_bytes > session_module.CLOGGED_BYTES
        assert client.session.held_bytes < MAX_CLIENT_BYTES
        assert client.device.recycled == 0
        client.answers()
        assert client.session.held_bytes == 0
        assert client.device.recycled > 0

    def test_the_machine_has_no_memory(self, client: Client) -> None:
        first = client.submit(BULK_IN, 64)
        client.device.refusals = [-errno.ENOMEM]
        second, third = client.submit(BULK_IN, 65), client.submit(0x02, 66)
        fourth = client.submit(0x02, 67)
        assert len(client.device.pending) == 1
        unlink = client.unlink(third)
        assert client.answer() == RetUnlink(unlink, -errno.ECONNRESET)
        client.device.complete(client.device.pending[0], data=b"")
        assert client.answer() == RetSubmit(first, 0, 0)
        assert [urb.seqnum for urb in client.device.pending] == [second, fourth]

    def test_the_machine_has_no_memory_at_all(self, client: Client) -> None:
        """Others have it all: it is waited for, but not for ever."""
        now = [0.0]
        client.session = UrbSession(
            client.device, ServerConnection.after_import(DEVID), clock=lambda: now[0]
        )
        client.device.refusals = [-errno.ENOMEM] * 9
        first, second = client.submit(BULK_IN, 64), client.submit(BULK_IN, 64)
        assert client.session.is_holding
        assert client.answers() == []
        now[0] = HOLD_LIMIT_S - 0.1
        assert client.answers() == []
        now[0] += 0.1
        assert client.answers() == [RetSubmit(each, -errno.ENOMEM, 0) for each in (first, second)]
        assert client.session.in_flight == 0
        third = client.submit(BULK_IN, 64)  # waits anew
        assert client.answers() == []
        client.device.refusals.clear()
        client.session.collect()
        assert [urb.seqnum for urb in client.device.pending] == [third]

    def test_memory_of_others_is_free_again(self, client: Client) -> None:
        """What waits is tried again though nothing of ours ends."""
        client.submit(0x83, 64)
        client.device.refusals = [-errno.ENOMEM]
        client.submit(BULK_IN, 64)
        client.session.collect()
        assert len(client.device.pending) == 2

    def test_its_share_of_the_machine(self, client: Client) -> None:
        client.session = UrbSession(
            client.device, ServerConnection.after_import(DEVID), max_device_bytes=100_000
        )
        first, second, third = (client.submit(BULK_IN, 60_000) for _ in range(3))
        assert [urb.seqnum for urb in client.device.pending] == [first]
        client.control(SetupPacket.get_descriptor(1, length=18))  # passes
        assert len(client.device.pending) == 2
        unlink = client.unlink(second)
        assert client.answer() == RetUnlink(unlink, -errno.ECONNRESET)
        client.device.complete(client.device.pending[0], data=b"")
        assert client.answer() == RetSubmit(first, 0, 0)
        assert third in [urb.seqnum for urb in client.device.pending]

    def test_one_larger_than_its_share(self, client: Client) -> None:
        client.session = UrbSession(
            client.device, ServerConnection.after_import(DEVID), max_device_bytes=1000
        )
        client.submit(BULK_IN, 60_000)
        assert len(client.device.pending) == 1

    def test_a_slow_client(self, client: Client) -> None:
        """One that never takes all there is gets no more lent than its answers."""
        window, count = 4, 200
        for _ in range(window):
            client.submit(BULK_IN, 4096)
        for number in range(1, count):
            for urb in list(client.device.pending):
                client.device.complete(urb)
            client.session.collect()
            client.session.sent(2)
            assert client.device.recycled == number
            client.submit(BULK_IN, 4096)
        assert client.session.held_bytes < (window + 1) * (4096 + 4096)

    def test_a_failed_read_keeps_no_buffer(self, client: Client) -> None:
        size = 1 << 20
        client.submit(BULK_IN, size)
        client.submit(BULK_IN, size)
        client.device.complete(client.device.pending[0], -errno.EPIPE, b"")
        client.device.complete(client.device.pending[0], 0, bytes(100))
        client.session.collect()
        assert client.device.recycled == 2
        assert client.session.held_bytes == client.session.output_bytes == 2 * 48 + 100

    def test_the_buffer_counts_until_it_is_sent(self, client: Client) -> None:
        client.submit(BULK_IN, 600_000)
        assert client.session.held_bytes > 1 << 20  # as large as it really is
        client.device.complete(client.device.pending[0], 0, bytes(400_000))
        client.session.collect()
        assert client.session.held_bytes > 1 << 20
        client.session.sent(1)
        assert client.device.recycled == 0
        client.session.sent(1)
        assert client.device.recycled == 1
        assert client.session.held_bytes == 0

    def test_packets_that_lie_on_one_another(self, client: Client) -> None:
        size = 1 << 20
        packets = tuple(IsoPacketDescriptor(0, size) for _ in range(1024))
        client.submit(ISO_IN, size, iso_packets=packets, number_of_packets=1024)
        answer = client.answer()
        assert isinstance(answer, RetSubmit)
        assert answer.status == -errno.EINVAL
        assert client.device.pending == []


def test_half_sent_answers(client: Client) -> None:
    seqnum = client.submit(BULK_IN, 1000)
    client.device.complete(client.device.pending[0])
    client.session.collect()
    header, data = client.session.output()
    client.connection.receive_data(header)
    client.session.sent(1)
    client.session.sent(1, memoryview(data)[400:])
    client.connection.receive_data(memoryview(data)[:400])
    assert client.device.recycled == 0
    assert 600 <= client.session.held_bytes < 4096
    assert client.answer() == RetSubmit(seqnum, 0, 1000, data=bytes(1000))
    assert client.device.recycled == 1


def test_settling(client: Client) -> None:
    client.submit(BULK_IN, 64)
    client.submit(0x02, 64)
    client.session.receive(b"")
    assert client.session.is_closed
    into, out = client.device.pending
    client.session.settle()
    assert (into.status, out.status) == (-errno.ECONNRESET, 0)
    assert client.session.in_flight == 0
    assert client.session.output() == []
    assert client.device.recycled == 2


class AnyClient(RuleBasedStateMachine):
    """A client that does anything that is allowed, in any order; each thing is answered once."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client()
        self.sent: set[int] = set()
        self.unlinked: set[int] = set()
        self.unlinks: set[int] = set()

    @rule(address=st.sampled_from((0x81, 0x02, 0x83, 0x8F)), length=st.integers(0, 5000))
    def submit(self, address: int, length: int) -> None:
        self.sent.add(self.client.submit(address, length))

    @rule(cut=st.sampled_from((0, 0, 20, 48, 60)))
    def cut(self, cut: int) -> None:
        self.client.cut = cut

    @rule(value=st.integers(0, 2), kind=st.integers(0, 4))
    def control(self, value: int, kind: int) -> None:
        setups = (
            SetupPacket.set_interface(value, 1),
            SetupPacket.set_configuration(value),
            SetupPacket.clear_halt(0x81),
            SetupPacket.port_reset(),
            SetupPacket.get_descriptor(value),
        )
        self.sent.add(self.client.control(setups[kind]))

    @precondition(lambda self: self.sent - self.unlinked)
    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        seqnum = data.draw(st.sampled_from(sorted(self.sent - self.unlinked)))
        if data.draw(st.booleans()):
            self.client.device.late.add(seqnum)
        self.unlinked.add(seqnum)
        self.unlinks.add(self.client.unlink(seqnum))

    @precondition(lambda self: self.client.device.pending)
    @rule(data=st.data(), status=st.sampled_from((0, -errno.EPIPE, -errno.ECONNRESET)))
    def complete(self, data: st.DataObject, status: int) -> None:
        self.client.device.complete(data.draw(st.sampled_from(self.client.device.pending)), status)

    @rule()
    def take_answers(self) -> None:
        for answer in self.client.answers():
            if isinstance(answer, RetSubmit):
                assert answer.seqnum in self.sent
                self.sent.remove(answer.seqnum)
            else:
                self.unlinks.remove(answer.seqnum)

    @invariant()
    def books_agree(self) -> None:
        session = self.client.session
        assert session.in_flight == len(self.client.device.pending) + len(self.client.device.ended)
        assert 0 <= session.held_bytes <= MAX_CLIENT_BYTES

    def teardown(self) -> None:
        for urb in list(self.client.device.pending):
            self.client.device.complete(urb)
        self.take_answers()
        assert not self.unlinks
        assert self.sent <= self.unlinked  # only what was unlinked may stay without RET_SUBMIT
        assert self.client.session.held_bytes == 0
        self.client.device.close()


AnyClient.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyClient = AnyClient.TestCase
