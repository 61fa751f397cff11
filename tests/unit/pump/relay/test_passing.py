"""What the relay passes on, and what it keeps from either side; the server is the test."""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gadgetip.pump.native_module import native_module, why_not
from gadgetip.pump.relay import RelayEnd
from gadgetip.wire import (
    NEED_DATA,
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
    build,
)
from tests.unit.pump.relay.device import CBW, DEVID, IN_EP, OUT_EP
from tests.unit.pump.relay.host import CLEAR_IN, RESET, SET_CONFIGURATION, Host, relayed

pytestmark = pytest.mark.skipif(native_module() is None, reason=f"the native pump {why_not()}")

ECONNRESET, EPIPE, EPROTO, EMSGSIZE, ENOMEM = -104, -32, -71, -90, -12
RELAY_URBS = 2048
SETTLE_S = 5.0
MAX_TRANSFER_BYTES = 16 * 1024 * 1024
SET_INTERFACE = bytes.fromhex("010b010000000000")


class Scene:
    """A host, a relay, and the far end of its stream."""

    def __init__(self, host: Host, relay: object, server: socket.socket) -> None:
        self.host = host
        self.relay = relay
        self._server = server
        server.settimeout(10)
        self._wire = ServerConnection.after_import(DEVID)

    def next(self) -> CmdSubmit | CmdUnlink:
        while (event := self._wire.next_event()) is NEED_DATA:
            data = self._server.recv(65536)
            assert data
            self._wire.receive_data(data)
        assert isinstance(event, CmdSubmit | CmdUnlink)
        return event

    def submit(self) -> CmdSubmit:
        message = self.next()
        assert isinstance(message, CmdSubmit), message
        return message

    def unlink(self) -> CmdUnlink:
        message = self.next()
        assert isinstance(message, CmdUnlink), message
        return message

    def say(self, message: ServerMessage) -> None:
        """As it is, also what a server may not say."""
        self._server.sendall(build(message))

    def configure(self, setup: bytes = SET_CONFIGURATION) -> None:
        asked = self.host.submit(0, Direction.OUT, 0, setup=setup)
        self.say(RetSubmit(self.submit().seqnum, 0, 0))
        assert self.host.ask(asked).status == 0

    def begin(
        self, length: int, *, moves_in: bool, patient: bool = False
    ) -> tuple[CmdSubmit, list[CmdSubmit]]:
        """A command of the host's: the CBW as the server gets it, and what was asked ahead.

        Of a device that is `patient` the CSW is not asked for yet.
        """
        flags = 0x80 if moves_in else 0
        sent = self.host.submit(
            OUT_EP,
            Direction.OUT,
            CBW.size,
            CBW.pack(b"USBC", 7, length, flags, 0, 6, bytes(16)),
        )
        assert self.host.ask(sent).actual_length == CBW.size
        command = self.submit()
        ahead = [self.submit() for _ in range((length > 0) + (not patient))] if moves_in else []
        return command, ahead


@contextmanager
def staged() -> Iterator[Scene]:
    ours, theirs = socket.socketpair()
    with ours, theirs, relayed(ours) as (kernels, relay):
        it = Scene(Host(kernels), relay, theirs)
        it.configure()
        yield it


@pytest.fixture
def scene() -> Iterator[Scene]:
    with staged() as it:
        yield it


def status(tag: int = 7, failed: bool = False) -> bytes:
    return struct.pack("<4sIIB", b"USBS", tag, 0, failed)


def test_isochronous_packets_pass(scene: Scene) -> None:
    packets = tuple(IsoPacketDescriptor(at * 100, 100) for at in range(3))
    scene.host._seqnum += 1
    asked = CmdSubmit(
        scene.host._seqnum,
        DEVID,
        Direction.IN,
        5,
        transfer_buffer_length=300,
        number_of_packets=3,
        interval=1,
        iso_packets=packets,
    )
    scene.host._stream.sendall(scene.host._wire.send(asked))
    seen = scene.submit()
    assert seen._replace(seqnum=asked.seqnum) == asked
    got = tuple(IsoPacketDescriptor(at * 100, 100, 10 + at) for at in range(3))
    ret = RetSubmit(seen.seqnum, 0, 33, 0, 3, 0, bytes(range(33)), got)
    scene.say(ret)
    assert scene.host.ask(asked.seqnum) == ret._replace(seqnum=asked.seqnum)


