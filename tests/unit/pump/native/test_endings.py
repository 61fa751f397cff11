"""The native pump ends: at any moment, for any reason, and nobody is left waiting."""

import asyncio
import errno
import gc
import os
import resource
import select
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gadgetip.errors import LinkLostError
from gadgetip.pump import Shaping
from gadgetip.pump import urbs as urbs_module
from gadgetip.pump.native_module import native_module
from gadgetip.usb import Direction, SetupPacket
from tests.unit.pump.shapers.storage import cbw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.stub import LIMIT_S, ret, tcp_pair

from .bench import Bench, Which, both, needs_native, running

if TYPE_CHECKING:
    from gadgetip.wire import RetSubmit

WAYS = [route(0x81, window_urbs=4), route(0x02, window_urbs=4)]
DISK = [
    route(address, shaping=Shaping.BOT, transfer_bytes=4096, interface=1)
    for address in (0x83, 0x04)
]


def run(scenario: Coroutine[None, None, None]) -> None:
    """Run it; what a callback raises is a failure."""

    async def watched() -> None:
        raised: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: raised.append(what))
        await scenario
        for _ in range(3):
            await asyncio.sleep(0)
        assert not raised

    asyncio.run(watched())


@both
def test_what_is_submitted_behind_the_end_comes_back_each_once(which: Which) -> None:
    async def scenario() -> None:
        async with running(which, WAYS) as it:
            await it.lose_link()
            returned: list[RetSubmit] = []
            seqnums = {it.urbs.submit(1, Direction.IN, 64, returned.append) for _ in range(3)}
            assert len(seqnums) == 3
            await it.until(lambda: len(returned) == 3)
            assert {each.status for each in returned} == {-errno.ECONNRESET}
            # And what the host still sends is nobody's to be confused by.
            await it.host.send(0x02, *[b"behind the end"] * 4)
            await it.until(lambda: it.pump.statistics[0x02].discarded >= 4 * 14)

    run(scenario())


@both
def test_the_figures_outlive_it(which: Which) -> None:
    async def scenario() -> None:
        async with running(which, WAYS) as it:
            await it.server.give(0x81, (b"12345", 0))
            await it.host.has(0x81, 5)
            await it.until(lambda: it.pump.statistics[0x81].moved == 5)
            await it.host.send(0x02, b"123")
            await it.until(lambda: it.pump.statistics[0x02].moved == 3)
        assert it.pump.statistics[0x81].moved == 5
        assert it.pump.statistics[0x02].moved == 3
        assert it.pump.statistics[0x81].urbs == 1
        assert it.pump.references >= 0
        assert await it.pump.fence(0.01) == 0

    run(scenario())


