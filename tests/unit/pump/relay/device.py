"""A bulk-only device behind a USB/IP server, as a model: URBs in queues, packets, halts.

It does what its script says, command by command, and notes what it was sent. It is deterministic
but for when things happen, which is as the two sockets have it.
"""

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gadgetip.wire import (
    NEED_DATA,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
)

DEVID = 0x10002
BUSY_S = 0.03
CBW = struct.Struct("<4sIIBBB16s")
CSW_BYTES = 13
EPIPE, ECONNRESET, EOVERFLOW = 32, 104, 75
OUT_EP, IN_EP = 2, 1


@dataclass(frozen=True, slots=True)
class Script:
    """What the device does with one command.

    It moves `moves` bytes of data (all: None), at most those that are announced. With data in to
    send it ends early with a short packet, or with a stall if `stalls`; with data out it stalls
    what is more. `refuses` is a CBW that is stalled, and IN with it, until a Bulk-Only Reset.
    `skips_data` sends the CSW in place of the data. `empty_first` sends an empty packet before the
    CSW. `hates_early` takes a moment for its data out, and stalls IN if it is asked meanwhile.
    `loses_status` loses the first URB that it is asked for its CSW with.
    """

    moves: int | None = None
    stalls: bool = False
    refuses: bool = False
    skips_data: bool = False
    empty_first: bool = False
    hates_early: bool = False
    loses_status: bool = False


class Stall:
    """In the queue of packets: the endpoint halts here."""


