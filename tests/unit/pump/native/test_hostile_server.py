"""A server that breaks the protocol, against the native pump with all its lanes lent.

It is cut off with one clear error, or what it says is harmless and the pump goes on: never a crash,
never a hang, and never a byte for the host that no URB asked for. Run under a sanitizer this is
what finds a length that is not checked.
"""

import asyncio
import errno
import resource
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LinkLostError, RemoteProtocolError
from gadgetip.pump import Shaping
from gadgetip.usb import Direction
from tests.unit.pump.shapers.storage import cbw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.test_hostile_server import raw_ret

from .bench import Bench, Which, both, needs_native, running
from .test_differential_packets import unhurried

if TYPE_CHECKING:
    from gadgetip.wire import RetSubmit

WAYS = [
    route(0x81, window_urbs=4),
    route(0x02, window_urbs=4),
    route(0x83, shaping=Shaping.SHORT, transfer_bytes=4096, window_urbs=3),
    *(route(a, shaping=Shaping.BOT, transfer_bytes=4096, interface=1) for a in (0x84, 0x05)),
]


def raw_unlink(seqnum: int, status: int) -> bytes:
    return struct.pack(">5Ii", 4, seqnum, 0, 0, 0, status).ljust(48, b"\0")


def odd_iso(seqnum: int, packets: int) -> bytes:
    return struct.pack(">5I5i", 3, seqnum, 0, 0, 0, 0, 0, 0, packets, 0).ljust(48, b"\0")


async def busy(it: Bench) -> None:
    """Something is in flight on every lane."""
    await it.server.asked(0x81, 4)
    await it.server.asked(0x83, 3)
    it.server.held |= {2, 5}
    await it.host.send(0x02, b"on its way")
    await it.host.send(0x05, cbw(1, 8192))
    await it.server.asked(0x02)
    await it.server.asked(0x84)


Words = Callable[[Bench], bytes]

WRONG: dict[str, tuple[Words, str]] = {
    "unknown": (lambda it: raw_ret(9999, 0), "RET_SUBMIT.seqnum is 9999"),
    "zero": (lambda it: raw_ret(0, 0), "RET_SUBMIT.seqnum is 0"),
    "one that shares its place": (
        lambda it: raw_ret(it.server.waiting[0x81][0].seqnum + 16384, 0),
        "RET_SUBMIT.seqnum is 16385",
    ),
    "twice": (
        lambda it: raw_ret(it.server.waiting[0x81][0].seqnum, 4, b"data") * 2,
        "RET_SUBMIT.seqnum is 1",
    ),
    "not sent yet": (lambda it: raw_ret(60, 4, b"data"), "RET_SUBMIT.seqnum is 60"),
    "too long": (
        lambda it: raw_ret(it.server.waiting[0x81][0].seqnum, 65, bytes(65)),
        "RET_SUBMIT.actual_length is 65",
    ),
    "too long for a large one": (
        lambda it: raw_ret(it.server.waiting[0x83][0].seqnum, 4097),
        "RET_SUBMIT.actual_length is 4097",
    ),
    "negative": (
        lambda it: raw_ret(it.server.waiting[0x84][0].seqnum, -1),
        "RET_SUBMIT.actual_length is",
    ),
    "the least": (
        lambda it: raw_ret(it.server.waiting[0x81][0].seqnum, -(2**31)),
        "RET_SUBMIT.actual_length is",
    ),
    "more than was sent": (
        lambda it: raw_ret(it.server.waiting[0x02][0].seqnum, 11),
        "RET_SUBMIT.actual_length is 11",
    ),
    "packets of an isochronous one": (
        lambda it: odd_iso(it.server.waiting[0x81][0].seqnum, 3),
        "RET_SUBMIT",
    ),
    "a submit": (lambda it: struct.pack(">I", 1).ljust(48, b"\0"), "command is 0x1"),
    "nonsense": (lambda it: b"\xff" * 48, "command is 0xffffffff"),
    "an unlink never asked for": (lambda it: raw_unlink(1, 0), "RET_UNLINK.seqnum is 1"),
}


