"""URBs over a real connection, against the server's end of the protocol."""

import asyncio
import errno
import random
import socket
import struct
from collections.abc import Coroutine

import pytest

from gadgetip.errors import GadgetipError, LinkLostError, LocalProtocolError, RemoteProtocolError
from gadgetip.link import ConnectionInfo
from gadgetip.pump import ControlTimeoutError, StallError, UrbStream, urbs
from gadgetip.pump.link_errors import link_error
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import ClientConnection, CmdSubmit, CmdUnlink, RetSubmit, TransferFlag

from .stub import DEVID, LIMIT_S, Ends, linked, ret, ret_unlink

GET_DEVICE = SetupPacket.get_descriptor(1, 0, 0, 18)
UNLINKED = -errno.ECONNRESET


class Returns:
    """Collects what came back, in order."""

    def __init__(self) -> None:
        self.all: list[RetSubmit] = []
        self._news = asyncio.Event()

    def __call__(self, answer: RetSubmit) -> None:
        self.all.append(answer)
        self._news.set()

    async def wait(self, count: int) -> list[RetSubmit]:
        async with asyncio.timeout(LIMIT_S):
            while len(self.all) < count:
                self._news.clear()
                await self._news.wait()
        return self.all

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.all]


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def start(work: Coroutine[None, None, bytes]) -> "asyncio.Task[bytes]":
    return asyncio.get_running_loop().create_task(work)


def test_many_in_flight_answered_in_any_order() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            count = 500
            returns = [Returns() for _ in range(count)]
            for n in range(count):
                if n % 2:
                    ends.urbs.submit(1, Direction.IN, 64, returns[n])
                else:
                    ends.urbs.submit(2, Direction.OUT, 4, returns[n], data=struct.pack("<I", n))
            submits = [await ends.stub.submit() for _ in range(count)]
            assert [s.seqnum for s in submits] == list(range(1, count + 1))
            assert all(s.data == struct.pack("<I", n) for n, s in enumerate(submits) if not n % 2)
            random.Random(7).shuffle(submits)
            for submit in submits:
                data = b"" if submit.direction == 0 else struct.pack("<I", submit.seqnum)
                await ends.stub.answer(submit, data)
            for n in range(count):
                (answer,) = await returns[n].wait(1)
                assert answer.seqnum == n + 1
                assert answer.data == (struct.pack("<I", n + 1) if n % 2 else b"")

    run(scenario())


def test_what_a_submit_says() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            ends.urbs.submit(3, Direction.IN, 512, Returns(), interval=4)
            large = urbs.SCATTER_GATHER_ABOVE + 1
            ends.urbs.submit(2, Direction.OUT, large, Returns(), data=bytes(large))
            first, second = await ends.stub.submit(), await ends.stub.submit()
            assert (first.ep, first.direction, first.transfer_buffer_length) == (3, 1, 512)
            assert (first.interval, first.transfer_flags) == (4, TransferFlag.DIR_IN)
            assert (second.ep, second.direction) == (2, 0)
            # Large buffers are asked to be scattered: one kmalloc of that size may fail.
            assert second.transfer_flags == TransferFlag.DMA_MAP_SG
            assert {first.devid, second.devid} == {DEVID}

    run(scenario())


def test_what_is_sent_in_one_turn_leaves_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            for _ in range(20):
                ends.urbs.submit(1, Direction.IN, 64, Returns())
            await ends.stub.submit()
            assert ends.stub.connection.buffered == 19 * 48

    run(scenario())


def test_more_than_the_socket_takes_is_sent_bit_by_bit() -> None:
    async def scenario() -> None:
        async with linked(send_buffer=8 * 1024) as ends:
            returns = Returns()
            blocks = [random.Random(n).randbytes(100_000 + n) for n in range(8)]
            for block in blocks:
                ends.urbs.submit(2, Direction.OUT, len(block), returns, data=block)
            await asyncio.sleep(0)
            for n, block in enumerate(blocks):
                submit = await ends.stub.submit()
                assert submit.data == block
                await ends.stub.answer(submit)
                # What is submitted while the socket is full goes behind what waits.
                ends.urbs.submit(2, Direction.OUT, 1, returns, data=bytes([n]))
            small = [await ends.stub.submit() for _ in blocks]
            assert [s.data for s in small] == [bytes([n]) for n in range(len(blocks))]
            await returns.wait(len(blocks))
            # And when the backlog is gone, the ordinary way works again.
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            await ends.stub.answer(await ends.stub.submit(), b"x" * 18)
            assert await answer == b"x" * 18

    run(scenario())


