"""A stream of URBs that goes on over another connection."""

import asyncio
import errno
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import pytest

from gadgetip.errors import LinkLostError
from gadgetip.pump import UrbStream
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import ClientConnection, RetSubmit, ServerConnection

from .stub import LIMIT_S, Ends, Stub, linked, ret, tcp_pair
from .test_python_pump import done, start

GET_DEVICE = SetupPacket.get_descriptor(1, 0, 0, 18)
OTHER_DEVID = 0x20003
LOST = -errno.ECONNRESET


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def relink(urbs: UrbStream, next_seqnum: int = 1) -> Stub:
    """Go on over a new connection; returns the server's end of it."""
    ours, theirs = tcp_pair()
    connection = ClientConnection.after_import(OTHER_DEVID)
    urbs.relink(ours, connection, OTHER_DEVID, next_seqnum)
    urbs.attach()
    return Stub(theirs, ServerConnection.after_import(OTHER_DEVID))


@asynccontextmanager
async def relinked(ends: Ends, next_seqnum: int = 1) -> AsyncIterator[Stub]:
    await ends.wait_for_end()
    stub = relink(ends.urbs, next_seqnum)
    try:
        yield stub
    finally:
        stub.stream.close()


def test_who_keeps_it_hears_first_then_everything_comes_back_then_it_is_told() -> None:
    async def scenario() -> None:
        heard: list[object] = []
        async with linked() as ends:
            ends.urbs.on_ending = lambda: heard.append("ending")
            ends.urbs.on_ended = lambda _: heard.append("ended")
            for ep in (1, 2, 3):
                ends.urbs.submit(ep, Direction.IN, 64, lambda ret: heard.append(ret.status))
                await ends.stub.submit()
            ends.stub.stream.close()
            async with asyncio.timeout(LIMIT_S):
                while "ended" not in heard:
                    await asyncio.sleep(0)
            assert heard == ["ending", LOST, LOST, LOST, "ended"]

    run(scenario())


@pytest.mark.parametrize("next_seqnum", [1, 7, 0xFFFFFFFE])
def test_a_new_connection_has_seqnums_and_a_device_of_its_own(next_seqnum: int) -> None:
    async def scenario() -> None:
        async with linked(next_seqnum=5) as ends:
            returns: list[RetSubmit] = []
            for _ in range(4):
                ends.urbs.submit(1, Direction.IN, 64, returns.append)
                await ends.stub.submit()
            ends.urbs.unlink(6)
            await ends.stub.unlink()
            ends.stub.reset()
            await ends.wait_for_end()
            assert [(r.seqnum, r.status) for r in returns] == [(n, LOST) for n in (5, 6, 7, 8)]
            async with relinked(ends, next_seqnum) as stub:
                returns.clear()
                seqnums = [ends.urbs.submit(2, Direction.IN, 64, returns.append) for _ in range(4)]
                submits = [await stub.submit() for _ in range(4)]
                assert [s.seqnum for s in submits] == seqnums
                assert seqnums[0] == next_seqnum
                assert 0 not in seqnums
                assert {s.devid for s in submits} == {OTHER_DEVID}
                # An unlink is a question of this connection's: it is not held to be asked before.
                ends.urbs.unlink(seqnums[1])
                assert (await stub.unlink()).unlink_seqnum == seqnums[1]
                await stub.send(*(ret(s, b"x") for s in submits))
                async with asyncio.timeout(LIMIT_S):
                    while len(returns) < 4:
                        await asyncio.sleep(0)
                assert [r.status for r in returns] == [0] * 4
                assert ends.urbs.late_returns == 0

    run(scenario())


def test_answers_that_the_first_connection_still_brings_are_nobodys() -> None:
    """The last bytes of it may be there to be read when it has ended: nobody reads them."""

    async def scenario() -> None:
        async with linked() as ends:
            returns: list[int] = []
            ends.urbs.submit(1, Direction.IN, 64, lambda r: returns.append(r.status))
            submit = await ends.stub.submit()
            ends.urbs._end(LinkLostError("given up"))
            assert returns == [LOST]
            await ends.stub.answer(submit, b"late")
            async with relinked(ends) as stub:
                ends.urbs.submit(1, Direction.IN, 64, lambda r: returns.append(r.status))
                again = await stub.submit()
                assert again.seqnum == submit.seqnum
                await asyncio.sleep(0.01)
                assert returns == [LOST]
                await stub.answer(again, b"mine")
                async with asyncio.timeout(LIMIT_S):
                    while len(returns) < 2:
                        await asyncio.sleep(0)
                assert returns == [LOST, 0]
                with pytest.raises(ConnectionResetError):  # closed, with the answer unread
                    ends.stub.stream.recv(1)

    run(scenario())


def test_a_writer_that_was_blocked_writes_again() -> None:
    async def scenario() -> None:
        async with linked(send_buffer=4096) as ends:
            statuses: list[int] = []
            for _ in range(200):
                ends.urbs.submit(
                    2, Direction.OUT, 60000, lambda r: statuses.append(r.status), data=bytes(60000)
                )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ends.urbs._blocked
            ends.stub.reset()
            await ends.wait_for_end()
            assert statuses == [LOST] * 200
            async with relinked(ends) as stub:
                ends.urbs.submit(2, Direction.OUT, 3, lambda r: statuses.append(1), data=b"new")
                submit = await stub.submit()
                assert submit.data == b"new", "what was blocked is not sent to the new one"
                await stub.answer(submit)
                async with asyncio.timeout(LIMIT_S):
                    while len(statuses) < 201:
                        await asyncio.sleep(0)

    run(scenario())


def test_what_is_submitted_while_it_is_away_comes_back_at_once() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            ends.stub.stream.close()
            await ends.wait_for_end()
            returns: list[int] = []
            ends.urbs.submit(1, Direction.IN, 64, lambda r: returns.append(r.status))
            assert returns == [], "never before submit has returned"
            await asyncio.sleep(0)
            assert returns == [LOST]
            with pytest.raises(LinkLostError):
                await ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S)
            async with relinked(ends) as stub:
                request = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
                await stub.answer(await stub.submit(), b"descriptor")
                assert await done(request) == b"descriptor"

    run(scenario())


def test_a_wait_for_unlinks_is_over_when_the_link_is() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            numbers = [ends.urbs.submit(1, Direction.IN, 64, lambda _: None) for _ in range(3)]
            waiting = asyncio.get_running_loop().create_task(ends.urbs.unlinked(numbers))
            for _ in range(6):
                await ends.stub.next()
            ends.stub.reset()
            async with asyncio.timeout(LIMIT_S):
                await waiting
            async with relinked(ends):
                assert ends.urbs.ended is None

    run(scenario())


def test_lost_and_found_again_and_again() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            stub, streams = ends.stub, []
            for _ in range(5):
                request = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
                await stub.answer(await stub.submit(), b"again")
                assert await done(request) == b"again"
                ends.ended.clear()
                stub.reset()
                await ends.wait_for_end()
                stub = relink(ends.urbs)
                streams.append(stub.stream)
            for stream in streams:
                stream.close()

    run(scenario())
