"""What the native pump holds is bounded: by the windows, and by tables that are made once."""

import asyncio
import ctypes
import gc
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.pump.native_module import native_module
from gadgetip.pump.shapers.bot_hold import MAX_KEPT_BYTES
from tests.unit.pump.shapers.storage import cbw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.stub import tcp_pair

from .bench import Bench, Which, both, needs_native, running

PACKET, WINDOW, SMALL = 64, 4, 4608

# --- the formula ------------------------------------------------------------------------------

URBS, URB_BYTES = 8192, 152
REQUESTS, REQUEST_BYTES = 2048, 168
PLACES_BYTES = 2 * 16384
EVENTS, EVENT_BYTES = URBS + REQUESTS + 2 * 64 + 1, 24
RECEIVE_BYTES = 64 * 1024
ENGINE_BYTES = 32 * 1024
"""`struct engine` with its endpoint files, its queue for the kernel and its tombstones."""

FIXED_BYTES = (
    URBS * URB_BYTES
    + REQUESTS * REQUEST_BYTES
    + PLACES_BYTES
    + EVENTS * EVENT_BYTES
    + RECEIVE_BYTES
    + ENGINE_BYTES
)
SPAN_BYTES = 32
LANE_BYTES = 1024


def whole(size: int, packet: int) -> int:
    return -(-size // packet) * packet


def lane_bytes(*routes: EndpointRoute, may_hold: bool = False) -> int:
    """The most that the lane of these routes holds (docs/native-pump.md, "Memory").

    A window of slots each way, each as long as a URB or a read. Beside them a few dozen bytes for
    each that has arrived, and for mass storage the CBW, the CSW and what is kept of a command.
    """
    total = LANE_BYTES
    for way in routes:
        window, is_in = way.window_urbs, bool(way.address & 0x80)
        packet = way.device_max_packet if is_in else way.host_max_packet
        if way.shaping is Shaping.BOT:
            total += window * whole(way.transfer_bytes, packet) + 4 * whole(31, packet)
            total += 0 if is_in or not may_hold else MAX_KEPT_BYTES
        elif way.shaping is Shaping.SHORT:
            total += window * whole(way.transfer_bytes, packet)
            pieces = way.transfer_bytes // (16 * 1024) + 2 if is_in else 2
            total += SPAN_BYTES * (window * pieces + 2)
        else:
            total += window * packet + SPAN_BYTES * (2 * window + 2)
    return total


def pump_bytes(*lanes: int) -> int:
    """What one attachment takes beside the interpreter."""
    return FIXED_BYTES + sum(lanes)


MALLINFO2 = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class Mallinfo2(ctypes.Structure):
    """glibc's account of what is allocated (mallinfo(3))."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO2)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """What Python's collector frees of earlier tests would count as less that was allocated."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def allocated() -> int:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("this C library does not say what is allocated")
    libc.mallinfo2.restype = Mallinfo2
    figures = libc.mallinfo2()
    if not figures.uordblks:
        pytest.skip("a sanitizer allocates in the C library's place")
    return int(figures.uordblks + figures.hblkhd)


@needs_native
def test_the_tables_are_as_large_as_the_formula_says() -> None:
    module = native_module()
    assert module is not None
    ours, theirs = tcp_pair()
    before = allocated()
    engine = module.Engine(ours.fileno(), 1, 1)
    grown = allocated() - before
    engine.close()
    assert 0.9 * FIXED_BYTES < grown < 1.05 * FIXED_BYTES
    ours.close()
    theirs.close()


LANES = [
    (route(0x81, window_urbs=32, device_max_packet=512),),
    (route(0x02, window_urbs=32, device_max_packet=512),),
    (route(0x81, shaping=Shaping.INTERRUPT, window_urbs=1, device_max_packet=8),),
    (route(0x81, shaping=Shaping.SHORT, window_urbs=4, transfer_bytes=64 * 1024),),
    (route(0x02, shaping=Shaping.SHORT, window_urbs=4, transfer_bytes=32 * 1024),),
    tuple(
        route(
            address,
            shaping=Shaping.BOT,
            window_urbs=8,
            transfer_bytes=128 * 1024,
            device_max_packet=512,
        )
        for address in (0x02, 0x81)
    ),
]


def _make(engine: object, routes: tuple[EndpointRoute, ...], *, may_hold: bool) -> object:
    core, first = engine, routes[0]
    file = {way.address: core.open_file(0, bool(way.address & 0x80), False) for way in routes}  # type: ignore[attr-defined]
    if first.shaping is Shaping.BOT:
        pair = [
            (
                file[way.address],
                way.number,
                way.device_max_packet,
                way.host_max_packet,
                way.window_urbs,
                way.transfer_bytes,
            )
            for way in routes
        ]
        return core.bot_lane(*pair, MAX_KEPT_BYTES if may_hold else 0)  # type: ignore[attr-defined]
    ends_short = first.shaping is Shaping.SHORT
    packet = first.device_max_packet
    urb = first.transfer_bytes if ends_short else packet
    common = (
        file[first.address],
        first.number,
        0,
        urb,
        packet,
        packet,
        first.window_urbs,
        max(first.transfer_bytes, packet),
        ends_short,
    )
    if first.address & 0x80:
        return core.in_lane(*common, False)  # type: ignore[attr-defined]
    return core.out_lane(*common)  # type: ignore[attr-defined]


@needs_native
@pytest.mark.parametrize("routes", LANES, ids=lambda r: f"{r[0].shaping}-{r[0].address:02x}")
@pytest.mark.parametrize("may_hold", [False, True])
def test_a_lane_is_as_large_as_the_formula_says(
    routes: tuple[EndpointRoute, ...], may_hold: bool
) -> None:
    module = native_module()
    assert module is not None
    ours, theirs = tcp_pair()
    engine = module.Engine(ours.fileno(), 1, 1)
    before = allocated()
    assert _make(engine, routes, may_hold=may_hold) is not None
    grown = allocated() - before
    most = lane_bytes(*routes, may_hold=may_hold)
    page_rounding = 8 * resource.getpagesize()
    engine.close()
    assert most * 0.5 - LANE_BYTES < grown < most + page_rounding
    ours.close()
    theirs.close()


def test_a_disk_with_the_largest_windows_stays_below_the_limit() -> None:
    """8 MiB beside the interpreter: a disk of high speed, and a keyboard beside it."""
    disk, keyboard = LANES[-1], LANES[2]
    assert pump_bytes(lane_bytes(*disk, may_hold=True), lane_bytes(*keyboard)) < 8 * 1024 * 1024


# --- slow ends --------------------------------------------------------------------------------


def capacity(size: int) -> int:
    """How many messages of `size` bytes a host's socket holds for it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    ours.setblocking(False)
    count = 0
    try:
        while True:
            ours.send(bytes(size))
            count += 1
    except BlockingIOError:
        return count
    finally:
        ours.close()
        theirs.close()


async def give_while_asked(it: Bench, address: int, data: bytes) -> int:
    """Answer every URB that comes; how many, until none has come for a while."""
    given = 0
    while True:
        try:
            async with asyncio.timeout(0.2):
                await it.server.asked(address)
        except TimeoutError:
            return given
        await it.server.give(address, (data, 0))
        given += 1


@both
@pytest.mark.parametrize("shaping", [Shaping.PACKET, Shaping.INTERRUPT])
def test_a_host_that_fetches_nothing_stops_the_device(which: Which, shaping: Shaping) -> None:
    window = WINDOW if shaping is Shaping.PACKET else 1

    async def scenario() -> None:
        way = route(0x81, shaping=shaping, window_urbs=window)
        async with running(which, [way], asleep=True, buffer_bytes=SMALL) as it:
            given = await give_while_asked(it, 0x81, b"short")
            assert given <= window + capacity(5)
            assert it.server.deepest[0x81] <= window
            it.host.wake()
            await it.host.has(0x81, given * 5)
            await it.server.asked(0x81, window)

    asyncio.run(scenario())


@both
def test_a_device_that_takes_nothing_stops_the_host(which: Which) -> None:
    async def scenario() -> None:
        async with running(which, [route(0x02, window_urbs=WINDOW)]) as it:
            it.server.held.add(2)
            sent = [bytes([n]) * PACKET for n in range(3 * WINDOW)]
            await it.host.send(0x02, *sent)
            await it.until(lambda: it.pump._shapers[0].unconfirmed == WINDOW * PACKET)
            seen = b""
            while len(seen) < len(sent) * PACKET:
                await it.server.asked(0x02)
                waiting = it.server.waiting[0x02]
                assert sum(len(each.data) for each in waiting) <= WINDOW * PACKET
                submit = waiting.popleft()
                seen += bytes(submit.data)
                await it.server.stub.answer(submit)
            assert seen == b"".join(sent)

    asyncio.run(scenario())


@both
def test_a_link_that_takes_nothing_stops_the_host(which: Which) -> None:
    async def scenario() -> None:
        ways = [
            route(a, shaping=Shaping.BOT, transfer_bytes=4096, window_urbs=WINDOW)
            for a in (0x81, 0x02)
        ]
        async with running(which, ways, send_buffer=4096) as it:
            it.server.held.add(2)
            await it.host.send(0x02, cbw(1, 40 * 4096, data_in=False, block=b"\x2a" + bytes(9)))
            await it.server.asked(0x02)
            await it.server.stub.answer(it.server.waiting[0x02].popleft())
            it.server.stub.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            data = asyncio.get_running_loop().create_task(
                it.host.send(0x02, *[bytes([n]) * 4096 for n in range(40)])
            )
            await it.server.asked(0x02)
            await it.until(lambda: it.pump._shapers[0].unconfirmed == WINDOW * 4096)
            it.server.held.clear()
            while it.server.waiting[0x02]:
                await it.server.stub.answer(it.server.waiting[0x02].popleft())
            await data
            await it.until(lambda: it.pump.statistics[0x02].moved == 31 + 40 * 4096)

    asyncio.run(scenario())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@needs_native
def test_traffic_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        ways = [route(0x81, window_urbs=8), route(0x02, window_urbs=8)]
        async with running(Which.NATIVE, ways) as it:

            async def turn(count: int) -> None:
                for _ in range(count):
                    await it.server.give(0x81, *[(bytes(PACKET), 0)] * 8)
                    await it.host.send(0x02, *[bytes(PACKET)] * 8)
                    await it.until(
                        lambda: not it.pump._shapers[1].unconfirmed, "what the host sent"
                    )
                    it.server.log.clear()
                    it.server.seqnums.clear()
                    it.host.got.clear()

            await turn(50)
            before = resident_bytes()
            await turn(150)
            assert resident_bytes() - before < 1024 * 1024
            assert not it.python_submits

    asyncio.run(scenario())
