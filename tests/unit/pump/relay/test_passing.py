"""What the relay passes on, and what it keeps from either side; the server is the test."""

import socket
import struct
from collections.abc import Iterator

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
from tests.unit.pump.relay.host import CLEAR_IN, SET_CONFIGURATION, Host, relayed

pytestmark = pytest.mark.skipif(native_module() is None, reason=f"the native pump {why_not()}")

ECONNRESET, EPIPE, EPROTO = -104, -32, -71
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

    def begin(self, length: int, *, moves_in: bool) -> tuple[CmdSubmit, list[CmdSubmit]]:
        """A command of the host's: the CBW as the server gets it, and what was asked ahead."""
        flags = 0x80 if moves_in else 0
        sent = self.host.submit(
            OUT_EP,
            Direction.OUT,
            CBW.size,
            CBW.pack(b"USBC", 7, length, flags, 0, 6, bytes(16)),
        )
        assert self.host.ask(sent).actual_length == CBW.size
        command = self.submit()
        ahead = [self.submit() for _ in range((length > 0) + 1)] if moves_in else []
        return command, ahead


@pytest.fixture
def scene() -> Iterator[Scene]:
    ours, theirs = socket.socketpair()
    with ours, theirs, relayed(ours) as (kernels, relay):
        it = Scene(Host(kernels), relay, theirs)
        it.configure()
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