def test_an_answer_behind_that_of_its_unlink_is_kept_from_the_kernel(scene: Scene) -> None:
    host = scene.host
    asked = host.submit(4, Direction.IN, 64)
    seen = scene.submit()
    host._seqnum += 1
    host._stream.sendall(host._wire.send(CmdUnlink(host._seqnum, DEVID, asked)))
    unlink = scene.unlink()
    assert unlink.unlink_seqnum == seen.seqnum
    scene.say(RetUnlink(unlink.seqnum, 0))
    scene.say(RetSubmit(seen.seqnum, 0, 3, data=b"abc"))
    assert host.answer(host._seqnum) == RetUnlink(host._seqnum, 0)
    # The connection goes on, and in step.
    again = host.submit(4, Direction.IN, 64)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 2, data=b"de"))
    assert host.ask(again).data == b"de"


def test_an_unlink_of_what_is_over_is_answered_here(scene: Scene) -> None:
    assert scene.host.unlink(12345) == RetUnlink(scene.host._seqnum, 0)


def test_a_urb_that_waits_for_what_arrives_is_given_up(scene: Scene) -> None:
    _, [data, csw] = scene.begin(512, moves_in=True)
    waiting = scene.host.submit(IN_EP, Direction.IN, 512)
    assert scene.host.unlink(waiting).status == ECONNRESET
    # What comes is the next one's, as the device has sent it.
    scene.say(RetSubmit(data.seqnum, 0, 512, data=bytes(512)))
    scene.say(RetSubmit(csw.seqnum, 0, 13, data=status()))
    assert scene.host.read(512).data == bytes(512)
    assert scene.host.read(13).data == status()


def test_what_is_ahead_is_taken_back_before_the_configuration_changes(scene: Scene) -> None:
    command, [data, csw] = scene.begin(512, moves_in=True)
    asked = scene.host.submit(0, Direction.OUT, 0, setup=SET_CONFIGURATION)
    unlinks = [scene.unlink() for _ in range(3)]
    assert [each.unlink_seqnum for each in unlinks] == [csw.seqnum, data.seqnum, command.seqnum]
    for each in unlinks:
        scene.say(RetUnlink(each.seqnum, ECONNRESET))
    seen = scene.submit()
    assert seen.setup == SET_CONFIGURATION
    scene.say(RetSubmit(seen.seqnum, 0, 0))
    assert scene.host.ask(asked).status == 0


def test_another_alternate_setting_passes(scene: Scene) -> None:
    scene.configure(SET_INTERFACE)
    cbw = CBW.pack(b"USBC", 7, 512, 0x80, 0, 6, bytes(16))
    sent = scene.host.submit(OUT_EP, Direction.OUT, len(cbw), cbw)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 31))
    assert scene.host.ask(sent).status == 0
    read = scene.host.submit(IN_EP, Direction.IN, 512)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 1, data=b"x"))
    assert scene.host.ask(read).data == b"x"


def test_a_command_that_fails_is_told_by_the_next_urb(scene: Scene) -> None:
    command, [data, csw] = scene.begin(512, moves_in=True)
    waiting = scene.host.submit(IN_EP, Direction.IN, 512)
    scene.say(RetSubmit(command.seqnum, EPROTO, 0))
    for urb in (csw, data):
        unlink = scene.unlink()
        assert unlink.unlink_seqnum == urb.seqnum
        scene.say(RetUnlink(unlink.seqnum, ECONNRESET))
    assert scene.host.ask(waiting).status == EPROTO
    assert scene.host.write(bytes(31)).status == EPROTO


def test_a_posted_write_that_is_stalled_before_its_end(scene: Scene) -> None:
    command, _ = scene.begin(2048, moves_in=False)
    scene.say(RetSubmit(command.seqnum, 0, CBW.size))
    assert scene.host.write(bytes(1024)).status == 0
    scene.say(RetSubmit(scene.submit().seqnum, EPIPE, 512))
    asked = scene.host.submit(0, Direction.IN, 2, setup=bytes.fromhex("8000000000000200"))
    scene.say(RetSubmit(scene.submit().seqnum, 0, 2, data=b"\0\0"))
    assert scene.host.ask(asked).status == 0  # so the failure has arrived
    for _ in range(2):  # halted, until the host clears it
        assert scene.host.write(bytes(1024)).status == EPIPE
    scene.configure(bytes([2, 1, 0, 0, OUT_EP, 0, 0, 0]))
    assert scene.relay.statistics()[7] == 512  # type: ignore[attr-defined]


def stalled_early(scene: Scene) -> CmdSubmit:
    """The early request for a CSW, which the server stalls: it is not known yet what that means."""
    asked = scene.submit()
    assert (asked.ep, asked.direction) == (IN_EP, Direction.IN)
    scene.say(RetSubmit(asked.seqnum, EPIPE, 0))
    return asked


