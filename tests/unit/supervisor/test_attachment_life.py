"""What an attachment process tells; server and process are real, the sink has no kernel."""

import asyncio
import select
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.attachment import Listener, Search, list_running, running, vhci_sink
from gadgetip.errors import (
    DeviceUnpluggedError,
    GadgetipError,
    LinkLostError,
    PrerequisiteError,
    RefusedError,
)
from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector, Wanted, facts_of_tree
from gadgetip.profiles import ProfileChoice
from gadgetip.pump import PumpChoice
from gadgetip.remote import FoundDevice, stale_session
from gadgetip.supervisor import attachment_life
from gadgetip.supervisor.attachment_life import keep
from gadgetip.supervisor.attachment_process import AttachmentProcess
from gadgetip.supervisor.config import ConfiguredAttachment, Settings
from gadgetip.supervisor.messages import Message, News
from gadgetip.supervisor.record import Record
from gadgetip.supervisor.states import Event, State
from gadgetip.wire import DeviceRecord
from tests.emulated import EmulatedServer, make_device

LIMIT_S = 20.0
SETTINGS = Settings(retry_min_s=0.1, retry_max_s=0.2, poll_ms=50)


@pytest.fixture
def server() -> Iterator[EmulatedServer]:
    with EmulatedServer() as running_server:
        yield running_server


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "DIRECTORY", tmp_path / "attachments")
    monkeypatch.setattr(stale_session, "DIRECTORY", tmp_path / "imports")


def wanting(server: EmulatedServer, **more: object) -> ConfiguredAttachment:
    """Any device; a class is told by the device alone, so it is imported to see."""
    wanted = MatchSelector((Match(busids=("1-*",)),))
    return ConfiguredAttachment("stick", server.address, wanted, **more)  # type: ignore[arg-type]


def until_lost(
    address: HostAddress,
    selector: Wanted,
    udc: str | None,
    profile_for: ProfileChoice,
    listener: Listener,
    search: Search,
    pump: PumpChoice = PumpChoice.AUTO,
) -> None:
    """As `attach_to_gadget`, without a gadget."""
    found = search(address, selector)
    listener.imported(found)
    profile_for(facts_of_tree(found.tree))
    listener.configured(None)
    select.select([found.imported.stream], [], [])
    found.imported.close()
    raise DeviceUnpluggedError("unplugged")


class Kept:
    """An attachment process that keeps, and what it tells."""

    def __init__(self, configured: ConfiguredAttachment) -> None:
        self._news: asyncio.Queue[Message] = asyncio.Queue()
        self.process = AttachmentProcess(
            lambda leash: keep(configured, "u1", SETTINGS, leash),
            on_message=self._news.put_nowait,
            on_line=print,
            on_end=self._ended,
        )
        self.end: str | None = None

    def _ended(self, how: str) -> None:
        self.end = how

    async def next(self) -> Message:
        async with asyncio.timeout(LIMIT_S):
            return await self._news.get()

    async def hears(self, *news: News) -> Message:
        for expected in news:
            message = await self.next()
            assert message.news is expected, message
        return message

    @property
    def is_silent(self) -> bool:
        return self._news.empty()

    async def stops(self) -> None:
        self.process.stop()
        async with asyncio.timeout(LIMIT_S):
            await self.process.ended.wait()
        assert self.end == ""


def test_awaited_found_lost_and_found_again(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_life, "attach_to_gadget", until_lost)

    async def scenario() -> None:
        kept = Kept(wanting(server))
        waiting = await kept.hears(News.WAITING)
        assert waiting.text("awaited") == "device"
        server.plug(make_device("winusb"))
        found = await kept.hears(News.IMPORTING, News.IMPORTED)
        [busid] = server.devices
        assert found.text("busid") == busid
        await kept.hears(News.CONFIGURED)
        [registered] = list_running()
        assert (registered.pid, registered.supervised) == (kept.process.pid, "stick")
        server.unplug(busid)
        lost = await kept.hears(News.LOST)
        assert lost.fields == {"reason": "unplugged", "crashed": False}
        await kept.hears(News.WAITING)
        server.plug(make_device("keyboard"))
        await kept.hears(News.IMPORTING, News.IMPORTED, News.CONFIGURED)
        await kept.stops()
        assert list_running() == []

    asyncio.run(scenario())


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_life, "attach_to_gadget", until_lost)
    with EmulatedServer(make_device("winusb")) as gone:
        configured = wanting(gone)

    async def scenario() -> None:
        kept = Kept(configured)
        waiting = await kept.hears(News.WAITING)
        assert waiting.text("awaited") == "server"
        with EmulatedServer(make_device("winusb"), port=configured.server.port):
            kept.process.wake()
            await kept.hears(News.IMPORTING, News.IMPORTED, News.CONFIGURED)
            await kept.stops()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LinkLostError("gone"), [News.LOST, News.PAUSED]),
        (GadgetipError("the worker died: killed by SIGKILL"), [News.LOST, News.PAUSED]),
    ],
)
def test_losses_that_are_paused_after(
    server: EmulatedServer,
    monkeypatch: pytest.MonkeyPatch,
    error: GadgetipError,
    told: list[News],
) -> None:
    def attach(*arguments: object, **_: object) -> None:
        search = arguments[-1]
        assert callable(search)
        search(arguments[0], arguments[1]).imported.close()
        raise error

    monkeypatch.setattr(attachment_life, "attach_to_gadget", attach)
    server.plug(make_device("winusb"))

    async def scenario() -> None:
        kept = Kept(wanting(server))
        await kept.hears(News.IMPORTING)
        lost = await kept.hears(News.LOST)
        assert lost.fields["crashed"] == str(error).startswith("the worker")
        await kept.hears(News.PAUSED)
        await kept.stops()

    asyncio.run(scenario())