@both
def test_a_server_that_answers_no_unlink_is_given_up_and_all_comes_back(
    which: Which, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pump ends the stream itself, while lanes carry other endpoints."""
    monkeypatch.setattr(urbs_module, "UNLINK_LIMIT_S", 0.05)

    async def scenario() -> None:
        async with running(which, [*WAYS, *DISK], may_hold=True) as it:
            it.server.held.add(2)
            await it.host.send(0x02, b"never confirmed")
            await it.server.asked(0x02)
            await it.host.send(0x04, cbw(1, 512))
            await it.server.asked(0x83)
            await it.server.asked(0x81, 4)
            it.server.deaf = True
            seqnum = it.urbs.submit(7, Direction.IN, 64, lambda _: None)
            await it.urbs.unlinked([seqnum])
            assert "CMD_UNLINK unanswered" in str(it.urbs.ended)
            assert isinstance(it.urbs.ended, LinkLostError)
            await it.pulse.until(lambda: any("link ended" in told for told in it.listener.told))
            assert [t for t in it.listener.told if "link ended" in t] == [
                "link ended: the server left 1 CMD_UNLINK unanswered"
            ]
            for shaper in it.pump._shapers:
                for side in shaper.sides:
                    assert side.remote.in_flight == 0
            await it.pump.stop({1})
            server = await it.relink()
            await it.pump.resume()
            await server.asked(0x81)
            await server.give(0x81, (b"again", 0))
            await it.host.has(0x81, 5)

    run(scenario())


@needs_native
def test_lanes_are_given_back_however_a_stop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine has 64: each that is not given back is one that is missing for ever."""
    monkeypatch.setattr(urbs_module, "UNLINK_LIMIT_S", 0.05)
    way = route(0x81, window_urbs=2)

    async def scenario() -> None:
        async with running(Which.NATIVE, [way], may_hold=True) as it:
            for _ in range(3):
                await it.server.asked(0x81, 2)
                it.server.deaf = True
                await it.pump.stop()
                assert it.urbs.ended is not None
                await it.relink()
                await it.pump.resume()
                await it.pump.start((way,))
            await it.server.asked(0x81, 2)
            await it.pump.stop()
            await it.pump.start((way,))
            assert len(_lanes(it)) == 1
            assert _lanes(it) == {0}

    run(scenario())


def _answered(it: Bench) -> None:
    """The device takes what was sent to it."""
    submit = it.server.waiting[0x02].popleft()
    it.server.stub.stream.send(it.server.stub.connection.send(ret(submit)))


def _cancelled(it: Bench) -> None:
    """The kernel ends the request on the endpoint file, as it does when the host lets go of it."""
    it.urbs.engine.core.cancel(it.pump._shapers[0].sides[0].replica.number)  # type: ignore[attr-defined]


@needs_native
@pytest.mark.parametrize(
    ("address", "end"), [(0x02, _answered), (0x81, _cancelled)], ids=["answered", "cancelled"]
)
def test_a_lane_is_not_lent_again_while_a_stop_begins(
    address: int, end: Callable[[Bench], None]
) -> None:
    """What ends between the call and the first step of the shaper's own stop, a turn later.

    A lane that is lent then has a URB or a request that nobody awaits: the pump is not stopped, and
    what comes of it has no owner.
    """

    async def scenario() -> None:
        async with running(Which.NATIVE, [route(address, window_urbs=1)], asleep=True) as it:
            it.server.held.add(2)
            if address & 0x80:
                it.host.fill(address)
                await it.server.give(address, (b"the host does not take it", 0))
                await it.until(lambda: it.pump.statistics[address].urbs == 1)
            else:
                await it.host.send(address, b"on its way")
                await it.server.asked(address)
            stopping = asyncio.ensure_future(it.pump.stop())
            asyncio.get_running_loop().call_soon(_end_now, it, address, end)
            async with asyncio.timeout(LIMIT_S):
                await stopping
            # Behind this answer the server and the engine have no news of what was before.
            await it.urbs.control(SetupPacket(0xC0, 1, 0, 0, 2), limit_s=LIMIT_S)
            assert not it.server.waiting[address]
            assert it.listener.told == []

    run(scenario())


def _end_now(it: Bench, address: int, end: Callable[[Bench], None]) -> None:
    """Let it end, and hand out what comes of it, without a turn of the loop."""
    engine = it.urbs.engine  # type: ignore[attr-defined]
    urbs = it.pump.statistics[address].urbs
    end(it)
    until = time.monotonic() + LIMIT_S
    while not select.select([engine.core.fileno()], [], [], 0.001)[0]:
        assert time.monotonic() < until
        if it.pump.statistics[address].urbs > urbs:
            return  # it was the lane's, and is settled
    engine.hand_out()


def _lanes(it: Bench) -> set[int]:
    """The numbers of the engine's lanes."""
    numbers = set()
    for number in range(64):
        try:
            it.urbs.engine.core.counters(number)  # type: ignore[attr-defined]
        except ValueError:
            continue
        numbers.add(number)
    return numbers


@needs_native
def test_an_engine_that_cannot_be_made_closes_nothing_of_others() -> None:
    module = native_module()
    assert module is not None
    ours, theirs = tcp_pair()
    standing = os.open("/dev/null", os.O_RDONLY)
    kept = os.dup(0) if _is_open(0) else None
    os.dup2(standing, 0)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_first_free() + 4, before[1]))
        for left in range(4):
            while True:
                try:
                    taken.append(os.dup(standing))
                except OSError:
                    break
            for _ in range(left):
                os.close(taken.pop())
            with pytest.raises(OSError, match="Too many open files"):
                module.Engine(ours.fileno(), 1, 1)
            assert _is_open(0)
            assert _is_open(ours.fileno())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in taken:
            os.close(each)
        if kept is not None:
            os.dup2(kept, 0)
            os.close(kept)
        os.close(standing)
        ours.close()
        theirs.close()


def _is_open(file: int) -> bool:
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


def _first_free() -> int:
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 1


async def _carry(it: Bench, moment: int) -> None:
    """Traffic on every lane, left off after so many steps."""
    steps = [
        it.server.asked(0x81, 4),
        it.server.give(0x81, (bytes(64), 0), (b"short", 0)),
        it.host.send(0x02, bytes(64), bytes(64), b"end"),
        it.host.send(0x04, cbw(1, 8192)),
        it.server.asked(0x83, 1),
        it.server.give(0x83, (bytes(4096), 0)),
        it.server.give(0x83, (b"", -errno.EPIPE)),
    ]
    for step in steps[:moment]:
        await step
    for step in steps[moment:]:
        step.close()


@needs_native
@pytest.mark.parametrize("moment", range(8))
@pytest.mark.parametrize("asleep", [False, True], ids=["host reads", "host sleeps"])
def test_it_is_closed_at_any_moment(moment: int, asleep: bool) -> None:
    async def scenario() -> None:
        async with running(Which.NATIVE, [*WAYS, *DISK], asleep=asleep, buffer_bytes=4608) as it:
            await _carry(it, moment)
            it.pump.close()
            it.pump.close()

    before = _threads()
    run(scenario())
    assert _threads() == before


@needs_native
def test_an_engine_that_nobody_closes_ends_with_its_object() -> None:
    module = native_module()
    assert module is not None
    before = _threads()
    for _ in range(4):
        ours, theirs = tcp_pair()
        mine, hosts = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        engine = module.Engine(ours.fileno(), 1, 1)
        file = engine.open_file(mine.fileno(), False, True)
        lane = engine.out_lane(file, 1, 0, 64, 64, 64, 4, 256, False)
        assert engine.lend_out(lane)
        hosts.send(b"on its way")
        del engine
        gc.collect()
        assert _threads() == before
        for each in (ours, theirs, mine, hosts):
            each.close()


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@needs_native
def test_a_closed_engine_says_so() -> None:
    module = native_module()
    assert module is not None
    ours, theirs = tcp_pair()
    engine = module.Engine(ours.fileno(), 1, 1)
    engine.close()
    engine.close()
    for call in (engine.fileno, engine.events, engine.flush, engine.numbers):
        with pytest.raises(ValueError, match="the engine is closed"):
            call()
    ours.close()
    theirs.close()