def end_with_a_status(scene: Scene) -> None:
    """The relay clears the halt of its own making, and asks again; the host gets its CSW."""
    clear = scene.submit()
    assert (clear.ep, clear.setup) == (0, CLEAR_IN)
    scene.say(RetSubmit(clear.seqnum, 0, 0))
    again = scene.submit()
    scene.say(RetSubmit(again.seqnum, 0, 13, data=status()))
    assert scene.host.read(13).data == status()


def test_a_write_of_a_mebibyte_is_posted_though_its_command_is_not_answered(scene: Scene) -> None:
    piece = 1 << 17
    command, _ = scene.begin(8 * piece, moves_in=False)
    data = []
    for _ in range(8):
        asked = scene.host.submit(OUT_EP, Direction.OUT, piece, bytes(piece))
        data.append(scene.submit())
        assert scene.host.ask(asked).actual_length == piece
    stalled_early(scene)
    scene.say(RetSubmit(command.seqnum, 0, CBW.size))
    for each in data:
        scene.say(RetSubmit(each.seqnum, 0, piece))
    end_with_a_status(scene)


@pytest.mark.parametrize("unlinks", [False, True])
def test_an_early_stall_is_judged_when_data_that_passed_is_through(
    scene: Scene, unlinks: bool
) -> None:
    command, _ = scene.begin(512, moves_in=False)
    assert scene.host.write(bytes(512)).status == 0
    data = scene.submit()
    stalled_early(scene)
    more = scene.host.submit(OUT_EP, Direction.OUT, 64, bytes(64))  # than it has said: it passes
    passed = scene.submit()
    scene.say(RetSubmit(command.seqnum, 0, CBW.size))
    scene.say(RetSubmit(data.seqnum, 0, 512))
    if unlinks:  # then the host takes the stall for what it is
        scene.host._seqnum += 1
        given_up = CmdUnlink(scene.host._seqnum, DEVID, more)
        scene.host._stream.sendall(scene.host._wire.send(given_up))
        scene.say(RetUnlink(scene.unlink().seqnum, ECONNRESET))
        assert scene.host.read(13).status == EPIPE
        return
    scene.say(RetSubmit(passed.seqnum, 0, 64))
    assert scene.host.ask(more).status == 0
    end_with_a_status(scene)


def test_a_stall_of_the_data_reaches_the_host_in_its_place(scene: Scene) -> None:
    _, [data, csw] = scene.begin(2048, moves_in=True)
    scene.say(RetSubmit(data.seqnum, EPIPE, 512, data=bytes(512)))
    unlink = scene.unlink()
    assert unlink.unlink_seqnum == csw.seqnum
    scene.say(RetUnlink(unlink.seqnum, ECONNRESET))
    ret = scene.host.read(2048)
    assert (ret.status, ret.actual_length) == (EPIPE, 512)
    scene.configure(CLEAR_IN)
    asked = scene.host.submit(IN_EP, Direction.IN, 13)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 13, data=status(failed=True)))
    assert scene.host.ask(asked).data == status(failed=True)


def test_the_kernels_unlinks_pass_when_there_is_no_place_for_urbs(scene: Scene) -> None:
    host = scene.host
    asked = {host.submit(3, Direction.IN, 8): scene.submit() for _ in range(RELAY_URBS // 2)}
    assert host.ask(host.submit(3, Direction.IN, 8)).status == ENOMEM
    refused = host.ask(host.submit(4, Direction.OUT, 100000, bytes(100000)))
    assert (refused.status, refused.actual_length) == (ENOMEM, 0)
    unlinks = {}
    for seqnum, urb in asked.items():
        host._seqnum += 1
        host._stream.sendall(host._wire.send(CmdUnlink(host._seqnum, DEVID, seqnum)))
        unlinks[host._seqnum] = scene.unlink()
        assert unlinks[host._seqnum].unlink_seqnum == urb.seqnum
    for seqnum, unlink in unlinks.items():
        scene.say(RetUnlink(unlink.seqnum, ECONNRESET))
        assert host.answer(seqnum) == RetUnlink(seqnum, ECONNRESET)
    again = host.submit(4, Direction.OUT, 2, b"in")  # and it is in step
    urb = scene.submit()
    assert urb.data == b"in"
    scene.say(RetSubmit(urb.seqnum, 0, 2))
    assert host.ask(again).status == 0


@pytest.mark.parametrize("direction", [Direction.IN, Direction.OUT])
def test_a_urb_that_is_too_long_is_refused(scene: Scene, direction: Direction) -> None:
    """`CmdSubmit` does not know such lengths: what is said is made by hand."""
    length = MAX_TRANSFER_BYTES + 512
    message = bytearray(build(CmdSubmit(5000, DEVID, direction, 3)))
    message[24:28] = length.to_bytes(4, "big")
    host = scene.host
    host._wire.send(CmdSubmit(5000, DEVID, direction, 3))
    host._stream.sendall(message + bytes(length if direction is Direction.OUT else 0))
    refused = host.ask(5000)
    assert (refused.status, refused.actual_length) == (EMSGSIZE, 0)
    asked = host.submit(4, Direction.IN, 64)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 2, data=b"in"))
    assert host.ask(asked).data == b"in"


