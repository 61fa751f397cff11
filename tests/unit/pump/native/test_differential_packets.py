"""The same story told to both pumps, endpoint by endpoint: `packet`, `interrupt`, `short`.

Compared is what the server saw of each OUT endpoint, as the stream of packets (the two pumps may
merge differently what arrives together, which no wire shows), the fields of every submit but its
length and number, what the host got, as packets, the halts, the notices and the statistics. How
many URBs wait at an IN endpoint when nothing happens may differ; that they are never more than the
window may not. Seqnums are compared by what they must do: never twice.
"""

import asyncio
import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import SetupPacket
from gadgetip.wire import CmdSubmit, Direction
from tests.unit.pump.shapers.world import route

from .bench import Bench, Late, Which, needs_native, running

EXAMPLES = int(os.environ.get("GADGETIP_EXAMPLES", "8"))
"""More of them, for a night: GADGETIP_EXAMPLES=2000."""

unhurried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking a hang would take its limit each time
    print_blob=True,
)


@dataclass
class Told:
    """What is compared in the end."""

    packets: dict[int, list[bytes]] = field(default_factory=dict)
    fields: dict[int, set[tuple[Any, ...]]] = field(default_factory=dict)
    controls: list[bytes] = field(default_factory=list)
    halts: list[int] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    statistics: dict[int, tuple[int, ...]] = field(default_factory=dict)


def cut(pieces: list[bytes], packet: int) -> list[bytes]:
    """The packets that a controller makes of pieces; a piece of nothing is an empty packet."""
    return [piece[at : at + packet] for piece in pieces for at in range(0, len(piece) or 1, packet)]


def summary(it: Bench, routes: list[EndpointRoute], *, in_urbs: bool) -> Told:
    told = Told(controls=it.server.controls(), halts=it.host.halts)
    told.notices = sorted(map(timeless, it.listener.told))
    assert not it.server.repeated
    for way in routes:
        submits = it.server.submits(way.address)
        if way.address & 0x80:
            told.packets[way.address] = cut(it.host.got[way.address], way.host_max_packet)
            assert it.server.deepest[way.address] <= way.window_urbs
        else:
            pieces = [bytes(each.data) for each in submits]
            told.packets[way.address] = cut(pieces, way.device_max_packet)
        told.fields[way.address] = {shape(each) for each in submits}
        counted = it.pump.statistics[way.address]
        told.statistics[way.address] = (
            counted.moved,
            counted.discarded,
            counted.halts,
            counted.errors,
            counted.urbs if way.address & 0x80 and in_urbs else 0,
        )
    return told


def timeless(notice: str) -> str:
    """A notice without what is a matter of the moment.

    That is how many URBs waited, and whether the end of the link met who was reading or who was
    sending.
    """
    ends = r"the server closed the connection|the connection broke: .*"
    return re.sub(ends, "it ended", re.sub(r"up to \d+ bytes", "up to n bytes", notice))


def shape(submit: CmdSubmit) -> tuple[Any, ...]:
    """All of a submit but what may differ; the length of an IN URB may not."""
    return (
        submit.devid,
        submit.direction,
        submit.ep,
        submit.transfer_flags,
        submit.transfer_buffer_length if submit.direction is Direction.IN else None,
        submit.start_frame,
        submit.number_of_packets,
        submit.interval,
        submit.setup,
    )


