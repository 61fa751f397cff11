"""The client's end: asks, submits, and understands the answers.

A RET_SUBMIT does not say how long it is. Whether data follows depends on the direction of the
submit that it answers (the direction field is 0 in every reply; what other servers put there and
into `devid` and `ep` is ignored), and how many packet descriptors follow depends on how many were
sent. So the parser asks the ledger, and a reply to something that was not asked for is an error
even if it looks well: its length is unknown.

`_next_urb` is the hot path. It runs for each transfer on the slowest machine of all, so it
unpacks the header once, makes one object, and calls little.
"""

from typing import Final

from gadgetip.wire.build import build_parts
from gadgetip.wire.connection import (
    HEADER_NEED,
    Connection,
    NeedData,
)
from gadgetip.wire.constants import DEFAULT_MAX_TRANSFER_BYTES, Command, OpStatus
from gadgetip.wire.layout import ISO_PACKET_BYTES, RET_SUBMIT, URB_HEADER_BYTES
from gadgetip.wire.messages import (
    WIRE_NAMES,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Payload,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
)
from gadgetip.wire.parse import Reader, read_rep_devlist, read_rep_import
from gadgetip.wire.phases import Phase, Trigger
from gadgetip.wire.rules import Submit, Violation, check_ret_iso, ret_submit_extent

_RET_SUBMIT: Final = int(Command.RET_SUBMIT)
_RET_UNLINK: Final = int(Command.RET_UNLINK)


class ClientConnection(Connection[ClientMessage, ServerMessage]):
    """Sends `ClientMessage`s, receives `ServerMessage`s.

    `max_transfer_bytes` bounds what may be asked for, and with it what must be received.
    """

    def __init__(self, *, max_transfer_bytes: int = DEFAULT_MAX_TRANSFER_BYTES) -> None:
        super().__init__(max_transfer_bytes=max_transfer_bytes)
        self._busid = ""
        # A RET_SUBMIT whose header is understood and whose body is awaited: the submit, the
        # bytes of data, the count of descriptors, and the fields of the message up to its data.
        self._head: tuple[Submit, int, int, tuple[int, int, int, int, int, int]] | None = None

    def _send(self, message: ClientMessage) -> tuple[Payload, ...]:
        if isinstance(message, CmdSubmit):
            self._check_urb(message)
            parts = build_parts(message)
            # Deliberately from the header's fields only: the ledger must not keep the data alive.
            submit = Submit(
                message.direction, message.transfer_buffer_length, message.number_of_packets
            )
            self._ledger.submit(message.seqnum, submit)
            return parts
        parts = build_parts(message)
        if isinstance(message, CmdUnlink):
            self._check_urb(message)
            self._ledger.unlink(message.seqnum, message.unlink_seqnum)
        elif isinstance(message, ReqImport):
            self._move(Trigger.OP_REQ_IMPORT)
            self._busid = message.busid
        elif isinstance(message, ReqDevlist):
            self._move(Trigger.OP_REQ_DEVLIST)
        else:
            raise Violation(f"a client does not send {WIRE_NAMES[type(message)]}")
        return parts

    def _check_urb(self, message: CmdSubmit | CmdUnlink) -> None:
        if self._phase is not Phase.URB:
            name = WIRE_NAMES[type(message)]
            raise Violation(f"{name} is not allowed {self._phase.value}")
        if message.devid != self._devid:
            name = WIRE_NAMES[type(message)]
            raise Violation(f"{name}.devid is {message.devid}, but {self._devid} was imported")
        if isinstance(message, CmdSubmit):
            length = message.transfer_buffer_length
            if length > self._max_transfer_bytes:
                raise Violation(
                    f"CMD_SUBMIT.transfer_buffer_length is {length}, "
                    f"at most {self._max_transfer_bytes} are allowed here"
                )

    def _start_reader(self) -> Reader[ServerMessage] | None:
        if self._phase is Phase.DEVLIST:
            return read_rep_devlist()
        if self._phase is Phase.IMPORT:
            return read_rep_import(self._busid)
        return None

    def _note_received(self, message: object) -> None:
        if not isinstance(message, RepImport):
            self._move(Trigger.OP_REP_DEVLIST)
        elif message.status is OpStatus.OK and message.device is not None:
            self._move(Trigger.IMPORT_GRANTED)
            self._enter_urb_phase(message.device.devid)
        else:
            self._move(Trigger.IMPORT_REFUSED)

    def _next_urb(self) -> ServerMessage | ConnectionClosed | NeedData:
        if self._head is not None:
            return self._finish(*self._head)
        raw = self._buffer.take(URB_HEADER_BYTES)
        if raw is None:
            return self._starve()
        (
            command,
            seqnum,
            _devid,
            _direction,
            _ep,
            status,
            actual_length,
            start_frame,
            number_of_packets,
            error_count,
        ) = RET_SUBMIT.unpack(raw)
        if command != _RET_SUBMIT:
            return self._read_ret_unlink(command, seqnum, status)
        submit = self._ledger.look_up(seqnum)
        data_bytes, iso_count = ret_submit_extent(submit, actual_length, number_of_packets)
        fields = (seqnum, status, actual_length, start_frame, number_of_packets, error_count)
        if data_bytes or iso_count:
            return self._finish(submit, data_bytes, iso_count, fields)
        self._ledger.complete(seqnum)
        return RetSubmit(*fields)

    def _finish(
        self,
        submit: Submit,
        data_bytes: int,
        iso_count: int,
        fields: tuple[int, int, int, int, int, int],
    ) -> RetSubmit | ConnectionClosed | NeedData:
        """Give the RET_SUBMIT whose header is understood, if its body is here."""
        body = self._take_body(data_bytes, iso_count)
        if body is None:
            if self._head is None:
                self._head = (submit, data_bytes, iso_count, fields)
                self._inside = True
                size = data_bytes + iso_count * ISO_PACKET_BYTES
                self._need = (size, f"RET_SUBMIT (seqnum {fields[0]})")
            return self._starve()
        data, iso_packets = body
        if iso_count:
            check_ret_iso(submit, fields[2], iso_packets)
        if self._head is not None:
            self._head = None
            self._inside = False
            self._need = HEADER_NEED
        self._ledger.complete(fields[0])
        return RetSubmit(*fields, data, iso_packets)

    def _read_ret_unlink(self, command: int, seqnum: int, status: int) -> RetUnlink:
        if command != _RET_UNLINK:
            raise Violation(
                f"command is {command:#x}, must be {_RET_SUBMIT} (RET_SUBMIT) "
                f"or {_RET_UNLINK} (RET_UNLINK)"
            )
        self._ledger.unlinked(seqnum, status)
        return RetUnlink(seqnum, status)