def test_answers_may_come_in_any_pieces() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            for _ in range(3):
                ends.urbs.submit(1, Direction.IN, 10, returns)
            submits = [await ends.stub.submit() for _ in range(3)]
            data = b"".join(ends.stub.connection.send(ret(s, b"0123456789")) for s in submits)
            for at in range(len(data)):
                await ends.stub.send_raw(data[at : at + 1])
                await asyncio.sleep(0)
            assert [r.data for r in await returns.wait(3)] == [b"0123456789"] * 3

    run(scenario())


# --- control --------------------------------------------------------------------------------


def test_control_in_and_out() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            submit = await ends.stub.submit()
            assert (submit.ep, submit.direction, submit.setup) == (0, 1, GET_DEVICE.pack())
            assert submit.transfer_buffer_length == 18
            await ends.stub.answer(submit, b"short")
            assert await answer == b"short"

            setup = SetupPacket(0x21, 0x09, 0x0200, 0, 3)
            answer = start(ends.urbs.control(setup, b"abc", limit_s=LIMIT_S))
            submit = await ends.stub.submit()
            assert (submit.ep, submit.direction, submit.data) == (0, 0, b"abc")
            await ends.stub.answer(submit)
            assert await answer == b""

    run(scenario())


@pytest.mark.parametrize("status", [-errno.EPIPE, -errno.EPROTO, -errno.EOVERFLOW])
def test_control_that_the_device_refuses(status: int) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            await ends.stub.answer(await ends.stub.submit(), status=status)
            with pytest.raises(StallError, match=f"status {status}") as refusal:
                await answer
            assert refusal.value.status == status

    run(scenario())


def test_control_that_is_not_answered_is_unlinked_before_it_fails() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=0.02))
            submit = await ends.stub.submit()
            unlink = await ends.stub.unlink()
            assert unlink.unlink_seqnum == submit.seqnum
            assert not answer.done()  # nothing may follow it on endpoint 0 as long as it hangs
            await ends.stub.send(ret_unlink(unlink, UNLINKED))
            with pytest.raises(ControlTimeoutError, match=r"0\.02 s: IN standard device GET_DES"):
                await answer
            assert ends.urbs.connection.pending == ends.urbs.connection.pending_unlinks == 0
            assert ends.urbs.ended is None

    run(scenario())


def test_control_whose_answer_crosses_the_unlink_has_its_answer() -> None:
    """The device has done it: whoever asked must not be told that it has not."""

    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=0.02))
            submit = await ends.stub.submit()
            unlink = await ends.stub.unlink()
            late = RetSubmit(submit.seqnum, 0, 4, data=b"late")
            await ends.stub.send(late)
            await ends.stub.send(ret_unlink(unlink, 0))
            assert await answer == b"late"
            assert ends.urbs.ended is None

    run(scenario())


def test_control_that_times_out_and_whose_unlink_is_not_answered_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(urbs, "UNLINK_LIMIT_S", 0.02)

    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=0.02))
            with pytest.raises(LinkLostError, match="left 1 CMD_UNLINK unanswered"):
                await answer
            await ends.wait_for_end()

    run(scenario())


@pytest.mark.parametrize("silent_rounds", [0, 1, 9])
@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "busy"])
def test_a_silent_link_is_not_taken_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, silent_rounds: int, is_idle: bool
) -> None:
    """While what was sent has not got there, TCP decides; but not for ever."""
    monkeypatch.setattr(urbs, "UNLINK_LIMIT_S", 0.05)
    asked = -1  # the first time is before the first round

    def connection(stream: socket.socket) -> ConnectionInfo:
        nonlocal asked
        asked += 1
        is_silent = asked <= silent_rounds
        sent = 0 if is_silent or is_idle else asked
        is_delivered = not is_silent and is_idle
        return ConnectionInfo(0.0, sent, 0, 0, None, unacknowledged=int(not is_delivered))

    monkeypatch.setattr(urbs, "connection_info", connection)

    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=0.02))
            with pytest.raises(LinkLostError, match="left 1 CMD_UNLINK unanswered"):
                await answer
            await ends.wait_for_end()
        assert asked == min(silent_rounds + 1, urbs.UNLINK_ROUNDS)

    run(scenario())