class Story:
    """Steps that a test tells to a bench, each of which ends when its effects are there."""

    def __init__(self, it: Bench, routes: list[EndpointRoute]) -> None:
        self.it = it
        self.routes = {way.address: way for way in routes}
        self.sent = {way.address: 0 for way in routes}
        self.expected = {way.address: 0 for way in routes}
        self.empties = {way.address: 0 for way in routes}

    async def device_gives(self, address: int, packets: list[bytes]) -> None:
        await self.it.server.give(address, *((each, 0) for each in packets))
        self.expected[address] += sum(map(len, packets))
        await self._host_has(address, packets)

    async def _host_has(self, address: int, packets: list[bytes]) -> None:
        way = self.routes[address]
        if way.shaping is Shaping.SHORT:
            ends = [p for p in packets if len(p) < way.transfer_bytes]
            self.empties[address] += sum(1 for p in ends if len(p) % way.host_max_packet == 0)
        else:
            self.empties[address] += packets.count(b"")
        got = self.it.host.got[address]
        await self.it.pulse.until(
            lambda: (
                sum(map(len, got)) >= self.expected[address]
                and got.count(b"") >= self.empties[address]
            ),
            f"what the device gave at 0x{address:02x}",
        )

    async def host_sends(self, address: int, packets: list[bytes]) -> None:
        way = self.routes[address]
        count = len(self.stream(address)) + len(packets)
        if way.shaping is Shaping.SHORT:  # each with an empty packet where it ends on a full one
            count += sum(-(-len(p) // way.device_max_packet) - 1 for p in packets if p)
            ends = [p for p in packets if p and len(p) < way.transfer_bytes]
            count += sum(1 for p in ends if len(p) % way.device_max_packet == 0)
        await self.it.host.send(address, *packets)
        await self.it.pulse.until(
            lambda: len(self.stream(address)) >= count,
            f"what the host sent at 0x{address:02x}",
        )
        self.sent[address] += sum(map(len, packets))
        await self.confirmed(address)

    def stream(self, address: int) -> list[bytes]:
        pieces = [bytes(each.data) for each in self.it.server.submits(address)]
        return cut(pieces, self.routes[address].device_max_packet)

    async def confirmed(self, address: int) -> None:
        def settled() -> bool:
            counted = self.it.pump.statistics[address]
            return counted.moved + counted.discarded == self.sent[address]

        await self.it.until(settled, f"confirmation at 0x{address:02x}")

    async def completed(self) -> None:
        """The host may have data before its write is known to be complete."""
        for address in self.routes:
            got = sum(map(len, self.it.host.got[address]))
            await self.it.until(
                partial(self._has_moved, address, got), f"the last completions at 0x{address:02x}"
            )

    def _has_moved(self, address: int, count: int) -> bool:
        return self.it.pump.statistics[address].moved >= count

    async def device_fails(self, address: int, status: int) -> None:
        """The oldest IN URB ends with an error; wait until the device is asked again."""
        it = self.it
        before = self._failures(address)
        await it.server.give(address, (b"", status))
        await it.until(lambda: self._failures(address) > before, "the count of the error")
        await it.recovered()
        await it.server.asked(address)

    def _failures(self, address: int) -> int:
        counted = self.it.pump.statistics[address]
        return counted.halts + counted.errors

    async def device_refuses(self, address: int, packet: bytes, status: int) -> None:
        """An OUT URB ends with an error; wait until the halt is cleared and reads wait again."""
        it = self.it
        halts, clears = len(it.host.halts), it.server.controls().count(clear(address))
        it.server.refusals[address].append(status)
        await it.host.send(address, packet)
        self.sent[address] += len(packet)
        await it.pulse.until(lambda: len(it.host.halts) > halts, "a halt")
        await it.pulse.until(
            lambda: it.server.controls().count(clear(address)) > clears, "a halt cleared"
        )
        await it.recovered()
        await self.confirmed(address)

    async def stops_and_starts(self, interface: int | None) -> None:
        it = self.it
        chosen = [
            way for way in self.routes.values() if interface is None or way.interface == interface
        ]
        await it.pump.stop(None if interface is None else {interface})
        for way in chosen:
            assert not it.server.waiting[way.address]
        await it.pump.start(tuple(chosen))
        for way in chosen:
            if way.address & 0x80:
                await it.server.asked(way.address, way.window_urbs)

    async def control(self) -> None:
        await self.it.pump.control(SetupPacket(0xC0, 0x05, 1, 0, 4))

    async def link_is_lost(self) -> None:
        it = self.it
        await it.lose_link()
        await it.relink()
        await it.pump.resume()
        for way in self.routes.values():
            if way.address & 0x80:
                await it.server.asked(way.address)


def clear(address: int) -> bytes:
    return SetupPacket.clear_halt(address).pack()


Step = Callable[[Story], Any]


def compare(
    routes: list[EndpointRoute],
    steps: list[Step],
    *,
    may_hold: bool = False,
    all_by_lane: bool = False,
    late: Late = Late.NEVER,
) -> None:
    """Tell the steps to both pumps, and compare. `all_by_lane`: Python submits nothing."""

    async def told_by(which: Which) -> Told:
        async with running(which, routes, may_hold=may_hold) as it:
            it.server.late = late
            story = Story(it, routes)
            for way in routes:
                if way.address & 0x80:
                    await it.server.asked(way.address, way.window_urbs)
            for step in steps:
                await step(story)
            if which is Which.NATIVE:
                assert it.lane_share() > 0
                assert not all_by_lane or not it.python_submits
            await story.completed()
            return summary(it, routes, in_urbs=late is Late.NEVER)

    one, other = asyncio.run(told_by(Which.PYTHON)), asyncio.run(told_by(Which.NATIVE))
    assert one == other


# --- the scenarios ----------------------------------------------------------------------------


def packets(full: int, *, most: int = 12) -> st.SearchStrategy[list[bytes]]:
    """Packets of any length up to full ones, which are frequent, and so are empty ones."""
    length = st.one_of(st.just(full), st.integers(0, full), st.sampled_from([0, 1, full - 1]))
    numbered = st.tuples(length, st.integers(0, 255))
    return st.lists(numbered, min_size=1, max_size=most).map(
        lambda all_: [bytes((seed + at) % 256 for at in range(size)) for size, seed in all_]
    )


def four_ways(packet: int, merged: int, window: int) -> list[EndpointRoute]:
    bulk = partial(route, device_max_packet=packet, transfer_bytes=merged, window_urbs=window)
    return [
        bulk(0x81),
        bulk(0x02),
        route(0x83, device_max_packet=8, shaping=Shaping.INTERRUPT, window_urbs=2, interface=1),
        route(0x04, device_max_packet=8, shaping=Shaping.INTERRUPT, window_urbs=2, interface=1),
    ]


sizes = st.tuples(st.sampled_from([8, 64]), st.sampled_from([64, 256]), st.integers(1, 9))


def moves(packet: int) -> st.SearchStrategy[Step]:
    """One endpoint moves packets."""

    def given_by_device(address: int, burst: list[bytes]) -> Step:
        return lambda story: story.device_gives(address, burst)

    def sent_by_host(address: int, burst: list[bytes]) -> Step:
        return lambda story: story.host_sends(address, burst)

    return st.one_of(
        st.builds(given_by_device, st.just(0x81), packets(packet)),
        st.builds(sent_by_host, st.just(0x02), packets(packet)),
        st.builds(given_by_device, st.just(0x83), packets(8, most=4)),
        st.builds(sent_by_host, st.just(0x04), packets(8, most=4)),
    )


@needs_native
@unhurried
@given(st.data(), sizes)
def test_packets_both_ways(data: st.DataObject, size: tuple[int, int, int]) -> None:
    steps = data.draw(st.lists(moves(size[0]), min_size=1, max_size=8))
    compare(four_ways(*size), steps, all_by_lane=True)


def failures(packet: int) -> st.SearchStrategy[Step]:
    """Something that a lane leaves to its shaper."""

    def fails(address: int, status: int) -> Step:
        return lambda story: story.device_fails(address, -status)

    def refuses(address: int, data: bytes, status: int) -> Step:
        return lambda story: story.device_refuses(address, data, -status)

    def stops(interface: int | None) -> Step:
        return lambda story: story.stops_and_starts(interface)

    return st.one_of(
        st.builds(
            fails,
            st.sampled_from([0x81, 0x83]),
            st.sampled_from([errno.EPIPE, errno.EPROTO, errno.EOVERFLOW]),
        ),
        st.builds(
            refuses,
            st.just(0x02),
            st.binary(min_size=1, max_size=packet),
            st.sampled_from([errno.EPIPE, errno.EPROTO]),
        ),
        st.builds(
            refuses,
            st.just(0x04),
            st.binary(min_size=1, max_size=8),
            st.sampled_from([errno.EPIPE, errno.EPROTO]),
        ),
        st.builds(stops, st.sampled_from([None, 0, 1])),
        st.just(lambda story: story.control()),
    )


@needs_native
@unhurried
@given(st.data(), sizes, st.sampled_from(Late))
def test_errors_halts_and_stops_in_between(
    data: st.DataObject, size: tuple[int, int, int], late: Late
) -> None:
    steps = data.draw(st.lists(st.one_of(moves(size[0]), failures(size[0])), max_size=10))
    compare(four_ways(*size), steps, late=late)


@needs_native
@unhurried
@given(st.data(), sizes)
def test_a_link_that_is_lost_and_back(data: st.DataObject, size: tuple[int, int, int]) -> None:
    lost: Step = lambda story: story.link_is_lost()  # noqa: E731 (one of many steps)
    mixed = st.one_of(moves(size[0]), failures(size[0]), st.just(lost))
    before = data.draw(st.lists(mixed, max_size=4))
    behind = data.draw(st.lists(mixed, max_size=4))
    compare(four_ways(*size), [*before, lost, *behind], may_hold=True)


@needs_native
@unhurried
@given(
    st.data(),
    st.sampled_from([(64, 512), (512, 64), (64, 64)]),
    st.integers(1, 4),
    st.booleans(),
)
def test_transfers_that_end_short(
    data: st.DataObject, sizes_: tuple[int, int], window: int, is_disturbed: bool
) -> None:
    """`short`: whole transfers, and packets that are not of one size on both wires."""
    device, host = sizes_
    ways = [
        route(
            address,
            shaping=Shaping.SHORT,
            device_max_packet=device,
            host_max_packet=host,
            transfer_bytes=1024,
            window_urbs=window,
        )
        for address in (0x81, 0x02)
    ]
    length = st.one_of(st.sampled_from([0, 1, 63, 64, 512, 960, 1023, 1024]), st.integers(0, 1024))
    transfers = st.lists(length.map(lambda n: bytes(at % 253 for at in range(n))), min_size=1)
    step = st.one_of(
        transfers.map(lambda t: lambda story: story.device_gives(0x81, t)),
        transfers.map(lambda t: lambda story: story.host_sends(0x02, t)),
    )
    steps = data.draw(st.lists(step, min_size=1, max_size=6))
    if is_disturbed:
        stop: Step = lambda story: story.stops_and_starts(None)  # noqa: E731 (one of many steps)
        stall: Step = lambda story: story.device_fails(0x81, -errno.EPIPE)  # noqa: E731
        steps = [*steps, stall, *steps, stop, *steps]
    compare(ways, steps, all_by_lane=not is_disturbed)
