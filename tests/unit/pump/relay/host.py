"""A host's mass storage driver, as a model: what it asks, and what it makes of errors.

It is to the relay what the kernel's vhci_hcd and usb-storage are together, and keeps to the
transport's specification (5.3, 6.7). `ClientConnection` sees to it that nothing is answered twice,
or unasked.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gadgetip.pump.native_module import native_module
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    RetSubmit,
    RetUnlink,
)
from tests.unit.pump.relay.device import CBW, DEVID, EPIPE, IN_EP, OUT_EP, pattern

SET_CONFIGURATION = bytes.fromhex("0009010000000000")
RESET = bytes.fromhex("21ff000000000000")
CLEAR_IN = bytes([2, 1, 0, 0, 0x80 | IN_EP, 0, 0, 0])
CLEAR_OUT = bytes([2, 1, 0, 0, OUT_EP, 0, 0, 0])
SETTING = (1, 0, 0, OUT_EP, IN_EP)


@dataclass(frozen=True, slots=True)
class Command:
    """What the host wants: `pieces` are the lengths of its data URBs, their sum what it says."""

    moves_in: bool
    pieces: tuple[int, ...] = ()
    queued: bool = False
    """Whether it submits all data URBs at once."""

    @property
    def length(self) -> int:
        return sum(self.pieces)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a command, as a driver sees it."""

    data: bytes
    endings: tuple[tuple[int, int], ...]
    """Of the data-in URBs: status and actual length."""
    status: bytes
    """The CSW, or what became of it."""


class Host:
    """Sends commands over one stream."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        stream.settimeout(10)
        self._wire = ClientConnection.after_import(DEVID)
        self._seqnum = 100
        self._tag = 0
        self._answers: dict[int, RetSubmit | RetUnlink] = {}

    def submit(
        self, ep: int, direction: Direction, length: int, data: bytes = b"", setup: bytes = bytes(8)
    ) -> int:
        self._seqnum += 1
        self._stream.sendall(
            self._wire.send(
                CmdSubmit(
                    self._seqnum,
                    DEVID,
                    direction,
                    ep,
                    transfer_buffer_length=length,
                    setup=setup,
                    data=data,
                )
            )
        )
        return self._seqnum

    def unlink(self, seqnum: int) -> RetUnlink:
        self._seqnum += 1
        self._stream.sendall(self._wire.send(CmdUnlink(self._seqnum, DEVID, seqnum)))
        answer = self.answer(self._seqnum)
        assert isinstance(answer, RetUnlink)
        return answer

    def answer(self, seqnum: int) -> RetSubmit | RetUnlink:
        while seqnum not in self._answers:
            event = self._wire.next_event()
            if event is NEED_DATA:
                data = self._stream.recv(65536)
                if data:
                    self._wire.receive_data(data)
                else:
                    self._wire.receive_eof()
                continue
            assert isinstance(event, RetSubmit | RetUnlink), event
            self._answers[event.seqnum] = event
        return self._answers.pop(seqnum)

    def ended(self) -> bool:
        """Whether the stream is at its end, with nothing more before."""
        event = self._wire.next_event()
        while event is NEED_DATA:
            data = self._stream.recv(65536)
            if data:
                self._wire.receive_data(data)
            else:
                self._wire.receive_eof()
            event = self._wire.next_event()
        return isinstance(event, ConnectionClosed)

    def ask(self, seqnum: int) -> RetSubmit:
        answer = self.answer(seqnum)
        assert isinstance(answer, RetSubmit)
        return answer

    def control(self, setup: bytes) -> int:
        length = int.from_bytes(setup[6:8], "little")
        direction = Direction.IN if setup[0] & 0x80 else Direction.OUT
        return self.ask(self.submit(0, direction, length, setup=setup)).status

    def read(self, length: int) -> RetSubmit:
        return self.ask(self.submit(IN_EP, Direction.IN, length))

    def write(self, data: bytes) -> RetSubmit:
        return self.ask(self.submit(OUT_EP, Direction.OUT, len(data), data))

    def carry_out(self, command: Command) -> Seen:
        """One command, with what a driver does when it goes wrong."""
        self._tag += 1
        flags = 0x80 if command.moves_in else 0
        wrapper = CBW.pack(b"USBC", self._tag, command.length, flags, 0, 6, bytes(16))
        if self.write(wrapper).status:
            return self._recover()
        data, endings = b"", []
        if command.moves_in:
            for ret in self._data_in(command):
                data += ret.data
                endings.append((ret.status, ret.actual_length))
        else:
            self._data_out(command)
        if endings and endings[-1][1] == 13 and data[-13:-9] == b"USBS" and len(data) == 13:
            return Seen(b"", tuple(endings), data)  # the device skipped its data
        for _ in range(3):
            status = self.read(13)
            if status.status == -EPIPE:
                self.control(CLEAR_IN)
            elif status.status:
                return self._recover()
            elif status.data:
                return Seen(data, tuple(endings), status.data)
        return self._recover()

    def _data_in(self, command: Command) -> Iterator[RetSubmit]:
        waiting = []
        if command.queued:
            waiting = [self.submit(IN_EP, Direction.IN, each) for each in command.pieces]
        for place, length in enumerate(command.pieces):
            ret = self.ask(waiting[place]) if waiting else self.read(length)
            yield ret
            if ret.status or ret.actual_length < length:
                for seqnum in reversed(waiting[place + 1 :]):
                    self.unlink(seqnum)
                if ret.status == -EPIPE:
                    self.control(CLEAR_IN)
                return

    def _data_out(self, command: Command) -> None:
        data = pattern(self._tag, command.length)
        at = 0
        for length in command.pieces:
            if self.write(data[at : at + length]).status:
                self.control(CLEAR_OUT)
                return
            at += length

    def _recover(self) -> Seen:
        for setup in (RESET, CLEAR_IN, CLEAR_OUT):
            assert self.control(setup) == 0
        return Seen(b"", (), b"reset")


@contextmanager
def relayed(server: socket.socket, packet: int = 512) -> Iterator[tuple[socket.socket, object]]:
    """A relay in front of a server's stream: the kernel's end, and the relay."""
    module = native_module()
    assert module is not None
    ours, kernels = socket.socketpair()
    relay = module.Relay(server.fileno(), ours.fileno(), [(*SETTING, packet)])
    relay.start()
    try:
        yield kernels, relay
    finally:
        relay.stop()
        for each in (ours, kernels):
            each.close()


Cut = Callable[[bytes], list[bytes]]