def test_control_when_the_link_ends() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            await ends.stub.submit()
            ends.stub.stream.close()
            with pytest.raises(LinkLostError, match="closed the connection"):
                await answer

    run(scenario())


def test_control_that_nobody_waits_for_any_more_does_no_harm() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            submit = await ends.stub.submit()
            answer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answer
            await ends.stub.answer(submit, b"too late")
            again = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
            await ends.stub.answer(await ends.stub.submit(), b"in time")
            assert await again == b"in time"

    run(scenario())


# --- unlink ---------------------------------------------------------------------------------


async def one_unlinked(ends: Ends) -> tuple[Returns, CmdSubmit, CmdUnlink]:
    returns = Returns()
    seqnum = ends.urbs.submit(1, Direction.IN, 64, returns)
    submit = await ends.stub.submit()
    ends.urbs.unlink(seqnum)
    unlink = await ends.stub.unlink()
    assert unlink.unlink_seqnum == submit.seqnum == seqnum
    return returns, submit, unlink


def test_an_unlink_that_succeeds() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns, _, unlink = await one_unlinked(ends)
            await ends.stub.send(ret_unlink(unlink, UNLINKED))
            assert [a.status for a in await returns.wait(1)] == [UNLINKED]

    run(scenario())


def test_an_unlink_that_comes_too_late() -> None:
    """The answer was on its way: the data counts."""

    async def scenario() -> None:
        async with linked() as ends:
            returns, submit, unlink = await one_unlinked(ends)
            await ends.stub.send(ret(submit, b"data"), ret_unlink(unlink, 0))
            (answer,) = await returns.wait(1)
            assert (answer.status, answer.data) == (0, b"data")
            await still_works(ends)
            assert returns.statuses == [0]
            assert ends.urbs.late_returns == 0

    run(scenario())


def test_an_answer_that_comes_behind_the_unlinks() -> None:
    """RET_UNLINK with 0, then the RET_SUBMIT: it is counted, and nobody is told twice."""

    async def scenario() -> None:
        async with linked() as ends:
            returns, submit, unlink = await one_unlinked(ends)
            await ends.stub.send(ret_unlink(unlink, 0))
            assert [a.status for a in await returns.wait(1)] == [UNLINKED]
            await ends.stub.answer(submit, b"late")
            await still_works(ends)
            assert returns.statuses == [UNLINKED]
            assert ends.urbs.late_returns == 1

    run(scenario())


def test_an_answer_that_never_comes_behind_the_unlinks() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns, _, unlink = await one_unlinked(ends)
            await ends.stub.send(ret_unlink(unlink, 0))
            await returns.wait(1)
            await still_works(ends)
            assert ends.urbs.connection.tombstones == 1

    run(scenario())


async def still_works(ends: Ends) -> None:
    answer = start(ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S))
    await ends.stub.answer(await ends.stub.submit(), b"works")
    assert await answer == b"works"


def test_unlinking_many_waits_for_each_whatever_became_of_it() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            seqnums = [ends.urbs.submit(1, Direction.IN, 64, returns) for _ in range(4)]
            submits = [await ends.stub.submit() for _ in range(4)]
            unlinking = asyncio.get_running_loop().create_task(ends.urbs.unlinked(seqnums))
            unlinks = [await ends.stub.unlink() for _ in range(4)]
            # From the back: else the endpoint would go on with the second for a moment.
            assert [u.unlink_seqnum for u in unlinks] == seqnums[::-1]
            await ends.stub.send(ret(submits[0], b"first"))
            await returns.wait(1)
            await ends.stub.send(*(ret_unlink(u, UNLINKED) for u in unlinks[:3]))
            async with asyncio.timeout(LIMIT_S):
                await unlinking
            assert returns.statuses == [0, UNLINKED, UNLINKED, UNLINKED]
            await ends.stub.send(ret_unlink(unlinks[3], 0))
            await still_works(ends)

    run(scenario())


