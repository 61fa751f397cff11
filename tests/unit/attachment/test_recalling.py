"""Importing the very same device again, from a server on loopback."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gadgetip.attachment import recalling
from gadgetip.attachment.recalling import Recall
from gadgetip.errors import DeviceUnpluggedError, GadgetipError, LinkLostError
from gadgetip.matching import DeviceSelector
from gadgetip.remote import find_and_import, finding, operations
from gadgetip.usb import DeviceTree
from gadgetip.wire import OpStatus
from tests.unit.gadget.devices import HS_STICK, NAMES, device, stick, strings
from tests.unit.remote.examples import OTHER, exported, with_serial
from tests.unit.remote.server import Server, serving

SELECTOR = DeviceSelector.parse("0781:5581")
LIMIT_S = 20.0
GERMAN = 0x0407


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gadgetip.remote.stale_session.DIRECTORY", tmp_path / "imports")
    monkeypatch.setattr(operations, "BUSY_POLL_S", 0.001)
    monkeypatch.setattr(finding._look, "__kwdefaults__", {"busy_limit_s": 0.01})
    monkeypatch.setattr(recalling, "GONE_AFTER_S", 60.0)
    monkeypatch.setattr(recalling, "PAUSES_S", (0.005, 0.01))


class Held:
    """A device that was imported; `waits` are the reasons for which it is waited for."""

    def __init__(self, recall: Recall, waits: list[GadgetipError]) -> None:
        self.recall = recall
        self.waits = waits

    async def again(self, limit_s: float = LIMIT_S) -> Any:
        return await self.recall.again(asyncio.get_running_loop().time() + limit_s)


async def held(server: Server, on_waiting: Callable[[], None] = lambda: None) -> Held:
    found = await find_and_import(server.address, SELECTOR)
    waits: list[GadgetipError] = []

    def waiting(error: GadgetipError, pause_s: float) -> None:
        assert pause_s > 0
        waits.append(error)
        on_waiting()

    recall = Recall(server.address, SELECTOR, found, 7, on_waiting=waiting)
    return Held(recall, waits)


def on_loopback(steps: Callable[[Server], Any], tree: DeviceTree = HS_STICK) -> Server:
    server = Server(exported("1-2", tree))

    async def scenario() -> None:
        async with serving(server):
            await steps(server)

    asyncio.run(scenario())
    return server


def test_the_same_device_as_often_as_it_is_lost() -> None:
    async def steps(server: Server) -> None:
        it = await held(server)
        for _ in range(3):
            before = it.recall.imported
            imported = await it.again()
            assert before.stream.fileno() == -1  # or the server would call it busy
            assert imported is it.recall.imported is not before
            assert imported.next_seqnum > 1
        it.recall.imported.close()
        assert it.waits == []

    assert on_loopback(steps).devices["1-2"].imports == 4


@pytest.mark.parametrize("texts", [{}, {3: "4C530001"}])
def test_one_without_strings_too(texts: dict[int, str]) -> None:
    async def steps(server: Server) -> None:
        it = await held(server)
        (await it.again()).close()

    on_loopback(steps, device(stick(), texts=strings(texts)))


def replugged(server: Server) -> None:
    it = server.devices["1-2"]
    it.record = replace(it.record, devnum=it.record.devnum + 1)


def on_another_bus(server: Server) -> None:
    it = server.devices["1-2"]
    it.record = replace(it.record, busnum=it.record.busnum + 1)


def becomes(tree: DeviceTree) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.devices["1-2"].tree = tree

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replugged, "the device 1-2 was plugged in anew"),
        (on_another_bus, "the device 1-2 was plugged in anew"),
        (becomes(OTHER), "another device took the place of 1-2"),
        (becomes(device(stick(0x83))), "another device took the place of 1-2"),
        (becomes(with_serial("B")), "another device took the place of 1-2"),
        (becomes(device(stick(), texts=strings({}))), "another device took the place of 1-2"),
    ],
)
def test_another_one_is_not_taken(change: Callable[[Server], None], said: str) -> None:
    async def steps(server: Server) -> None:
        it = await held(server)
        change(server)
        server.changed.clear()
        with pytest.raises(DeviceUnpluggedError, match=f"{said} while the link to 127"):
            await it.again()
        await asyncio.wait_for(server.changed.wait(), 5)  # and it is given back
        while server.devices["1-2"].in_use:
            server.changed.clear()
            await asyncio.wait_for(server.changed.wait(), 5)

    on_loopback(steps)


def test_a_serial_number_in_any_language_counts() -> None:
    first = device(stick(), texts=strings({**NAMES, 3: "A"}, (GERMAN,)))

    async def steps(server: Server) -> None:
        it = await held(server)
        becomes(device(stick(), texts=strings({**NAMES, 3: "B"}, (GERMAN,))))(server)
        with pytest.raises(DeviceUnpluggedError, match="took the place"):
            await it.again()

    on_loopback(steps, first)


def test_one_that_is_busy_for_a_while_is_waited_for() -> None:
    """The server has not noticed yet that the link is lost."""

    async def steps(server: Server) -> None:
        def free() -> None:
            if len(it.waits) == 5:
                server.devices["1-2"].refusals.clear()

        it = await held(server, free)
        server.devices["1-2"].refusals = [OpStatus.DEV_BUSY] * 10_000
        (await it.again()).close()
        assert len(it.waits) == 5

    on_loopback(steps)


def test_one_that_is_not_exported_yet_is_waited_for() -> None:
    async def steps(server: Server) -> None:
        def export() -> None:
            if len(it.waits) == 3:
                server.devices["1-2"] = there

        it = await held(server, export)
        there = server.devices.pop("1-2")
        server.listed = []
        (await it.again()).close()
        assert len(it.waits) == 3

    on_loopback(steps)


def test_one_that_is_not_exported_for_long_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalling, "GONE_AFTER_S", 0.2)

    async def steps(server: Server) -> None:
        it = await held(server)
        del server.devices["1-2"]
        server.listed = []
        before = asyncio.get_running_loop().time()
        with pytest.raises(DeviceUnpluggedError, match="the device 1-2 was unplugged at 127"):
            await it.again()
        assert asyncio.get_running_loop().time() - before >= 0.2
        assert it.waits

    on_loopback(steps)


def test_a_server_that_restarts_begins_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is how long it says so in a row, not since the first time."""
    monkeypatch.setattr(recalling, "GONE_AFTER_S", 0.2)

    async def steps(server: Server) -> None:
        def turn() -> None:
            # Now it has no such device, now it breaks off: never long enough to be believed.
            server.raw_reply = None if server.raw_reply is not None else b""
            if asyncio.get_running_loop().time() - began > 0.6:
                server.raw_reply = None
                server.devices["1-2"] = there

        it = await held(server, turn)
        there = server.devices.pop("1-2")
        server.listed = []
        began = asyncio.get_running_loop().time()
        (await it.again()).close()

    on_loopback(steps)