def test_a_status_that_crossed_the_unlink_of_its_overdue_urb_is_an_error(scene: Scene) -> None:
    """Linux's stub drops what a URB brought while it was being unlinked, and says 0."""
    command, [data, csw] = scene.begin(512, moves_in=True)
    scene.say(RetSubmit(command.seqnum, 0, CBW.size))
    scene.say(RetSubmit(data.seqnum, 0, 512, data=bytes(512)))
    assert scene.host.read(512).data == bytes(512)
    waiting = scene.host.submit(IN_EP, Direction.IN, 13)
    unlink = scene.unlink()
    assert unlink.unlink_seqnum == csw.seqnum
    scene.say(RetUnlink(unlink.seqnum, 0))
    assert scene.host.ask(waiting).status == EPROTO
    scene.configure(RESET)  # it asked for nothing more, and the next command is ahead again
    _, [data] = scene.begin(512, moves_in=True, patient=True)
    scene.say(RetSubmit(data.seqnum, 0, 512, data=bytes(512)))
    again = scene.submit()
    assert (again.ep, again.transfer_buffer_length) == (IN_EP, 512)
    assert scene.host.read(512).data == bytes(512)
    scene.say(RetSubmit(again.seqnum, 0, 13, data=status()))
    assert scene.host.read(13).data == status()


@pytest.mark.parametrize(
    "nonsense",
    [
        RetSubmit(99, 0, 0),
        RetUnlink(99, 0),
        CmdSubmit(1, DEVID, Direction.IN, 1),
    ],
)
def test_what_no_server_says_ends_it(scene: Scene, nonsense: ServerMessage) -> None:
    scene.say(nonsense)
    assert scene.host.ended()
    assert RelayEnd(scene.relay.ended()[0]) is RelayEnd.SERVER_NONSENSE  # type: ignore[attr-defined]


def test_more_than_was_asked_for_ends_it(scene: Scene) -> None:
    scene.host.submit(4, Direction.IN, 64)
    scene.say(RetSubmit(scene.submit().seqnum, 0, 65, data=bytes(65)))
    assert scene.host.ended()


def test_a_server_that_leaves_the_relays_own_requests_unanswered_is_given_up() -> None:
    """An unlink at one server, the clearing of a halt at another; a third has answered all."""
    with staged() as silent, staged() as slow, staged() as sound:
        _, ahead = sound.begin(512, moves_in=True)
        waiting = sound.host.submit(0, Direction.OUT, 0, setup=CLEAR_IN)
        for _ in ahead:
            sound.say(RetUnlink(sound.unlink().seqnum, ECONNRESET))
        hosts_own = sound.submit()
        _, ahead = silent.begin(512, moves_in=True)
        began = time.monotonic()
        silent.host.submit(0, Direction.OUT, 0, setup=CLEAR_IN)
        unlinked = [silent.unlink() for _ in ahead]
        command, _ = slow.begin(512, moves_in=False)
        slow.say(RetSubmit(command.seqnum, 0, CBW.size))
        assert slow.host.write(bytes(512)).status == 0
        data = slow.submit()
        stalled_early(slow)
        slow.say(RetSubmit(data.seqnum, 0, 512))
        clear = slow.submit()
        assert (clear.ep, clear.setup) == (0, CLEAR_IN)
        assert [each.unlink_seqnum for each in unlinked] == [each.seqnum for each in ahead[::-1]]
        for each in (silent, slow):
            assert each.host.ended()
            assert time.monotonic() - began >= SETTLE_S
            ended = each.relay.ended()  # type: ignore[attr-defined]
            assert ended == (RelayEnd.SERVER_FAILED, errno.ETIMEDOUT)
        sound.say(RetSubmit(hosts_own.seqnum, 0, 0))
        assert sound.host.ask(waiting).status == 0