def test_two_who_unlink_the_same_urbs_ask_once_and_both_wait() -> None:
    """A halt is being settled when the host resets: both take the endpoint's URBs back."""

    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            seqnums = [ends.urbs.submit(1, Direction.IN, 64, returns) for _ in range(3)]
            for _ in seqnums:
                await ends.stub.submit()
            loop = asyncio.get_running_loop()
            first = loop.create_task(ends.urbs.unlinked(seqnums))
            unlinks = [await ends.stub.unlink() for _ in seqnums]
            first.cancel()
            second = loop.create_task(ends.urbs.unlinked(seqnums))
            third = loop.create_task(ends.urbs.unlinked(seqnums))
            await asyncio.sleep(0)
            await ends.stub.send(*(ret_unlink(u, UNLINKED) for u in unlinks))
            async with asyncio.timeout(LIMIT_S):
                await second
                await third
            assert returns.statuses == [UNLINKED] * 3
            await still_works(ends)

    run(scenario())


def test_unlinking_what_is_over_asks_nothing() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            seqnum = ends.urbs.submit(1, Direction.IN, 64, returns)
            await ends.stub.answer(await ends.stub.submit(), b"done")
            await returns.wait(1)
            ends.urbs.unlink(seqnum)
            await ends.urbs.unlinked([seqnum])
            await ends.urbs.unlinked([])
            await still_works(ends)

    run(scenario())


def test_a_server_that_does_not_answer_unlinks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urbs, "UNLINK_LIMIT_S", 0.02)

    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            seqnums = [ends.urbs.submit(1, Direction.IN, 64, returns) for _ in range(3)]
            async with asyncio.timeout(LIMIT_S):
                await ends.urbs.unlinked(seqnums)
            await ends.wait_for_end()
            assert "left 3 CMD_UNLINK unanswered" in str(ends.urbs.ended)
            assert returns.statuses == [UNLINKED] * 3

    run(scenario())


# --- the end --------------------------------------------------------------------------------


GARBAGE = [
    b"\xff" * 48,
    struct.pack(">IIIIIiiiii8x", 3, 999, 0, 0, 0, 0, 0, 0, 0, 0),  # an answer to nothing
    struct.pack(">IIIIIiiiii8x", 3, 1, 0, 0, 0, 0, 0x7FFFFFFF, 0, 0, 0),  # an absurd length
    struct.pack(">IIIIIiiiii8x", 3, 1, 0, 0, 0, 0, -1, 0, 0, 0),
    struct.pack(">IIIIIiiiii8x", 4, 77, 0, 0, 0, 0, 0, 0, 0, 0),  # an unlink that was not asked for
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_ends_the_stream(garbage: bytes) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            ends.urbs.submit(1, Direction.IN, 64, returns)
            ends.urbs.submit(1, Direction.IN, 64, returns)
            await ends.stub.send_raw(garbage)
            await ends.wait_for_end()
            assert isinstance(ends.urbs.ended, RemoteProtocolError)
            assert returns.statuses == [UNLINKED] * 2

    run(scenario())


@pytest.mark.parametrize("way", ["eof", "reset", "truncated"])
def test_the_link_ends(way: str) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            told: list[tuple[GadgetipError, int]] = []
            ends.urbs.on_ended = lambda reason: told.append((reason, len(returns.all)))
            for _ in range(10):
                ends.urbs.submit(1, Direction.IN, 64, returns)
            submit, *_ = [await ends.stub.submit() for _ in range(10)]
            if way == "reset":
                ends.stub.reset()
            else:
                if way == "truncated":
                    await ends.stub.send_raw(ends.stub.connection.send(ret(submit, b"abc"))[:-1])
                ends.stub.stream.close()
            await returns.wait(10)
            await asyncio.sleep(0)
            assert returns.statuses == [UNLINKED] * 10
            # Each URB has been told before the owner of all of them is.
            assert told == [(ends.urbs.ended, 10)]
            text = str(ends.urbs.ended)
            assert text.startswith(
                {
                    "eof": "the server closed the connection",
                    "reset": "the server reset the connection",
                    "truncated": "the stream ended inside RET_SUBMIT (seqnum 1)",
                }[way]
            )
            late = Returns()
            ends.urbs.submit(1, Direction.IN, 64, late)
            ends.urbs.unlink(1)
            await ends.urbs.unlinked([1, 2])
            assert [a.status for a in await late.wait(1)] == [UNLINKED]
            with pytest.raises(GadgetipError, match=text[:20]):
                await ends.urbs.control(GET_DEVICE, limit_s=LIMIT_S)
            assert len(told) == 1

    run(scenario())


def test_a_link_that_breaks_while_sending() -> None:
    async def scenario() -> None:
        async with linked(send_buffer=8 * 1024) as ends:
            returns = Returns()
            for _ in range(20):
                ends.urbs.submit(2, Direction.OUT, 500_000, returns, data=bytes(500_000))
            await asyncio.sleep(0)
            ends.stub.reset()
            await ends.wait_for_end()
            assert isinstance(ends.urbs.ended, LinkLostError)
            assert returns.statuses == [UNLINKED] * 20

    run(scenario())


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ECONNRESET, "the server reset the connection"),
        (errno.ECONNABORTED, "aborted on this machine"),
        (errno.ETIMEDOUT, "does not answer any more"),
        (errno.EHOSTUNREACH, "does not answer any more"),
        (errno.EPIPE, "the connection broke"),
    ],
)
def test_the_reason_in_words(number: int, text: str) -> None:
    assert text in str(link_error(OSError(number, "Broken pipe")))


