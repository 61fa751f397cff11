"""A client that means harm, against the server's end of the protocol.

The server's own answers are part of the tape, right ones and, to see them refused here before a
client meets them, wrong ones.
"""

from gadgetip.errors import LocalProtocolError
from gadgetip.wire import Phase, ReqDevlist, ReqImport, RetSubmit, RetUnlink, build
from tests.fuzz import grammar
from tests.fuzz.conversation import MOST_STEPS, Conversation
from tests.fuzz.draw import Draw


def run(data: bytes) -> int:
    """Let a server talk with a client that is scripted by `data`."""
    draw = Draw(data)
    talk = Conversation(draw, "server")
    if not talk.imported:
        operation(talk, draw)
    steps = 0
    while draw.left and not talk.over and steps < MOST_STEPS and talk.server.phase is Phase.URB:
        steps += 1
        kind = draw.integer(0, 63)
        if kind < 36:
            ask(talk, draw)
        elif kind < 60:
            message = grammar.answer(draw, talk.book.submits, talk.book.unlinks)
            if message is not None:
                answer_is_sent(talk, message)
        elif kind < 63:
            answer_wrongly(talk, draw)
        else:
            talk.attack(draw.raw(draw.integer(0, 96)), right=False)
    return talk.end()


def ask(talk: Conversation, draw: Draw) -> None:
    """A submit or an unlink, good or broken."""
    seqnum = talk.numbers.fresh(draw, talk.book.used)
    if draw.one_in(4):
        unlink = grammar.cmd_unlink(draw, seqnum, talk.book.submits)
        right = talk.book.may(unlink)
        raw, kept = talk.spoil_or_keep(unlink)
    else:
        submit = grammar.cmd_submit(draw, seqnum, ())
        right = talk.book.may(submit)
        raw, kept = talk.spoil_or_keep(submit)
    talk.attack(raw, right=right and kept)


def answer_is_sent(talk: Conversation, message: RetSubmit | RetUnlink | object) -> None:
    """A right answer goes out, and the client understands it."""
    assert isinstance(message, (RetSubmit, RetUnlink))
    talk.server_says(message)


def answer_wrongly(talk: Conversation, draw: Draw) -> None:
    """What no client awaits is not sent, and harms nothing."""
    seqnum = draw.integer(0, 1 << 20)
    book = talk.book
    if seqnum in book.submits or seqnum in book.tombstones or seqnum in book.unlinks:
        return
    for message in (RetSubmit(seqnum, 0, 0), RetUnlink(seqnum, 0)):
        try:
            talk.server.send(message)
        except LocalProtocolError:
            continue
        raise AssertionError(f"{message} was sent, which nobody awaits")
    talk.compare()


def operation(talk: Conversation, draw: Draw) -> None:
    """The request that a stream begins with, and the server's answer."""
    wants_list = draw.one_in(3)
    busid = grammar.BUSID if not draw.one_in(4) else draw.pick(("../x", "", "1-1;rm", "9" * 31))
    raw = build(ReqDevlist() if wants_list else ReqImport(busid))
    right = True
    if draw.one_in(3):
        raw, right = grammar.broken(draw, raw), False
    talk.attack(raw, right=right)
    if talk.over:
        return
    if talk.server.phase is Phase.DEVLIST:
        talk.server_says(grammar.rep_devlist(draw))
    elif talk.server.phase is Phase.IMPORT and not talk.spoilt:
        message = grammar.rep_import(draw)
        if message.device is None or message.device.busid == busid:
            talk.server_says(message)
