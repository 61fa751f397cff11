"""Servers that turn hostile when data flows: the stream ends or URBs fail, and each callback runs.

A device is imported, read and configured as an attachment does it, then URBs are put on both bulk
endpoints. Whatever the server makes of them, each is heard of exactly once, soon, and a server
that breaks the protocol is not listened to any more.
"""

import asyncio
import re
import tracemalloc
from collections import Counter

import pytest

from gadgetip.matching import DeviceSelector
from gadgetip.pump import urbs
from gadgetip.remote import find_and_import
from gadgetip.usb import Direction, SetupPacket
from tests.emulated.hostile import HOSTILE
from tests.emulated.hostile.urbs import Drip
from tests.emulated.server import EmulatedServer

NAMES = [name for name in HOSTILE if name.startswith("data-")]
COUNT = 16
PACKET_BYTES = 512
LIMIT_S = 8.0
TRAFFIC_S = 0.3
MEMORY_LIMIT_BYTES = 50_000_000


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urbs, "UNLINK_LIMIT_S", 0.2)
    monkeypatch.setattr(Drip, "PACE_S", 0.05)


async def traffic(server: EmulatedServer) -> tuple[Counter[int], str]:
    """URBs in both directions, then an unlink of what is left; how often each was heard of."""
    found = await find_and_import(server.address, DeviceSelector.parse("1-1"))
    stream = found.imported.urbs().attach()
    heard: Counter[int] = Counter()
    try:
        await stream.control(SetupPacket.set_configuration(1), limit_s=1.0)
        submitted = [
            stream.submit(1, Direction.IN, PACKET_BYTES, lambda ret: heard.update([ret.seqnum]))
            for _ in range(COUNT)
        ]
        submitted += [
            stream.submit(
                1,
                Direction.OUT,
                PACKET_BYTES,
                lambda ret: heard.update([ret.seqnum]),
                data=bytes(PACKET_BYTES),
            )
            for _ in range(COUNT)
        ]
        try:
            async with asyncio.timeout(TRAFFIC_S):
                while len(heard) < len(submitted):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await stream.unlinked(submitted)
        if stream.ended is None:
            await asyncio.sleep(0.05)  # for what may come behind the last answer
        assert set(heard) == set(submitted)
        return heard, str(stream.ended or "")
    finally:
        stream.close()


@pytest.mark.parametrize("name", NAMES)
def test_each_urb_is_heard_of_once(name: str) -> None:
    hostile = HOSTILE[name]
    with EmulatedServer(hostile.make(), session=hostile.session) as server:
        heard, end = asyncio.run(asyncio.wait_for(traffic(server), LIMIT_S))
        assert server.journal.violations == []
    assert set(heard.values()) == {1}
    if hostile.data_says is None:
        assert end == ""
    else:
        assert re.search(hostile.data_says, end)
        assert len(end.splitlines()) == 1


@pytest.mark.parametrize("name", ["data-flood", "data-huge", "data-iso-packets"])
def test_it_takes_little_memory(name: str) -> None:
    hostile = HOSTILE[name]
    tracemalloc.start()
    try:
        with EmulatedServer(hostile.make(), session=hostile.session) as server:
            asyncio.run(asyncio.wait_for(traffic(server), LIMIT_S))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_LIMIT_BYTES