def pattern(tag: int, size: int) -> bytes:
    """The data of a command."""
    unit = struct.pack("<I", tag * 2654435761 % 2**32)
    return (unit * (size // 4 + 1))[:size]


class Device:
    """Serves one stream in a thread of its own, until that ends."""

    def __init__(
        self,
        stream: socket.socket,
        scripts: Sequence[Script],
        *,
        packet: int = 512,
        flushes_behind_stall: bool = True,
        cut: Callable[[bytes], list[bytes]] = lambda data: [data],
    ) -> None:
        self._stream = stream
        self._scripts = deque(scripts)
        self._packet = packet
        self._flushes = flushes_behind_stall
        self._cut = cut
        self._wire = ServerConnection.after_import(DEVID)
        self._in: deque[tuple[CmdSubmit, bytearray]] = deque()
        self._out: deque[CmdSubmit] = deque()
        self._packets: deque[bytes | type[Stall]] = deque()
        self._halted_in = False
        self._halted_out = False
        self._refusing = False
        self._script = Script()
        self._busy_with: CmdSubmit | None = None
        self._lost: CmdSubmit | None = None
        self._frozen_in = False
        self._frozen_out = False
        self._length = 0
        self._tag = 0
        self._left_out = 0
        self._accepts_out = 0
        self._moved = 0
        self.received: list[tuple[int, bytes]] = []
        """What arrived at OUT: the tag, and the data that was taken."""
        self.seen: list[CmdSubmit | CmdUnlink] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end; raises what went wrong."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while True:
                self._stream.settimeout(BUSY_S if self._busy_with is not None else None)
                try:
                    data = self._stream.recv(65536)
                except TimeoutError:
                    self._be_ready()
                    continue
                if not data:
                    return
                self._wire.receive_data(data)
                while (event := self._wire.next_event()) is not NEED_DATA:
                    if isinstance(event, ConnectionClosed):
                        return
                    self._take(event)
        except (ConnectionResetError, BrokenPipeError):
            return
        except BaseException as error:
            self.error = error
            self._stream.close()

    def _send(self, message: ServerMessage) -> None:
        for part in self._cut(self._wire.send(message)):
            self._stream.sendall(part)

    def _answer(self, urb: CmdSubmit, status: int, actual: int, data: bytes = b"") -> None:
        self._send(RetSubmit(urb.seqnum, status, actual, data=data))

    def _take(self, message: ClientMessage) -> None:
        assert isinstance(message, CmdSubmit | CmdUnlink)
        self.seen.append(message)
        if isinstance(message, CmdUnlink):
            self._unlink(message)
        elif message.ep == 0:
            self._control(message)
        elif (message.ep, message.direction) == (IN_EP, Direction.IN):
            if self._script.loses_status and self._packets and self._status_is_next():
                self._script = replace(self._script, loses_status=False)
                self._lost = message
            else:
                self._in.append((message, bytearray()))
            if self._busy_with is not None:
                self._halted_in = True
        elif (message.ep, message.direction) == (OUT_EP, Direction.OUT):
            self._out.append(message)
        else:
            raise AssertionError(f"no such endpoint: {message}")
        self._work()

    def _unlink(self, message: CmdUnlink) -> None:
        if self._lost is not None and self._lost.seqnum == message.unlink_seqnum:
            self._lost = None
            self._send(RetUnlink(message.seqnum, -ECONNRESET))
            return
        for queued in list(self._in):
            if queued[0].seqnum == message.unlink_seqnum:
                self._in.remove(queued)
                self._frozen_in = self._frozen_in and bool(self._in)
                self._send(RetUnlink(message.seqnum, -ECONNRESET))
                return
        for urb in list(self._out):
            if urb.seqnum == message.unlink_seqnum:
                self._out.remove(urb)
                self._frozen_out = self._frozen_out and bool(self._out)
                self._send(RetUnlink(message.seqnum, -ECONNRESET))
                return
        self._send(RetUnlink(message.seqnum, 0))

    def _control(self, urb: CmdSubmit) -> None:
        setup = urb.setup
        if setup[:3] == b"\x02\x01\x00":
            if setup[4] & 0x80:
                self._halted_in = self._refusing
                self._frozen_in = False
            else:
                self._halted_out = self._refusing
                self._frozen_out = False
        elif setup[:2] == b"\x21\xff" or setup[:2] == b"\x00\x09":
            self._refusing = False
            if setup[0] == 0:
                self._halted_in = self._halted_out = False
            self._packets.clear()
            self._left_out = 0
            self._script = Script()
        if urb.direction is Direction.IN:
            data = bytes(range(urb.transfer_buffer_length % 251))
            self._answer(urb, 0, len(data), data)
        else:
            self._answer(urb, 0, urb.transfer_buffer_length)

    # --- the device -------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._work_out() or self._work_in():
            pass

    def _work_out(self) -> bool:
        if not self._out:
            return False
        if self._halted_out:
            if self._frozen_out:
                return False
            self._answer(self._out.popleft(), -EPIPE, 0)
            self._frozen_out = not self._flushes and bool(self._out)
            return True
        if self._busy_with is not None:
            return False
        urb = self._out.popleft()
        if self._left_out and self._script.hates_early:
            self._busy_with = urb
            return False
        return self._take_out(urb)

    def _be_ready(self) -> None:
        urb, self._busy_with = self._busy_with, None
        assert urb is not None
        self._take_out(urb)
        self._work()

    def _take_out(self, urb: CmdSubmit) -> bool:
        data = bytes(urb.data)
        if self._left_out:
            taken = data[: self._accepts_out]
            self.received.append((self._tag, taken))
            self._moved += len(taken)
            self._accepts_out -= len(taken)
            self._left_out -= len(data)
            if len(taken) < len(data):
                self._halted_out = True
                self._frozen_out = not self._flushes and bool(self._out)
                self._left_out = 0
                self._answer(urb, -EPIPE, len(taken))
            else:
                self._answer(urb, 0, len(data))
            if self._left_out <= 0:
                self._left_out = 0
                self._queue_status()
        else:
            self._begin(urb, data)
        return True

    def _begin(self, urb: CmdSubmit, data: bytes) -> None:
        assert len(data) == CBW.size, data.hex()
        _, self._tag, length, flags, _, _, _ = CBW.unpack(data)
        self.received.append((self._tag, data))
        self._script = self._scripts.popleft() if self._scripts else Script()
        self._length = length
        self._moved = 0
        self._packets.clear()
        if self._script.refuses:
            self._refusing = self._halted_in = self._halted_out = True
            self._answer(urb, -EPIPE, 0)
            return
        moves = length if self._script.moves is None else min(self._script.moves, length)
        if flags & 0x80 and length and not self._script.skips_data:
            self._queue_data(length, moves)
        elif length and not flags & 0x80:
            self._left_out = length
            self._accepts_out = moves
        if not self._left_out:
            self._queue_status()
        self._answer(urb, 0, len(data))

    def _queue_data(self, length: int, moves: int) -> None:
        if self._script.stalls:
            moves -= moves % self._packet
        data = pattern(self._tag, moves)
        self._moved = moves
        for at in range(0, moves, self._packet):
            self._packets.append(data[at : at + self._packet])
        if moves < length:
            if self._script.stalls:
                self._packets.append(Stall)
            elif moves % self._packet == 0:
                self._packets.append(b"")

    def _queue_status(self) -> None:
        if self._script.empty_first:
            self._packets.append(b"")
        residue = self._length - self._moved
        self._packets.append(struct.pack("<4sIIB", b"USBS", self._tag, residue, residue > 0))

    def _status_is_next(self) -> bool:
        first = self._packets[0]
        return isinstance(first, bytes) and len(first) == CSW_BYTES

    def _work_in(self) -> bool:
        if not self._in:
            return False
        urb, gathered = self._in[0]
        if self._halted_in:
            if self._frozen_in:
                return False
            self._in.popleft()
            self._answer(urb, -EPIPE, len(gathered), bytes(gathered))
            self._frozen_in = not self._flushes and bool(self._in)
            return True
        if not self._packets:
            return False
        packet = self._packets.popleft()
        if packet is Stall:
            self._halted_in = True
            return True
        assert isinstance(packet, bytes)
        room = urb.transfer_buffer_length - len(gathered)
        gathered += packet[:room]
        if len(packet) > room:
            self._in.popleft()
            self._answer(urb, -EOVERFLOW, len(gathered), bytes(gathered))
        elif len(packet) < self._packet or len(gathered) == urb.transfer_buffer_length:
            self._in.popleft()
            self._answer(urb, 0, len(gathered), bytes(gathered))
        return True
