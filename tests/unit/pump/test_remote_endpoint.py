import asyncio
import errno

import pytest

from gadgetip.errors import LinkLostError
from gadgetip.pump.remote_endpoint import Outcome, RemoteEndpoint
from gadgetip.usb import SetupPacket
from gadgetip.wire import RetSubmit

from .shapers.world import route
from .stub import LIMIT_S, Ends, linked, ret, ret_unlink


class Outcomes:
    def __init__(self) -> None:
        self.all: list[tuple[Outcome, bytes]] = []

    def __call__(self, outcome: Outcome, answer: RetSubmit) -> None:
        self.all.append((outcome, answer.data))


def endpoint(ends: Ends, address: int) -> RemoteEndpoint:
    return RemoteEndpoint(ends.urbs, route(address), control_limit_s=LIMIT_S)


async def until(ends: Ends, count: int, outcomes: Outcomes) -> None:
    async with asyncio.timeout(LIMIT_S):
        while len(outcomes.all) < count:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0, Outcome.DONE),
        (-errno.EREMOTEIO, Outcome.DONE),
        (-errno.EPIPE, Outcome.STALLED),
        (-errno.EPROTO, Outcome.FAILED),
        (-errno.EILSEQ, Outcome.FAILED),
        (-errno.ETIME, Outcome.FAILED),
        (-errno.EOVERFLOW, Outcome.FAILED),
        (-errno.ECONNRESET, Outcome.CANCELLED),
        (-errno.ENOENT, Outcome.CANCELLED),
        (-errno.ESHUTDOWN, Outcome.GONE),
        (-errno.ENODEV, Outcome.GONE),
        (-99999, Outcome.FAILED),
        (1, Outcome.FAILED),
    ],
)
def test_what_became_of_a_urb(status: int, outcome: Outcome) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            remote, outcomes = endpoint(ends, 0x83), Outcomes()
            remote.submit_in(64, outcomes)
            assert remote.in_flight == 1
            submit = await ends.stub.submit()
            assert (submit.ep, submit.direction) == (3, 1)
            await ends.stub.answer(submit, b"part", status)
            await until(ends, 1, outcomes)
            assert outcomes.all == [(outcome, b"part")]
            assert remote.in_flight == 0

    asyncio.run(scenario())


def test_an_empty_write_is_a_urb_of_its_own() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            endpoint(ends, 0x02).submit_out(memoryview(b""), Outcomes())
            submit = await ends.stub.submit()
            assert (submit.ep, submit.direction, submit.transfer_buffer_length) == (2, 0, 0)

    asyncio.run(scenario())


def test_all_are_taken_back_but_another_endpoints() -> None:
    async def scenario() -> None:
        async with linked() as ends:
            mine, other = endpoint(ends, 0x81), endpoint(ends, 0x82)
            outcomes = Outcomes()
            for _ in range(2):
                mine.submit_in(64, outcomes)
                other.submit_in(64, outcomes)
            submits = [await ends.stub.submit() for _ in range(4)]
            taking = asyncio.get_running_loop().create_task(mine.unlink_all())
            unlinks = [await ends.stub.unlink() for _ in range(2)]
            assert {u.unlink_seqnum for u in unlinks} == {s.seqnum for s in submits[::2]}
            await ends.stub.send(*(ret_unlink(u, -errno.ECONNRESET) for u in unlinks))
            async with asyncio.timeout(LIMIT_S):
                await taking
            assert outcomes.all == [(Outcome.CANCELLED, b"")] * 2
            assert (mine.in_flight, other.in_flight) == (0, 2)

    asyncio.run(scenario())


def test_a_link_that_ends_is_not_a_device_that_leaves() -> None:
    """Who asks the server why must not be told that the server has said it."""

    async def scenario() -> None:
        async with linked() as ends:
            remote, outcomes = endpoint(ends, 0x81), Outcomes()
            remote.submit_in(64, outcomes)
            await ends.stub.submit()
            ends.stub.stream.close()
            await ends.wait_for_end()
            assert outcomes.all == [(Outcome.CANCELLED, b"")]
            remote.submit_in(64, outcomes)
            await until(ends, 2, outcomes)
            assert outcomes.all[1] == (Outcome.CANCELLED, b"")
            assert remote.in_flight == 0
            with pytest.raises(LinkLostError):
                await remote.clear_halt()

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [0, -errno.EPIPE])
def test_a_halt_is_cleared_whether_the_device_agrees_or_not(status: int) -> None:
    async def scenario() -> None:
        async with linked() as ends:
            remote = endpoint(ends, 0x81)
            clearing = asyncio.get_running_loop().create_task(remote.clear_halt())
            submit = await ends.stub.submit()
            assert submit.setup == SetupPacket.clear_halt(0x81).pack()
            await ends.stub.send(ret(submit, status=status))
            async with asyncio.timeout(LIMIT_S):
                await clearing

    asyncio.run(scenario())
