"""A client that means harm, against the session of the user-space stub, with a device as bad.

A parser beside it overhears what the client says, a friendly client says the same, and what the
session answers is what that client must understand. So nothing is answered that was not asked,
nor twice; and once the device is through, everything is answered. An answer must not change between
its making and its sending, though its data lie in a buffer that is used again. Bounds are set low,
so that an input of a few KiB reaches them.
"""

from gadgetip.errors import RemoteProtocolError
from gadgetip.server.userspace.session import UrbSession
from gadgetip.server.userspace.urb import DeviceLostError
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    Direction,
    Phase,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    build,
)
from tests.fuzz import grammar
from tests.fuzz.conversation import MOST_STEPS, Book
from tests.fuzz.draw import Draw
from tests.fuzz.scripted_device import Clock, ScriptedDevice

MAX_CLIENT_BYTES = 192 << 10
CLOGGED_BYTES = 48 << 10
MAX_DEVICE_BYTES = 64 << 10
CHUNK = 64 << 10
LIVE = tuple(
    (Direction(address >> 7), address & 15)
    for address in (0x80, 0x00, 0x81, 0x81, 0x02, 0x02, 0x83, 0x04, 0x85, 0x06)
)


class Attack:
    """One session under attack."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        clock = Clock()
        limit = grammar.MAX_TRANSFER
        self.device = ScriptedDevice(draw, clock)
        self.session = UrbSession(
            self.device,
            ServerConnection.after_import(grammar.DEVID, max_transfer_bytes=limit),
            max_client_bytes=MAX_CLIENT_BYTES,
            clogged_bytes=CLOGGED_BYTES,
            max_device_bytes=MAX_DEVICE_BYTES,
            clock=clock.monotonic,
        )
        self.shadow = ServerConnection.after_import(grammar.DEVID, max_transfer_bytes=limit)
        self.friend = ClientConnection.after_import(grammar.DEVID, max_transfer_bytes=limit)
        self.book = Book()
        self.answers = bytearray()
        """What the client is still to be sent, copied when it was made."""
        self.numbers = grammar.Numbers()
        self.messages = 0
        self.over = False
        self.spoilt = False
        """Something that is not right was said."""
        self.is_lost_track_of = False
        """A number was used twice; who means what by it cannot be told any more."""

    def say(self, raw: bytes, *, right: bool) -> None:
        """The client sends this."""
        self.spoilt = self.spoilt or not right
        for piece in grammar.cut(self.draw, raw):
            if self.over or not piece:
                return
            while self.session.is_clogged:
                self.take(all_of_it=True)
            self._receive(piece)

    def _receive(self, piece: bytes) -> None:
        refusal = None
        try:
            self.session.receive(piece)
        except RemoteProtocolError as error:
            refusal = error
        except DeviceLostError:
            self.over = True
        shadow_refuses = not self._overhear(piece)
        if refusal is not None:
            if not self.spoilt:
                raise refusal
            self.over = True
        if shadow_refuses:
            assert self.spoilt, "a right message is none for the protocol's parser"
            self.is_lost_track_of = True
        self.listen()
        self.check()

    def _overhear(self, piece: bytes) -> bool:
        """Note what the client said; False: it is no USB/IP, or a number is used twice."""
        try:
            self.shadow.receive_data(piece)
            while (event := self.shadow.next_event()) is not NEED_DATA:
                assert isinstance(event, (CmdSubmit, CmdUnlink))
                self.messages += 1
                self.friend.send(event)
                self.book.note(event)
        except RemoteProtocolError:
            return False
        return True

    def listen(self) -> None:
        """Understand what was answered since the last time; what was there must be the same."""
        output = b"".join(self.session.output())
        assert output.startswith(self.answers), "an answer has changed since it was made"
        assert len(output) == self.session.output_bytes, "the output is not counted right"
        fresh = output[len(self.answers) :]
        self.answers += fresh
        if self.is_lost_track_of or not fresh:
            return
        self.friend.receive_data(fresh)
        while (event := self.friend.next_event()) is not NEED_DATA:
            assert isinstance(event, (RetSubmit, RetUnlink))
            self.messages += 1
            if self.shadow.phase is Phase.URB:
                self.shadow.send(event)
            self.book.note(event)

    def collect(self, limit_s: float = 0.0) -> None:
        """Let the session look what the device has done."""
        self.session.collect(limit_s)
        self.listen()
        self.check()

    def take(self, *, all_of_it: bool = False) -> None:
        """The client takes answers: all, or to any byte."""
        waiting = self.session.output_bytes
        if not waiting:
            return
        count = waiting if all_of_it else self.draw.integer(1, waiting)
        parts, left, rest = 0, count, b""
        for part in self.session.output():
            parts += 1
            if left < len(part):
                rest = bytes(part[left:])
                break
            left -= len(part)
            if not left:
                break
        self.session.sent(parts, rest)
        del self.answers[:count]
        self.listen()

    def check(self) -> None:
        """What must hold at any time."""
        session = self.session
        charged = session.held_bytes - session.output_bytes
        assert 0 <= charged <= MAX_CLIENT_BYTES
        assert charged > 0 or not session.in_flight, "what is in flight is not counted"
        at_rest = not session.in_flight and not session.output_bytes
        assert charged == 0 or not at_rest, "nothing is there, and something is counted"
        assert session.output_bytes <= MAX_CLIENT_BYTES + CLOGGED_BYTES + 2 * CHUNK
        assert len(self.device.pending) <= session.in_flight or self.device.stubborn

    def finish(self) -> int:
        """Let everything come to its end, then the client goes. Returns the messages."""
        session, device = self.session, self.device
        if not self.over and not self.draw.one_in(4):
            device.hurries = True
            for _ in range(16):
                self.collect(1.0)
                self.take(all_of_it=True)
            if not device.stubborn:
                assert not session.in_flight, "a transfer is never answered"
            if not device.stubborn and not self.is_lost_track_of:
                book = self.book
                assert not book.submits, f"never answered: {sorted(book.submits)}"
                assert not book.unlinks, f"unlinks never answered: {sorted(book.unlinks)}"
            device.hurries = False
        if not self.over and self.draw.one_in(2):
            self._receive(b"")
        session.settle()
        if not device.stubborn and not device.lost:
            assert not device.pending, "the device is left with transfers in flight"
            assert not session.in_flight
        return self.messages


def run(data: bytes) -> int:
    """Let a session serve a client that is scripted by `data`."""
    draw = Draw(data)
    attack = Attack(draw)
    steps = 0
    while draw.left and not attack.over and steps < MOST_STEPS:
        steps += 1
        kind = draw.integer(0, 63)
        if kind < 40:
            ask(attack, draw)
        elif kind < 52:
            attack.collect()
        elif kind < 62:
            attack.take()
        elif kind < 63:
            attack.say(draw.raw(draw.integer(0, 96)), right=False)
        else:
            attack.device.lost = draw.one_in(4)
    return attack.finish()


def ask(attack: Attack, draw: Draw) -> None:
    """A submit or an unlink, good or broken."""
    book = attack.book
    seqnum = attack.numbers.fresh(draw, book.used)
    message: CmdSubmit | CmdUnlink
    if draw.one_in(5):
        message = grammar.cmd_unlink(draw, seqnum, book.submits)
    else:
        message = grammar.cmd_submit(draw, seqnum, LIVE)
    raw = build(message)
    right = book.may(message)
    if draw.one_in(24):
        raw, right = grammar.broken(draw, raw), False
    attack.say(raw, right=right)
