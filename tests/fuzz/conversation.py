"""One end of a stream under attack, and a friend at the other end who knows the truth.

The friend is the same protocol's other end, and is told only what the attacked end has accepted. It
must be able to say each of those messages itself: so nothing is accepted that may not be said, and
nothing is answered twice or that was not asked. Both must keep the same book; a third is kept here,
in a few dicts, so that one mistake in their common ledger does not go unseen.

What must hold: nothing but `RemoteProtocolError` comes out, and it is final; good messages are
accepted in whatever pieces they come; what is kept in memory has a bound; the stream ends.
"""

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.wire import (
    MAX_ISO_PACKETS,
    NEED_DATA,
    ClientConnection,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
    build,
)
from tests.fuzz import grammar
from tests.fuzz.draw import Draw

MOST_BUFFERED = grammar.MAX_TRANSFER + MAX_ISO_PACKETS * 16 + 48
MOST_STEPS = 200


class Book:
    """What is in flight, kept independently of `gadgetip.wire.ledger`."""

    def __init__(self) -> None:
        self.submits: dict[int, CmdSubmit] = {}
        self.unlinks: dict[int, int] = {}
        self.unlinking: set[int] = set()
        self.tombstones: set[int] = set()

    @property
    def used(self) -> set[int]:
        """Sequence numbers that must not be used again now."""
        return {*self.submits, *self.unlinks}

    def may(self, message: CmdSubmit | CmdUnlink) -> bool:
        """Whether a client may say this now."""
        if message.seqnum in self.used:
            return False
        return not (isinstance(message, CmdUnlink) and message.unlink_seqnum in self.unlinking)

    def note(self, message: ClientMessage | ServerMessage) -> None:
        """Write down what was said and accepted; fails where it should not have been."""
        if isinstance(message, CmdSubmit):
            assert self.may(message), "a sequence number in use was accepted"
            self.tombstones.discard(message.seqnum)
            self.submits[message.seqnum] = message
        elif isinstance(message, CmdUnlink):
            assert self.may(message), "a second unlink, or a number in use, was accepted"
            self.unlinks[message.seqnum] = message.unlink_seqnum
            if message.unlink_seqnum in self.submits:
                self.unlinking.add(message.unlink_seqnum)
        elif isinstance(message, RetSubmit):
            seqnum = message.seqnum
            assert seqnum in self.submits or seqnum in self.tombstones, "nobody asked for this"
            self.submits.pop(seqnum, None)
            self.tombstones.discard(seqnum)
            self.unlinking.discard(seqnum)
        elif isinstance(message, RetUnlink):
            assert message.seqnum in self.unlinks, "nobody asked for this unlink"
            submit = self.unlinks.pop(message.seqnum)
            if submit in self.unlinking:
                self.unlinking.discard(submit)
                del self.submits[submit]
                if message.status == 0:
                    self.tombstones.add(submit)


class Conversation:
    """Both ends, the book, and what the attacker has said so far."""

    def __init__(self, draw: Draw, attacked: str) -> None:
        imported = draw.integer(0, 3) > 0
        limit = grammar.MAX_TRANSFER
        if imported:
            self.client = ClientConnection.after_import(grammar.DEVID, max_transfer_bytes=limit)
            self.server = ServerConnection.after_import(grammar.DEVID, max_transfer_bytes=limit)
        else:
            self.client = ClientConnection(max_transfer_bytes=limit)
            self.server = ServerConnection(max_transfer_bytes=limit)
        self.imported = imported
        self.client_is_attacked = attacked == "client"
        self.draw = draw
        self.book = Book()
        self.numbers = grammar.Numbers()
        self.messages = 0
        self.over = False
        self.spoilt = False
        """Something that is not right was said: from here on the stream may be refused."""

    def client_says(self, message: ClientMessage) -> None:
        """The friendly client says something: it must be understood."""
        if isinstance(message, CmdSubmit):
            message = message._replace(devid=self.client.devid)
        elif isinstance(message, CmdUnlink):
            message = CmdUnlink(message.seqnum, self.client.devid, message.unlink_seqnum)
        try:
            raw = self.client.send(message)
        except LocalProtocolError:
            assert isinstance(message, (CmdSubmit, CmdUnlink)), message
            assert not self.book.may(message), "a good message was not sent"
            return
        self.book.note(message)
        self.server.receive_data(raw)
        assert self.server.next_event() == message
        assert self.server.next_event() is NEED_DATA
        self.messages += 1
        self.compare()

    def server_says(self, message: ServerMessage) -> None:
        """The friendly server says something right: it must be understood."""
        raw = self.server.send(message)
        self.book.note(message)
        self.client.receive_data(raw)
        assert self.client.next_event() == message
        assert self.client.next_event() is NEED_DATA
        self.messages += 1
        self.compare()

    def attack(self, raw: bytes, *, right: bool) -> None:
        """The attacker says something, which is `right` or not, in pieces."""
        self.spoilt = self.spoilt or not right
        self.messages += 1
        end = self.client if self.client_is_attacked else self.server
        pieces = grammar.cut(self.draw, raw)
        for piece in pieces:
            try:
                end.receive_data(piece)
                while (event := end.next_event()) is not NEED_DATA:
                    assert not isinstance(event, ConnectionClosed)
                    self.accepted(event)
            except RemoteProtocolError as error:
                self.refused(error)
                return
            assert end.buffered <= MOST_BUFFERED + len(piece)

    def accepted(self, event: ClientMessage | ServerMessage) -> None:
        """The attacked end has understood something: the friend must be able to say it."""
        self.messages += 1
        if self.client_is_attacked:
            assert isinstance(event, (RepDevlist, RepImport, RetSubmit, RetUnlink))
            self.server.send(event)
        else:
            assert isinstance(event, (ReqDevlist, ReqImport, CmdSubmit, CmdUnlink))
            self.client.send(event)
        self.book.note(event)
        self.compare()

    def refused(self, error: RemoteProtocolError) -> None:
        """The attacked end gave up: rightly, in one line, and for good."""
        assert self.spoilt, f"a right message was refused: {error}"
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 2000
        end = self.client if self.client_is_attacked else self.server
        assert _says_again(end) == str(error), "an error was not final"
        end.receive_data(b"more")
        assert end.buffered == 0
        self.over = True

    def compare(self) -> None:
        """All three books must agree."""
        for end in (self.client, self.server):
            assert end.pending == len(self.book.submits)
            assert end.pending_unlinks == len(self.book.unlinks)
            assert end.tombstones == len(self.book.tombstones)
        assert self.client.phase is self.server.phase

    def end(self) -> int:
        """The attacker closes; the attacked end must come to an end. Returns the messages."""
        if not self.over:
            end = self.client if self.client_is_attacked else self.server
            end.receive_eof()
            try:
                event = end.next_event()
                assert isinstance(event, ConnectionClosed), event
            except RemoteProtocolError:
                assert self.spoilt or end.buffered or end.pending >= 0
        return self.messages

    def spoil_or_keep(self, message: ClientMessage | ServerMessage) -> tuple[bytes, bool]:
        """The bytes of a good message; sometimes broken. And whether they are right."""
        raw = build(message)
        if self.draw.one_in(24):
            return grammar.broken(self.draw, raw), False
        return raw, True


def _says_again(end: ClientConnection | ServerConnection) -> str:
    try:
        return repr(end.next_event())
    except RemoteProtocolError as error:
        return str(error)