def test_what_this_machine_lacks(server: EmulatedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def attach(*_: object, **__: object) -> None:
        raise PrerequisiteError("no module")

    monkeypatch.setattr(attachment_life, "attach_to_gadget", attach)

    async def scenario() -> None:
        kept = Kept(wanting(server))
        refused = await kept.hears(News.REFUSED)
        assert refused.fields == {"reason": "no module"}
        async with asyncio.timeout(LIMIT_S):
            await kept.process.ended.wait()
        assert kept.end == ""

    asyncio.run(scenario())


def test_a_device_that_is_refused_does_not_keep_another_one_away(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as its bootloader; and it is not imported, which resets it, a second time."""

    def attach(
        address: HostAddress,
        selector: Wanted,
        udc: str | None,
        profile_for: ProfileChoice,
        listener: Listener,
        search: Search,
        pump: PumpChoice = PumpChoice.AUTO,
    ) -> None:
        def refusing_the_first(address: HostAddress, selector: Wanted) -> FoundDevice:
            found = search(address, selector)
            if found.imported.record.busid == refused_busid:
                listener.imported(found)
                found.imported.close()
                raise RefusedError("no iso")
            return found

        until_lost(address, selector, udc, profile_for, listener, refusing_the_first)

    monkeypatch.setattr(attachment_life, "attach_to_gadget", attach)
    server.plug(make_device("winusb"))
    [refused_busid] = server.devices
    asked: list[tuple[DeviceRecord, ...]] = []
    records = server.records

    def list_them() -> tuple[DeviceRecord, ...]:
        asked.append(records())
        return asked[-1]

    monkeypatch.setattr(server, "records", list_them)

    async def scenario() -> None:
        kept = Kept(wanting(server))
        refused = await kept.hears(News.IMPORTING, News.IMPORTED, News.REFUSED)
        assert refused.fields == {"reason": "no iso"}
        before = len(asked)
        async with asyncio.timeout(LIMIT_S):
            while len(asked) < before + 3:
                await asyncio.sleep(0.01)
        assert kept.is_silent, "it says that it imports"
        server.plug(make_device("keyboard"))
        found = await kept.hears(News.IMPORTING, News.IMPORTED)
        assert found.text("busid") != refused_busid
        await kept.hears(News.CONFIGURED)
        await kept.stops()

    asyncio.run(scenario())


def test_a_named_profile_says_how_long_the_pauses_are(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def attach(*arguments: object, **_: object) -> None:
        search = arguments[-1]
        assert callable(search)
        search(arguments[0], arguments[1]).imported.close()
        raise LinkLostError("gone")

    monkeypatch.setattr(attachment_life, "attach_to_gadget", attach)
    file = tmp_path / "own.toml"
    file.write_text('schema = "profile/1"\nname = "own"\n[link]\nretry_min_s = 900\n')
    server.plug(make_device("winusb"))

    async def scenario() -> None:
        kept = Kept(wanting(server, profile=str(file)))
        paused = await kept.hears(News.IMPORTING, News.LOST, News.PAUSED)
        assert paused.number("pause_s") >= 900
        await kept.stops()

    asyncio.run(scenario())


def test_a_profile_that_is_not_there(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_life, "attach_to_gadget", until_lost)
    server.plug(make_device("winusb"))

    async def scenario() -> None:
        kept = Kept(wanting(server, profile="/nowhere.toml"))
        refused = await kept.hears(News.IMPORTING, News.IMPORTED, News.REFUSED)
        assert "/nowhere.toml" in refused.text("reason")
        await kept.stops()

    asyncio.run(scenario())


@pytest.mark.parametrize("detached", [True, False])
def test_detached_on_this_machine(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch, detached: bool
) -> None:
    stay: Callable[..., bool] = lambda *_, **__: detached  # noqa: E731 (it has a type)
    monkeypatch.setattr(attachment_life, "stay_on_vhci", stay)
    monkeypatch.setattr(attachment_life, "list_ports", list)

    async def scenario() -> None:
        kept = Kept(wanting(server, to="vhci"))
        ended = await kept.hears(News.ENDED)
        assert ended.fields == {"detached": detached}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "match",
    [Match(busids=("1-*",)), Match(serials=("*",))],
    ids=["known from the list", "imported to see"],
)
def test_a_device_that_finds_no_port(
    server: EmulatedServer, monkeypatch: pytest.MonkeyPatch, match: Match
) -> None:
    """It is lost, for a reason, however it was found."""

    def all_taken(*_: object) -> None:
        raise GadgetipError("all ports are taken")

    monkeypatch.setattr(attachment_life, "list_ports", list)
    monkeypatch.setattr(vhci_sink, "require_vhci", lambda: None)
    monkeypatch.setattr(vhci_sink, "attach_stream", all_taken)
    server.plug(make_device("keyboard"))
    lines: list[str] = []

    async def scenario() -> None:
        configured = replace(wanting(server, to="vhci"), wanted=MatchSelector((match,)))
        record = Record(configured, lambda _: None, lambda _, text: lines.append(text), lambda: 0.0)
        record.happen(Event.LAUNCH)
        kept = Kept(configured)
        while record.state is not State.BACKING_OFF:
            record.hear(await kept.next())
        assert record.reason == "all ports are taken"
        assert not [line for line in lines if "bug" in line]
        await kept.stops()

    asyncio.run(scenario())