def test_a_server_that_is_away_is_asked_until_it_is_too_late() -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        async with serving(server):
            it = await held(server)
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(LinkLostError, match="did not give the device back within 7 s"):
            await it.again(0.3)
        assert 0.25 < loop.time() - before < 5
        assert all(isinstance(error, LinkLostError) for error in it.waits)
        assert it.waits

    asyncio.run(scenario())


@pytest.mark.parametrize("limit_s", [0.3, 0.0, -1.0])
def test_a_server_that_is_silent_takes_no_more_time_than_there_is(limit_s: float) -> None:
    async def steps(server: Server) -> None:
        it = await held(server)
        server.silent = True
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(LinkLostError, match="within 7 s"):
            await it.again(limit_s)
        assert loop.time() - before < 5

    on_loopback(steps)


@pytest.mark.parametrize(
    ("pauses_s", "limit_s", "longest_s"),
    [
        ((0.005, 3600.0), 1.0, 0.01),  # a pause for what is awaited, not for what is held
        ((0.03, 3600.0), 1.0, 0.03),
        ((3600.0, 3600.0), 0.4, 0.2),  # half of what is left
    ],
)
def test_a_host_that_waits_is_not_kept_waiting_by_long_pauses(
    pauses_s: tuple[float, float], limit_s: float, longest_s: float
) -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        pauses: list[float] = []
        async with serving(server):
            found = await find_and_import(server.address, SELECTOR)
            server.devices["1-2"].refusals = [OpStatus.DEV_ERR] * 3
            recall = Recall(
                server.address,
                SELECTOR,
                found,
                limit_s,
                pauses_s=pauses_s,
                on_waiting=lambda _, pause_s: pauses.append(pause_s),
            )
            await recall.again(asyncio.get_running_loop().time() + limit_s)
            recall.imported.close()
        assert len(pauses) == 3
        assert max(pauses) <= longest_s

    asyncio.run(scenario())


def test_it_is_asked_for_by_its_bus_id() -> None:
    """Another stick that the user's words would mean as well is no candidate."""

    async def steps(server: Server) -> None:
        it = await held(server)
        server.devices["1-3"] = exported("1-3")
        server.listed = ["1-2", "1-3"]
        imported = await it.again()
        assert imported.record.busid == "1-2"
        imported.close()
        assert server.devices["1-3"].imports == 0

    on_loopback(steps)
