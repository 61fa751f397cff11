"""A server that breaks the protocol is cut off: one clear error, and every URB is settled."""

import asyncio
import errno
import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.errors import LinkLostError, RemoteProtocolError
from gadgetip.usb import Direction
from gadgetip.wire import RetSubmit

from .shapers.world import route
from .stub import Ends, linked, ret, ret_unlink
from .test_python_pump import bench

UNLINKED = -errno.ECONNRESET


def raw_ret(seqnum: int, actual_length: int, data: bytes = b"", status: int = 0) -> bytes:
    """A RET_SUBMIT as no server of ours would send it."""
    header = struct.pack(">5I5i", 3, seqnum, 0, 0, 0, status, actual_length, 0, 0, 0)
    return header.ljust(48, b"\0") + data


Wrong = Callable[[Ends, int, int], Awaitable[None]]


class Returned(list[RetSubmit]):
    """What came back, in order."""


async def unknown(ends: Ends, in_: int, out: int) -> None:
    del in_, out
    await ends.stub.send_raw(raw_ret(9999, 4, b"data"))


async def twice(ends: Ends, in_: int, out: int) -> None:
    del out
    await ends.stub.send_raw(raw_ret(in_, 4, b"data") * 2)


async def too_long(ends: Ends, in_: int, out: int) -> None:
    del out
    await ends.stub.send_raw(raw_ret(in_, 65, bytes(65)))


async def negative(ends: Ends, in_: int, out: int) -> None:
    del out
    await ends.stub.send_raw(raw_ret(in_, -1))


async def more_than_sent(ends: Ends, in_: int, out: int) -> None:
    del in_
    await ends.stub.send_raw(raw_ret(out, 7))


async def data_for_out(ends: Ends, in_: int, out: int) -> None:
    del in_
    await ends.stub.send_raw(raw_ret(out, 6, b"\xffx" * 24))


async def unlink_never_sent(ends: Ends, in_: int, out: int) -> None:
    del out
    await ends.stub.send_raw(struct.pack(">5Ii", 4, in_, 0, 0, 0, 0).ljust(48, b"\0"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (unknown, "RET_SUBMIT.seqnum is 9999"),
        (twice, "RET_SUBMIT.seqnum is 1"),
        (too_long, "RET_SUBMIT.actual_length is 65"),
        (negative, "RET_SUBMIT.actual_length is -1"),
        (more_than_sent, "RET_SUBMIT.actual_length is 7"),
        (data_for_out, "command is 0x"),
        (unlink_never_sent, "RET_UNLINK.seqnum is 1"),
    ],
)
def test_it_is_cut_off(wrong: Wrong, field: str) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returned = Returned()
            in_ = ends.urbs.submit(1, Direction.IN, 64, returned.append)
            out = ends.urbs.submit(2, Direction.OUT, 6, returned.append, data=b"posted")
            await wrong(ends, in_, out)
            await ends.wait_for_end()
            assert isinstance(ends.urbs.ended, RemoteProtocolError)
            assert field in str(ends.urbs.ended)
            assert "\n" not in str(ends.urbs.ended)
            assert len(returned) == 2
            assert UNLINKED in {each.status for each in returned}

    asyncio.run(scenario())


def test_a_late_answer_is_legal_once() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returned = Returned()
            seqnum = ends.urbs.submit(1, Direction.IN, 64, returned.append)
            submit = await ends.stub.submit()
            ends.urbs.unlink(seqnum)
            unlink = await ends.stub.unlink()
            await ends.stub.send(ret_unlink(unlink, 0), ret(submit, b"late"))
            await ends.stub.send_raw(raw_ret(seqnum, 4, b"more"))
            await ends.wait_for_end()
            assert ends.urbs.late_returns == 1
            assert isinstance(ends.urbs.ended, RemoteProtocolError)
            assert [each.status for each in returned] == [UNLINKED]

    asyncio.run(scenario())


def test_after_an_unlink_that_succeeded_no_answer_is_legal() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            seqnum = ends.urbs.submit(1, Direction.IN, 64, lambda _: None)
            await ends.stub.submit()
            ends.urbs.unlink(seqnum)
            unlink = await ends.stub.unlink()
            await ends.stub.send(ret_unlink(unlink, UNLINKED))
            await ends.stub.send_raw(raw_ret(seqnum, 4, b"more"))
            await ends.wait_for_end()
            assert isinstance(ends.urbs.ended, RemoteProtocolError)
            assert ends.urbs.late_returns == 0

    asyncio.run(scenario())


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.integers(0, 60))
def test_whatever_it_says_every_urb_is_settled_once(garbage: bytes, valid: int) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returned = Returned()
            seqnums = [ends.urbs.submit(1, Direction.IN, 64, returned.append) for _ in range(3)]
            await ends.stub.send_raw(raw_ret(seqnums[0], 2, b"ok")[:valid] + garbage)
            ends.stub.stream.close()
            await ends.wait_for_end()
            assert isinstance(ends.urbs.ended, RemoteProtocolError | LinkLostError)
            assert sorted({each.seqnum for each in returned}) == seqnums
            assert len(returned) == 3

    asyncio.run(scenario())


def test_what_waits_for_a_host_that_does_not_read_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        way = route(0x81, window_urbs=4)
        async with bench(monkeypatch, way) as it:
            for _ in range(4):
                await it.ends.stub.answer(await it.ends.stub.submit(), bytes(64))
            for _ in range(200):
                it.world.step()
                await asyncio.sleep(0)
            # Nothing more is asked for, so nothing more may come: the first that does ends it.
            await it.ends.stub.send_raw(raw_ret(5, 64, bytes(64)))
            async with asyncio.timeout(5):
                while not it.listener.told:
                    await asyncio.sleep(0)
            assert it.listener.told[0].startswith("link ended: RET_SUBMIT.seqnum is 5")

    asyncio.run(scenario())
