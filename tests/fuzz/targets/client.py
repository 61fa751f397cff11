"""A server that means harm, against the client's end of the protocol.

The client's own sends are part of the tape: which answers are right depends on what was asked.
"""

from gadgetip.wire import ReqDevlist, ReqImport, RetSubmit, RetUnlink, build
from tests.fuzz import grammar
from tests.fuzz.conversation import MOST_STEPS, Conversation
from tests.fuzz.draw import Draw


def run(data: bytes) -> int:
    """Let a client talk with a server that is scripted by `data`."""
    draw = Draw(data)
    talk = Conversation(draw, "client")
    if not talk.imported:
        import_phase(talk, draw)
    steps = 0
    while draw.left and not talk.over and steps < MOST_STEPS and talk.client.devid:
        steps += 1
        kind = draw.integer(0, 63)
        if kind < 24:
            seqnum = talk.numbers.fresh(draw, talk.book.used)
            talk.client_says(grammar.cmd_submit(draw, seqnum, ()))
        elif kind < 32:
            seqnum = talk.numbers.fresh(draw, talk.book.used)
            talk.client_says(grammar.cmd_unlink(draw, seqnum, talk.book.submits))
        elif kind < 63:
            answer(talk, draw)
        else:
            talk.attack(draw.raw(draw.integer(0, 96)), right=False)
        if talk.spoilt and not talk.over and steps > MOST_STEPS // 2:
            break
    return talk.end()


def answer(talk: Conversation, draw: Draw) -> None:
    """Say what is right now, or break it, or answer something that nobody asked."""
    message = grammar.answer(draw, talk.book.submits, talk.book.unlinks)
    right = True
    if message is None or draw.one_in(32):
        late = sorted(talk.book.tombstones)
        if late and draw.one_in(2):
            message = RetSubmit(draw.pick(late), 0, 0)
        elif draw.one_in(2):
            message = RetUnlink(draw.integer(0, 300), 0)
        else:
            message = RetSubmit(draw.integer(0, 300), 0, draw.integer(0, 64))
        right = False
    raw, kept = talk.spoil_or_keep(message)
    talk.attack(raw, right=right and kept)


def import_phase(talk: Conversation, draw: Draw) -> None:
    """Ask for the list or for the device, and let the server answer."""
    wants_list = draw.one_in(3)
    talk.client_says(ReqDevlist() if wants_list else ReqImport(grammar.BUSID))
    if draw.one_in(8):
        talk.attack(draw.raw(draw.integer(0, 400)), right=False)
        return
    message = grammar.rep_devlist(draw) if wants_list else grammar.rep_import(draw)
    device = getattr(message, "device", None)
    right = device is None or device.busid == grammar.BUSID
    raw = build(message)
    if draw.one_in(3):
        raw, right = grammar.broken(draw, raw), False
    talk.attack(raw, right=right)