# --- what is ours ---------------------------------------------------------------------------


def test_a_submit_that_the_protocol_does_not_allow_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            returns = Returns()
            with pytest.raises(LocalProtocolError, match="transfer_buffer_length"):
                ends.urbs.submit(1, Direction.IN, 1 << 30, returns)
            with pytest.raises(LocalProtocolError):
                await ends.urbs.control(SetupPacket(0x21, 9, 0, 0, 5), b"not five", limit_s=LIMIT_S)
            await still_works(ends)
            ends.stub.stream.close()
            await ends.wait_for_end()
            assert returns.all == []

    run(scenario())


def test_sequence_numbers_wrap_and_are_never_0() -> None:
    async def scenario() -> None:
        async with linked(next_seqnum=0xFFFFFFFF) as ends:
            returns = Returns()
            seqnums = [ends.urbs.submit(1, Direction.IN, 64, returns) for _ in range(2)]
            assert seqnums == [0xFFFFFFFF, 1]
            for seqnum in seqnums:
                submit = await ends.stub.submit()
                assert submit.seqnum == seqnum
                await ends.stub.answer(submit, b"x")
            await returns.wait(2)

    run(scenario())


def test_another_may_go_on_with_the_stream() -> None:
    """One reads the descriptors, another carries the traffic, on another event loop."""

    async def before(ends: Ends) -> int:
        await still_works(ends)
        ends.urbs.detach()
        return ends.urbs.next_seqnum

    async def scenario() -> None:
        async with linked() as ends:
            next_seqnum = await before(ends)
            connection = ends.urbs.connection
            assert isinstance(connection, ClientConnection)
            ends.urbs = UrbStream(
                ends.urbs.stream, connection, DEVID, next_seqnum=next_seqnum
            ).attach()
            await still_works(ends)
            ends.urbs.close()

    run(scenario())


def test_a_callback_may_submit_the_next() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            done = asyncio.Event()
            seen: list[bytes] = []

            def again(answer: RetSubmit) -> None:
                seen.append(answer.data)
                if len(seen) < 5:
                    ends.urbs.submit(1, Direction.IN, 64, again)
                else:
                    done.set()

            ends.urbs.submit(1, Direction.IN, 64, again)
            for n in range(5):
                await ends.stub.answer(await ends.stub.submit(), bytes([n]))
            async with asyncio.timeout(LIMIT_S):
                await done.wait()
            assert seen == [bytes([n]) for n in range(5)]

    run(scenario())
