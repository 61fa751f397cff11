"""The server's end: understands requests, and answers each URB as the client expects it.

It is stricter than a client would notice. The kernel's client drops the connection on a
RET_SUBMIT that it does not await (drivers/usb/usbip/vhci_rx.c), so to send one is our error here,
before it is the client's there.
"""

from typing import Final

from gadgetip.wire.build import build_parts
from gadgetip.wire.connection import HEADER_NEED, Connection, NeedData
from gadgetip.wire.constants import (
    DEFAULT_MAX_TRANSFER_BYTES,
    Command,
    Direction,
)
from gadgetip.wire.layout import CMD_SUBMIT, ISO_PACKET_BYTES, URB_HEADER_BYTES
from gadgetip.wire.messages import (
    WIRE_NAMES,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Payload,
    RepDevlist,
    RepImport,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
)
from gadgetip.wire.parse import Reader, read_request
from gadgetip.wire.phases import Phase, Trigger
from gadgetip.wire.rules import (
    Submit,
    Violation,
    check_cmd_iso,
    check_endpoint,
    check_ret_iso,
    cmd_submit_extent,
    ret_submit_extent,
)

_CMD_SUBMIT: Final = int(Command.CMD_SUBMIT)
_CMD_UNLINK: Final = int(Command.CMD_UNLINK)
_DIRECTIONS: Final = (Direction.OUT, Direction.IN)


class ServerConnection(Connection[ServerMessage, ClientMessage]):
    """Sends `ServerMessage`s, receives `ClientMessage`s.

    `max_transfer_bytes` bounds the transfer_buffer_length that a client may ask for.
    """

    def __init__(self, *, max_transfer_bytes: int = DEFAULT_MAX_TRANSFER_BYTES) -> None:
        super().__init__(max_transfer_bytes=max_transfer_bytes)
        self._busid = ""
        # A CMD_SUBMIT whose body is awaited: bytes of data, count of descriptors, the rest.
        self._head: tuple[int, int, CmdSubmit] | None = None

    def _send(self, message: ServerMessage) -> tuple[Payload, ...]:
        parts = build_parts(message)
        if isinstance(message, RetSubmit):
            self._check_urb_phase(message)
            self._check_answer(message)
            self._ledger.complete(message.seqnum)
        elif isinstance(message, RetUnlink):
            self._check_urb_phase(message)
            self._ledger.unlinked(message.seqnum, message.status)
        elif isinstance(message, RepImport):
            self._send_rep_import(message)
        elif isinstance(message, RepDevlist):
            self._move(Trigger.OP_REP_DEVLIST)
        else:
            raise Violation(f"a server does not send {WIRE_NAMES[type(message)]}")
        return parts

    def _check_urb_phase(self, message: RetSubmit | RetUnlink) -> None:
        if self._phase is not Phase.URB:
            name = WIRE_NAMES[type(message)]
            raise Violation(f"{name} is not allowed {self._phase.value}")

    def _check_answer(self, message: RetSubmit) -> None:
        submit = self._ledger.look_up(message.seqnum)
        actual_length = message.actual_length
        data_bytes, _ = ret_submit_extent(submit, actual_length, message.number_of_packets)
        if len(message.data) != data_bytes:
            raise Violation(
                f"RET_SUBMIT.data is {len(message.data)} bytes, but actual_length and the "
                f"direction of the submit call for {data_bytes}"
            )
        if message.iso_packets:
            check_ret_iso(submit, actual_length, message.iso_packets)

    def _send_rep_import(self, message: RepImport) -> None:
        device = message.device
        if device is None:
            self._move(Trigger.IMPORT_REFUSED)
            return
        if self._phase is Phase.IMPORT and device.busid != self._busid:
            raise Violation(
                f"OP_REP_IMPORT.busid is {device.busid!a}, but {self._busid!a} was asked for"
            )
        self._move(Trigger.IMPORT_GRANTED)
        self._enter_urb_phase(device.devid)

    def _start_reader(self) -> Reader[ClientMessage] | None:
        return read_request() if self._phase is Phase.IDLE else None

    def _note_received(self, message: object) -> None:
        if isinstance(message, ReqImport):
            self._busid = message.busid
            self._move(Trigger.OP_REQ_IMPORT)
        else:
            self._move(Trigger.OP_REQ_DEVLIST)

    def _next_urb(self) -> ClientMessage | ConnectionClosed | NeedData:
        if self._head is not None:
            return self._finish(*self._head)
        raw = self._buffer.take(URB_HEADER_BYTES)
        if raw is None:
            return self._starve()
        command, seqnum, devid, direction, ep, flags, *numbers, setup = CMD_SUBMIT.unpack(raw)
        if command not in {_CMD_SUBMIT, _CMD_UNLINK}:
            raise Violation(
                f"command is {command:#x}, must be {_CMD_SUBMIT} (CMD_SUBMIT) "
                f"or {_CMD_UNLINK} (CMD_UNLINK)"
            )
        if devid != self._devid:
            raise Violation(
                f"{Command(command).name}.devid is {devid}, but {self._devid} was imported"
            )
        if command == _CMD_UNLINK:
            check_endpoint("CMD_UNLINK", direction, ep)
            # The first field after the common ones: transfer_flags there, the submit's seqnum here.
            self._ledger.unlink(seqnum, flags)
            return CmdUnlink(seqnum, devid, flags, _DIRECTIONS[direction], ep)
        length, start_frame, number_of_packets, interval = numbers
        data_bytes, iso_count = cmd_submit_extent(
            direction, ep, length, number_of_packets, self._max_transfer_bytes
        )
        message = CmdSubmit(
            seqnum,
            devid,
            _DIRECTIONS[direction],
            ep,
            flags,
            length,
            start_frame,
            number_of_packets,
            interval,
            setup,
        )
        if data_bytes or iso_count:
            return self._finish(data_bytes, iso_count, message)
        return self._accept(message)

    def _finish(
        self, data_bytes: int, iso_count: int, message: CmdSubmit
    ) -> CmdSubmit | ConnectionClosed | NeedData:
        """Give the CMD_SUBMIT whose header is understood, if its body is here."""
        body = self._take_body(data_bytes, iso_count)
        if body is None:
            if self._head is None:
                self._head = (data_bytes, iso_count, message)
                self._inside = True
                size = data_bytes + iso_count * ISO_PACKET_BYTES
                self._need = (size, f"CMD_SUBMIT (seqnum {message.seqnum})")
            return self._starve()
        data, iso_packets = body
        if iso_count:
            check_cmd_iso(iso_packets, message.transfer_buffer_length)
        if self._head is not None:
            self._head = None
            self._inside = False
            self._need = HEADER_NEED
        return self._accept(message._replace(data=data, iso_packets=iso_packets))

    def _accept(self, message: CmdSubmit) -> CmdSubmit:
        submit = Submit(
            message.direction, message.transfer_buffer_length, message.number_of_packets
        )
        self._ledger.submit(message.seqnum, submit)
        return message
