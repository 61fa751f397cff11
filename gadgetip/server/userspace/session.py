"""One client's use of one device: messages in, transfers out, answers back. No I/O of its own.

A submit becomes a `Urb` and goes to the device at once, so the order of submits on an endpoint is
the device's order. Answers go out in the order in which transfers end. An unlink, when its transfer
is still in flight, asks the device to give it back, and what comes back decides:

    cancelled, no data           RET_UNLINK(-ECONNRESET), and never a RET_SUBMIT
    cancelled, with data (IN)    RET_SUBMIT(-ECONNRESET) with the data, then RET_UNLINK(0)
    ended before it was heard    RET_SUBMIT as it is, then RET_UNLINK(0)
    nothing of that number       RET_UNLINK(0)

The kernel's stub throws the data of the second and third away (stub_tx.c); its client takes ours as
well, for to it RET_SUBMIT came first.

What a client may hold here is bounded: `MAX_CLIENT_BYTES` counts buffers of transfers in flight,
with an allowance for each transfer, and answers that the client has not taken yet. A submit beyond
it is refused with -ENOMEM at once, not kept waiting: the stream is read on, or an unlink could not
be heard. Only when answers pile up (`is_clogged`) the caller stops reading. An answer is sent from
the buffer of its transfer, which counts until the answer's last byte is sent; if little of the
buffer is in use, that is copied and the buffer is free at once.

Memory of this *machine* for transfers is another matter, and a submit may have to wait for it
(`device_share`).
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from gadgetip.errors import RemoteProtocolError
from gadgetip.server.userspace.device_share import DeviceShare
from gadgetip.server.userspace.requests import (
    ClearHalt,
    SetConfiguration,
    SetInterface,
    Special,
    special_request,
)
from gadgetip.server.userspace.urb import IN, Urb, UsbDevice, buffer_bytes, contradiction
from gadgetip.usb import TransferType
from gadgetip.wire import (
    NEED_DATA,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Payload,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    TransferFlag,
)
from gadgetip.wire.constants import Command
from gadgetip.wire.layout import CMD_SUBMIT, ISO_PACKET_BYTES, RET_SUBMIT, URB_HEADER_BYTES

QUICK_BYTES: Final = 1 << 20
MAX_CLIENT_BYTES: Final = 32 << 20
CLOGGED_BYTES: Final = 4 << 20
URB_ALLOWANCE_BYTES: Final = 2048
PACKET_ALLOWANCE_BYTES: Final = 256

FLUSH_LIMIT_S: Final = 5.0
"""How long the device may take to give back transfers that were cancelled."""

GRACE_S: Final = 1.0
"""How long data on its way to the device may take to arrive after the client has gone."""

_CONTROL: Final = TransferType.CONTROL
_ISOCHRONOUS: Final = TransferType.ISOCHRONOUS
_BULK: Final = TransferType.BULK
_INTERRUPT: Final = TransferType.INTERRUPT
_CMD_SUBMIT: Final = int(Command.CMD_SUBMIT)
_RET_SUBMIT: Final = int(Command.RET_SUBMIT)
_SHORT_NOT_OK: Final = int(TransferFlag.SHORT_NOT_OK)
_ZERO_PACKET: Final = int(TransferFlag.ZERO_PACKET)


class UrbSession:
    """The URB phase of one connection with one device behind it."""

    def __init__(
        self,
        device: UsbDevice,
        connection: ServerConnection,
        *,
        max_client_bytes: int = MAX_CLIENT_BYTES,
        clogged_bytes: int = CLOGGED_BYTES,
        max_device_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_client_bytes = max_client_bytes
        self._clogged_bytes = clogged_bytes
        self._clock = clock
        self._device = device
        self._share = DeviceShare(device, max_device_bytes, clock, self._finish)
        self._connection = connection
        self._devid = connection.devid
        self._in_flight: dict[int, Urb] = {}  # by seqnum, those that wait for memory too
        self._charged = 0
        self._balance = 0  # bytes that the connection has of a message that is not whole yet
        self._output: list[Payload] = []
        self._output_bytes = 0
        self._parts_put = 0  # how many parts the output has ever had
        self._lent: deque[tuple[int, Urb]] = deque()
        """Whose data lies in the output, and how many parts are sent when it does not any more."""
        self._is_settling = False
        self.is_closed = False  # the client has ended the stream

    @property
    def in_flight(self) -> int:
        """How many transfers the device has."""
        return len(self._in_flight)

    @property
    def held_bytes(self) -> int:
        """What counts against `MAX_CLIENT_BYTES` now."""
        return self._charged + self._output_bytes

    @property
    def is_holding(self) -> bool:
        """Whether a submit waits for memory: `collect` has to be called now and then."""
        return self._share.is_holding

    @property
    def is_clogged(self) -> bool:
        """Whether so many answers wait for the client that it should not be read on."""
        return self._output_bytes > self._clogged_bytes

    @property
    def wanted(self) -> int:
        """How many bytes complete the message that is being received."""
        return self._connection.wanted

    def receive(self, data: bytes) -> None:
        """Act on what the client sent; empty means that it has ended the stream.

        Raises `RemoteProtocolError` for what is no USB/IP, `DeviceLostError`.
        """
        if not self._balance and self._receive_quickly(data):
            return
        connection = self._connection
        if data:
            connection.receive_data(data)
        else:
            connection.receive_eof()
        balance = self._balance + len(data)
        while (message := connection.next_event()) is not NEED_DATA:
            if isinstance(message, ConnectionClosed):
                self.is_closed = True
                break
            balance -= URB_HEADER_BYTES
            if isinstance(message, CmdSubmit):
                balance -= len(message.data) + len(message.iso_packets) * ISO_PACKET_BYTES
                self._submit(message)
            elif isinstance(message, CmdUnlink):
                self._unlink(message)
        self._balance = balance

    def collect(self, limit_s: float = 0.0) -> None:
        """Answer the transfers that have ended; waits up to `limit_s` seconds for the first."""
        for urb in self._device.finished(limit_s):
            self._finish(urb)
        if self._share.is_holding:
            self._share.retry()

    @property
    def output_bytes(self) -> int:
        """How much of the output there is."""
        return self._output_bytes

    def output(self) -> list[Payload]:
        """What the client is to be sent, in order; the list stays ours, until `sent`."""
        return self._output

    def sent(self, parts: int, rest: Payload = b"") -> None:
        """Note that the first `parts` of the output are sent, but for `rest` of the last."""
        output = self._output
        if rest or parts < len(output):
            self._output_bytes -= sum(map(len, output[:parts])) - len(rest)
            output[:parts] = [rest] if rest else []
        else:
            output.clear()
            self._output_bytes = 0
        parts_sent = self._parts_put - len(output)
        lent = self._lent
        while lent and lent[0][0] <= parts_sent:
            self._release(lent.popleft()[1])

    def settle(self) -> None:
        """Bring everything to its end after the client has gone; answers go nowhere.

        What is on its way to the device may still arrive within `GRACE_S`; a device that waits for
        it would otherwise be left in the middle of a command. What the client was to receive is
        cancelled. Afterwards the device has nothing of ours, unless it took longer than
        `FLUSH_LIMIT_S` to give it back.
        """
        self._is_settling = True
        self._take_back(urb for urb in self._in_flight.values() if urb.address & IN)
        self._wait_until_gone(_any, GRACE_S)
        self._take_back(self._in_flight.values())
        self._wait_until_gone(_any, FLUSH_LIMIT_S)
        self.sent(len(self._output))

    def _receive_quickly(self, data: bytes) -> bool:
        """Act on exactly one whole, ordinary CMD_SUBMIT; False: it is something else."""
        size = len(data)
        if size < URB_HEADER_BYTES:
            return False
        (command, seqnum, devid, direction, ep, flags, length, _, count, _, _) = (
            CMD_SUBMIT.unpack_from(data)
        )
        if command != _CMD_SUBMIT or devid != self._devid or not 0 < ep < 16:
            return False
        if direction == 1:
            address, expected = ep | IN, URB_HEADER_BYTES
        elif direction == 0:
            address, expected = ep, URB_HEADER_BYTES + length
        else:
            return False
        transfer_type = self._device.transfer_type(address)
        cost = (buffer_bytes(length) if direction else length) + URB_ALLOWANCE_BYTES
        if (
            size != expected
            or not 0 <= length <= QUICK_BYTES
            or not -1 <= count <= 0
            or (transfer_type is not _BULK and transfer_type is not _INTERRUPT)
            or self._exceeds(cost)
            or seqnum in self._in_flight
            or self._connection.pending_unlinks
        ):
            return False
        urb = Urb(seqnum, address, transfer_type, length)
        if direction:
            if flags & _SHORT_NOT_OK:
                urb.short_not_ok = True
        else:
            urb.data = data[URB_HEADER_BYTES:]
            if flags & _ZERO_PACKET and transfer_type is _BULK:
                urb.add_zero_packet = True
        if count:
            urb.number_of_packets = count
        urb.is_quick = True
        self._accept(urb, cost)
        return True

    def _submit(self, message: CmdSubmit) -> None:
        (seqnum, _, direction, ep, flags, length, _, count, _, setup, data, packets) = message
        if seqnum in self._in_flight:
            raise RemoteProtocolError(f"CMD_SUBMIT.seqnum is {seqnum}, which is still in use")
        address = ep | IN if direction else ep
        transfer_type = self._device.transfer_type(address) if ep else _CONTROL
        urb = Urb(seqnum, address, transfer_type or _CONTROL, length, data)
        urb.packets = packets
        urb.number_of_packets = count
        if transfer_type is None:
            urb.status = -errno.ENOENT
        else:
            if transfer_type is _CONTROL:
                urb.setup = setup
                special = special_request(setup)
                if special is not None and self._perform(special):
                    self._answer(urb)
                    return
            urb.add_zero_packet = bool(
                flags & _ZERO_PACKET and not direction and transfer_type is _BULK
            )
            urb.short_not_ok = bool(flags & _SHORT_NOT_OK and direction)
            urb.status = contradiction(urb, count)
        cost = buffer_bytes(length) + URB_ALLOWANCE_BYTES + count * PACKET_ALLOWANCE_BYTES
        if self._exceeds(cost):
            urb.status = urb.status or -errno.ENOMEM
        if urb.status:
            self._answer(urb)
            return
        self._accept(urb, cost)

    def _exceeds(self, cost: int) -> bool:
        """Whether the client would hold too much with this as well."""
        return self._charged + self._output_bytes + cost > self._max_client_bytes

    def _accept(self, urb: Urb, cost: int) -> None:
        """Charge a transfer to the client, and begin it."""
        urb.cost = cost
        self._charged += cost
        self._in_flight[urb.seqnum] = urb
        self._share.begin(urb)

    def _unlink(self, message: CmdUnlink) -> None:
        urb = self._in_flight.get(message.unlink_seqnum)
        if urb is None:
            self._put(self._connection.send_parts(RetUnlink(message.seqnum, 0)))
            return
        if urb.unlink_seqnum is not None:
            raise RemoteProtocolError(f"CMD_UNLINK.unlink_seqnum is {urb.seqnum}, unlinked already")
        urb.unlink_seqnum = message.seqnum
        self._take_back((urb,))

    def _perform(self, special: Special) -> bool:
        """Do a request that is this machine's to do; False: it failed, let the device have it."""
        device = self._device
        if isinstance(special, ClearHalt):
            return device.clear_halt(special.address) == 0
        if isinstance(special, SetInterface):
            self._flush(frozenset(device.addresses(special.interface)))
            return device.set_interface(special.interface, special.alternate) == 0
        if isinstance(special, SetConfiguration):
            self._flush(frozenset(device.addresses()))
            return device.set_configuration(special.value) == 0
        self._flush(None)
        return device.reset() == 0

    def _flush(self, addresses: frozenset[int] | None) -> None:
        """Take back what is in flight on these endpoints, or on all; -ESHUTDOWN, as in the kernel.

        The kernel's stack does so where an endpoint goes away (usb_disable_endpoint).
        """

        def concerned(urb: Urb) -> bool:
            return addresses is None or urb.address in addresses

        flushed = [urb for urb in self._in_flight.values() if concerned(urb)]
        for urb in flushed:
            urb.flushed = True
        self._take_back(flushed)
        self._wait_until_gone(lambda urb: urb.flushed, FLUSH_LIMIT_S)

    def _take_back(self, urbs: Iterable[Urb]) -> None:
        """End these, each at once or soon."""
        for urb in list(urbs):
            self._share.take_back(urb)

    def _wait_until_gone(self, concerned: Callable[[Urb], bool], limit_s: float) -> None:
        deadline = self._clock() + limit_s
        while any(map(concerned, self._in_flight.values())):
            left = deadline - self._clock()
            if left <= 0:
                return
            self.collect(left)

    def _finish(self, urb: Urb) -> None:
        """Settle a transfer that the device gave back."""
        del self._in_flight[urb.seqnum]
        self._share.ended(urb)
        if self._is_settling:
            self._release(urb)
            return
        if urb.flushed and urb.status == -errno.ECONNRESET:
            urb.status = -errno.ESHUTDOWN
        unlink_seqnum = urb.unlink_seqnum
        if unlink_seqnum is None:
            self._answer(urb)
        elif urb.status == -errno.ECONNRESET and not urb.received:
            self._put(self._connection.send_parts(RetUnlink(unlink_seqnum, urb.status)))
            self._release(urb)
        else:
            self._answer(urb)
            self._put(self._connection.send_parts(RetUnlink(unlink_seqnum, 0)))

    def _answer(self, urb: Urb) -> None:
        size = len(urb.received)
        # (What isochronous packets brought is a copy already.)
        if 2 * size >= urb.length and size and urb.type is not _ISOCHRONOUS:
            self._put_answer(urb)
            self._lent.append((self._parts_put, urb))
            urb.cost -= size  # it counts as output now
            self._charged -= size
        else:
            urb.received = bytes(urb.received)
            self._put_answer(urb)
            self._release(urb)

    def _release(self, urb: Urb) -> None:
        """Free what a transfer that has ended still has."""
        self._charged -= urb.cost
        self._device.recycle([urb])

    def _put_answer(self, urb: Urb) -> None:
        if urb.is_quick:
            received = urb.received
            self._output.append(
                RET_SUBMIT.pack(
                    _RET_SUBMIT,
                    urb.seqnum,
                    0,
                    0,
                    0,
                    urb.status,
                    urb.actual_length,
                    0,
                    urb.number_of_packets,
                    0,
                )
            )
            self._output_bytes += URB_HEADER_BYTES
            self._parts_put += 1
            if received:
                self._output.append(received)
                self._output_bytes += len(received)
                self._parts_put += 1
            return
        error_count = 0
        packets = urb.packets
        if packets:
            if urb.status and not urb.actual_length:  # it never ran, or its packets are not told
                packets = tuple(each._replace(status=urb.status) for each in packets)
            error_count = sum(1 for each in packets if each.status)
        answer = RetSubmit(
            urb.seqnum,
            urb.status,
            urb.actual_length,
            0,
            urb.number_of_packets,
            error_count,
            urb.received,  # type: ignore[arg-type]
            packets,
        )
        self._put(self._connection.send_parts(answer))

    def _put(self, parts: tuple[Payload, ...]) -> None:
        self._output += parts
        self._parts_put += len(parts)
        for part in parts:
            self._output_bytes += len(part)


def _any(_urb: Urb) -> bool:
    return True