@both
@pytest.mark.parametrize("what", WRONG)
def test_it_is_cut_off(which: Which, what: str) -> None:
    words, complaint = WRONG[what]

    async def scenario() -> None:
        async with running(which, WAYS) as it:
            await busy(it)
            await it.server.stub.send_raw(words(it))
            await it.until(lambda: it.urbs.ended is not None)
            assert isinstance(it.urbs.ended, RemoteProtocolError)
            assert complaint in str(it.urbs.ended)
            assert [t for t in it.listener.told if "link ended" in t] == [
                f"link ended: {it.urbs.ended}"
            ]
            await it.pump.stop()
            assert it.pump.statistics[0x02].discarded == len(b"on its way")

    asyncio.run(scenario())


numbers = st.one_of(st.integers(0, 40), st.sampled_from([2**32 - 1, 16385, 9999]))
signed = st.one_of(st.integers(-2, 70), st.sampled_from([4096, 2**31 - 1, -(2**31), 13, 512]))
statuses = st.sampled_from(
    [0, -errno.EPIPE, -errno.EPROTO, -errno.EREMOTEIO, -errno.ECONNRESET, -errno.ESHUTDOWN, 7]
)
message = st.one_of(
    st.builds(
        lambda seqnum, length, status: raw_ret(
            seqnum, length, bytes(max(0, min(length, 5000))), status
        ),
        numbers,
        signed,
        statuses,
    ),
    st.builds(raw_unlink, numbers, statuses),
    st.builds(odd_iso, numbers, signed),
    st.binary(max_size=100),
)


@needs_native
@unhurried
@given(st.lists(message, min_size=1, max_size=12), st.integers(0, 96))
def test_it_goes_on_or_is_cut_off_and_can_be_stopped(messages: list[bytes], cut: int) -> None:
    async def scenario() -> None:
        async with running(Which.NATIVE, WAYS) as it:
            await busy(it)
            said = b"".join(messages)
            await it.server.stub.send_raw(said[: len(said) - cut] or b"\0")
            it.server.stub.stream.shutdown(socket.SHUT_RDWR)
            await it.until(lambda: it.urbs.ended is not None)
            assert isinstance(it.urbs.ended, RemoteProtocolError | LinkLostError)
            async with asyncio.timeout(10):
                await it.pump.stop()
            for shaper in it.pump._shapers:
                for side in shaper.sides:
                    assert side.replica.pending == 0

    asyncio.run(scenario())


@needs_native
def test_an_answer_before_the_question_is_no_answer() -> None:
    """The server fills no buffer of ours: what waits to be sent cannot be answered yet."""

    async def scenario() -> None:
        async with running(Which.NATIVE, [WAYS[0]], send_buffer=4096) as it:
            await it.server.asked(0x81, 4)
            it.server.stub.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            it.servers[0].cancel()  # it reads no more
            await asyncio.gather(it.servers[0], return_exceptions=True)
            large = bytes(8 * 1024 * 1024)
            first = it.urbs.submit(7, Direction.OUT, len(large), lambda _: None, data=large)
            await it.server.stub.send_raw(raw_ret(first, 0))
            await it.until(lambda: it.urbs.ended is not None)
            assert f"RET_SUBMIT.seqnum is {first}, but" in str(it.urbs.ended)

    asyncio.run(scenario())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@needs_native
def test_a_flood_of_late_answers_leaves_nothing_behind() -> None:
    """Unlinks that cross their answers, thousands of them: tombstones come and go."""

    async def scenario() -> None:
        async with running(Which.NATIVE, [WAYS[1]]) as it:
            server = it.server
            returned: list[RetSubmit] = []
            server.held.add(7)

            async def turn(count: int) -> None:
                for _ in range(count):
                    seqnums = [
                        it.urbs.submit(7, Direction.OUT, 1, returned.append, data=b"x")
                        for _ in range(100)
                    ]
                    await it.urbs.unlinked(seqnums)

            server.late = server.late.BEHIND
            await turn(5)
            before = resident_bytes()
            await turn(25)  # more than there are tombstones
            assert it.urbs.ended is None
            assert len(returned) == 3000
            assert resident_bytes() - before < 4 * 1024 * 1024
            # And tombstones that nobody digs up: the oldest make room.
            server.mute = True
            await turn(25)
            assert it.urbs.ended is None
            assert len(returned) == 5500  # more than there are URBs

    asyncio.run(scenario())
