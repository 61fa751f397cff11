"""What the supervisor starts and stops, with processes that do as they are told."""

import asyncio
import errno
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector
from gadgetip.supervisor.config import Config, ConfiguredAttachment, Settings
from gadgetip.supervisor.control_requests import ControlRequests
from gadgetip.supervisor.controllers import Controller
from gadgetip.supervisor.messages import Message, News, Value, decode, encode
from gadgetip.supervisor.reloading import Changes
from gadgetip.supervisor.states import State
from gadgetip.supervisor.supervised import Process
from gadgetip.supervisor.supervisor import Supervisor
from gadgetip.supervisor.wishes import Wishes

A = ConfiguredAttachment(
    "a", HostAddress("nas"), MatchSelector((Match(ids=("1:2",)),)), udc="u1", to="gadget"
)
B = replace(A, name="b", udc="auto")
V = replace(A, name="v", udc="auto", to="vhci")
SETTINGS = Settings(retry_min_s=0.01, retry_max_s=0.05, hooks="")


class Scripted:
    """A process of one attachment; the test speaks for it."""

    pid = 4711

    def __init__(
        self,
        name: str,
        udc: str | None,
        on_message: Callable[[Message], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.name = name
        self.udc = udc
        self.on_message = on_message
        self.on_end = on_end
        self.stopping = False
        self.stubborn = False
        self.woken = 0
        self.ended = asyncio.Event()

    def wake(self) -> None:
        self.woken += 1

    def stop(self) -> None:
        if not self.stopping and not self.stubborn:
            asyncio.get_running_loop().call_soon(self.end)
        self.stopping = True

    def end(self, how: str = "") -> None:
        self.ended.set()
        self.on_end(how)

    def say(self, news: News, **fields: Value) -> None:
        self.on_message(decode(encode(news, **fields)))


class World:
    """A supervisor, its processes, its controllers and its log."""

    def __init__(self, directory: Path, *attachments: ConfiguredAttachment) -> None:
        self.controllers = [Controller("u1")]
        self.processes: list[Scripted] = []
        self.cleaners: list[Scripted] = []
        self.lines: list[str] = []
        self.wishes = Wishes(directory / "stopped.json")
        self.config = Config(SETTINGS, attachments)
        self.supervisor = Supervisor(
            self.config,
            self.wishes,
            launch=self.launch,
            launch_cleaner=self.launch_cleaner,
            controllers=lambda _: self.controllers,
            log=lambda name, text: self.lines.append(f"{name}: {text}"),
        )

    def launch(
        self,
        configured: ConfiguredAttachment,
        udc: str | None,
        settings: Settings,
        *,
        on_message: Callable[[Message], None],
        on_line: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> Process:
        process = Scripted(configured.name, udc, on_message, on_end)
        self.processes.append(process)
        return process

    def launch_cleaner(
        self,
        configured: ConfiguredAttachment,
        udc: str | None,
        settings: Settings,
        *,
        on_message: Callable[[Message], None],
        on_line: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> Process:
        process = Scripted(str(configured.wanted), udc, on_message, on_end)
        process.stopping = True
        self.cleaners.append(process)
        return process

    def running(self) -> dict[str, str | None]:
        return {each.name: each.udc for each in self.processes if not each.ended.is_set()}

    def last(self, name: str) -> Scripted:
        return [each for each in self.processes if each.name == name][-1]

    def state(self, name: str) -> State:
        return self.supervisor.choose([name])[0].record.state

    def reason(self, name: str) -> str:
        return self.supervisor.choose([name])[0].record.reason

    async def launched(self, name: str, times: int) -> None:
        await until(lambda: self.count(name) == times)

    def count(self, name: str) -> int:
        return sum(each.name == name for each in self.processes)


Scenario = Callable[[World], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    def played(scenario: Scenario, *attachments: ConfiguredAttachment) -> None:
        async def run() -> None:
            await scenario(World(tmp_path, *attachments))

        asyncio.run(run())

    return played


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def bind(process: Scripted) -> None:
    process.say(News.IMPORTED, busid="1-1", id="1:2", device="x")
    process.say(News.BOUND, backend="functionfs", profile="generic", speed="high-speed")


def test_the_first_listed_has_the_controller(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        assert world.running() == {"a": "u1", "v": None}
        assert world.state("b") is State.WAITING_FOR_CONTROLLER
        assert world.reason("b") == "a has u1"
        world.controllers.append(Controller("u2"))
        world.supervisor.controllers_changed()
        assert world.running() == {"a": "u1", "v": None, "b": "u2"}
        assert world.count("a") == 1

    play(scenario, A, B, V)


def test_a_named_profile_may_name_the_controller(play: Callable[..., None], tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    text = 'schema = "profile/1"\nname = "own"\n[gadget]\nudc = "{}"\n'
    file.write_text(text.format("u2"))

    async def scenario(world: World) -> None:
        assert world.running() == {}
        assert world.reason("b") == "this machine has no controller u2"
        world.controllers.append(Controller("u2"))
        world.supervisor.controllers_changed()
        assert world.running() == {"b": "u2"}
        file.write_text(text.format("u1"))
        world.supervisor.settle()
        assert world.running() == {"b": "u2"}, "nobody has said that it is to be read again"
        await world.supervisor.restart(["b"])
        await until(lambda: world.running() == {"b": "u1"})

    play(scenario, replace(B, profile=str(file)))


def test_an_earlier_one_takes_it_back(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        assert world.running() == {"b": "u1"}
        bind(world.last("b"))
        await world.supervisor.start(["a"])
        assert world.last("b").stopping
        assert "a" not in world.running(), "before the controller is free"
        assert (world.state("b"), world.reason("b")) == (
            State.WAITING_FOR_CONTROLLER,
            "a has u1",
        )
        await until(lambda: world.running() == {"a": "u1"})
        await world.supervisor.stop(["a"])
        await until(lambda: world.running() == {"b": "u1"})

    play(scenario, replace(A, enabled=False), B)


def test_a_controller_that_goes_and_comes(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        bind(world.last("a"))
        world.controllers.clear()
        world.supervisor.controllers_changed()
        await until(lambda: world.running() == {})
        assert world.reason("a") == "this machine has no controller u1"
        world.controllers.append(Controller("u1", "gadget g1"))
        world.supervisor.controllers_changed()
        assert world.reason("a") == "u1 is in use by gadget g1: remove that"
        # That it is free is not relied on being announced: it is looked at.
        world.controllers[:] = [Controller("u1")]
        await until(lambda: world.running() == {"a": "u1"})

    play(scenario, A)


def test_stop_waits_and_is_kept(play: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.supervisor.stop(["a"])
        assert world.running() == {}
        assert world.state("a") is State.STOPPED
        world.supervisor.controllers_changed()
        assert world.running() == {}
        kept = Wishes(tmp_path / "stopped.json")
        kept.load()
        assert not kept.runs("a", enabled=True)
        await world.supervisor.start(["a"])
        assert world.running() == {"a": "u1"}

    play(scenario, A)


def test_restart_is_another_process(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        first = world.last("v")
        await world.supervisor.restart(["v"])
        assert first.ended.is_set()
        await until(lambda: world.count("v") == 2)
        assert world.running() == {"v": None}
        await world.supervisor.stop(["v"])
        await world.supervisor.restart(["v"])
        assert world.running() == {"v": None}

    play(scenario, V)


def test_crashes_and_the_fifth_in_a_minute(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        for number in range(4):
            world.last("v").end("killed by SIGSEGV")
            assert world.state("v") is State.BACKING_OFF
            assert world.reason("v") == "its process ended: killed by SIGSEGV"
            await world.launched("v", number + 2)
        world.last("v").end()
        assert world.state("v") is State.PARKED
        assert "its process ended without a word" in world.reason("v")
        world.supervisor.controllers_changed()
        await asyncio.sleep(0.1)
        assert world.count("v") == 5
        await world.supervisor.start(["v"])
        assert world.running() == {"v": None}
        world.last("v").end("exit status 1")
        assert world.state("v") is State.BACKING_OFF, "it counts from nothing again"

    play(scenario, V)


def test_a_worker_that_crashes_counts(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        process = world.last("a")
        for _ in range(5):
            bind(process)
            process.say(News.LOST, reason="the worker died: killed by SIGKILL", crashed=True)
            if not process.stopping:
                process.say(News.PAUSED, pause_s=0.5)
        assert process.stopping
        await until(lambda: world.running() == {})
        assert world.state("a") is State.PARKED
        [shown] = [each.as_json() for each in world.supervisor.choose(["a"])]
        assert (shown["losses"], shown["restarts"], shown["pid"]) == (5, 5, None)

    play(scenario, A)


def test_what_is_refused_is_told_of_changes(play: Callable[..., None]) -> None:
    """A process that waits for another device than that which was refused lives on."""

    async def scenario(world: World) -> None:
        a, v = world.last("a"), world.last("v")
        a.say(News.REFUSED, reason="no iso")
        world.supervisor.settle()
        assert (world.state("a"), world.reason("a")) == (State.REFUSED, "no iso")
        assert not world.last("a").stopping
        # What it refused it may not refuse with another controller, or another profile's text.
        world.supervisor.controllers_changed()
        assert a.stopping
        await world.launched("a", 2)
        assert world.state("a") is State.REFUSED
        world.last("a").say(News.REFUSED, reason="no iso")
        world.supervisor.reconfigure(world.config)
        await world.launched("a", 3)
        assert not v.stopping, "nothing is the matter with that one"

    play(scenario, A, V)


def test_what_this_machine_lacks_is_tried_again_quietly(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        for number in range(3):
            world.last("v").say(News.REFUSED, reason="no vhci")
            world.last("v").end()
            await world.launched("v", number + 2)
            assert world.state("v") is State.REFUSED
        assert world.lines.count("v: refused: no vhci") == 1
        world.last("v").say(News.WAITING, awaited="device", reason="none", pause_s=0.5)
        assert world.state("v") is State.WAITING_FOR_DEVICE

    play(scenario, V)


def test_what_was_detached_by_hand_stays_off(play: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.last("v").say(News.ENDED, detached=True)
        world.last("v").end()
        await asyncio.sleep(0.1)
        assert world.count("v") == 1
        assert world.state("v") is State.STOPPED
        assert "by hand" in world.reason("v")
        kept = Wishes(tmp_path / "stopped.json")
        kept.load()
        assert not kept.runs("v", enabled=True)

    play(scenario, V)


def test_a_process_that_somebody_ended_comes_back(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        world.last("v").say(News.ENDED, detached=False)
        world.last("v").end()
        await until(lambda: world.count("v") == 2)

    play(scenario, V)


def test_a_reload_touches_only_what_changed(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        v, w, x = world.last("v"), world.last("w"), world.last("x")
        changed = world.supervisor.reconfigure(
            Config(SETTINGS, (replace(V, name="y"), replace(V, name="w", hold_s=1.0), V))
        )
        assert changed == Changes(("y",), ("x",), ("w",))
        assert (v.stopping, w.stopping, x.stopping) == (False, True, True)
        await until(lambda: world.count("w") == 2)
        assert world.running() == {"v": None, "w": None, "y": None}
        assert world.last("v") is v
        with pytest.raises(GadgetipError, match="no attachment is called 'x'"):
            world.supervisor.choose(["x"])

    play(scenario, V, replace(V, name="w"), replace(V, name="x"))


def test_a_reload_with_other_pauses(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        long = Settings(retry_min_s=600, retry_max_s=900, hooks="")
        world.supervisor.reconfigure(Config(long, (V,)))
        process = world.last("v")
        assert not process.stopping
        process.end("killed by SIGSEGV")
        [supervised] = world.supervisor.choose(["v"])
        assert supervised.retry is not None
        assert supervised.retry.when() - asyncio.get_running_loop().time() > 500
        supervised.cancel_retry()

    play(scenario, V)


def test_one_that_is_removed_and_added_again(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        old = world.last("v")
        old.stubborn = True
        world.supervisor.reconfigure(Config(SETTINGS))
        world.supervisor.reconfigure(Config(SETTINGS, (V,)))
        assert world.count("v") == 1, "not two of them at once"
        old.end()
        assert world.count("v") == 2

    play(scenario, V)


def test_news_of_one_that_ends_is_none(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        world.last("a").stop()
        world.last("a").say(News.LOST, reason="x", crashed=True)
        assert world.state("a") is State.WAITING_FOR_SERVER

    play(scenario, A)


def test_everybody_is_woken(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        world.supervisor.wake()
        assert [each.woken for each in world.processes] == [1, 1]

    play(scenario, A, V)


def test_a_gadget_that_is_bound_or_unbound_wakes_nobody(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        world.last("a").say(News.REFUSED, reason="no iso")
        world.supervisor.settle()  # what an announcement of a change leads to
        assert [each.woken for each in world.processes] == [0, 0]
        assert not world.last("a").stopping

    play(scenario, A, V)


def test_the_end(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await world.supervisor.end()
        assert world.running() == {}
        assert {world.state("a"), world.state("v")} == {State.STOPPED}

    play(scenario, A, V)


def test_an_end_that_takes_too_long(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gadgetip.supervisor.supervisor.END_LIMIT_S", 0.05)

    async def scenario(world: World) -> None:
        world.last("v").stubborn = True
        with pytest.raises(GadgetipError, match="v: not ended after"):
            await world.supervisor.stop(["v"])

    play(scenario, V)


def test_stop_says_what_had_to_be_killed(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        world.last("a").stubborn = True
        stop = asyncio.create_task(world.supervisor.stop(["a"]))
        await until(lambda: world.last("a").stopping)
        world.last("a").end("killed by SIGKILL")
        [cleaner] = world.cleaners
        assert cleaner.udc == "u1"
        await asyncio.sleep(0.05)
        assert not stop.done()
        assert "b" not in world.running(), "before the controller is free"
        cleaner.end()
        disorder = "it did not end in order (killed by SIGKILL); what it left was removed"
        with pytest.raises(GadgetipError, match=f"^{re.escape(f'a: {disorder}')}$"):
            await stop
        assert (world.state("a"), world.reason("a")) == (State.STOPPED, disorder)
        assert f"a: stopped: {disorder}" in world.lines
        assert world.running() == {"b": "u1"}
        await world.supervisor.stop(["b"])
        await world.supervisor.start(["a"])
        await world.supervisor.stop(["a"])
        assert world.reason("a") == "", "how it ended before is past"

    play(scenario, A, B)


def test_what_cannot_be_removed_is_said(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        world.last("v").stubborn = True
        stop = asyncio.create_task(world.supervisor.stop(["v"]))
        await until(lambda: world.last("v").stopping)
        world.last("v").end("exit status 1")
        world.cleaners[0].say(News.REFUSED, reason="port 3 does not go")
        world.cleaners[0].end()
        with pytest.raises(GadgetipError, match=r"could not all be removed: port 3 does not go$"):
            await stop

        def refuse(*_: object, **__: object) -> NoReturn:
            raise OSError(errno.EAGAIN, "no more processes")

        await world.supervisor.start(["v"])
        monkeypatch.setattr(world.supervisor, "_launch_cleaner", refuse)
        world.last("v").stubborn = True
        stop = asyncio.create_task(world.supervisor.stop(["v"]))
        await until(lambda: world.last("v").stopping)
        world.last("v").end("killed by SIGKILL")
        with pytest.raises(GadgetipError, match="no process could be made: no more processes"):
            await stop
        assert world.running() == {}

    play(scenario, V)


def test_what_is_removed_is_what_was_launched(play: Callable[..., None]) -> None:
    """Not what the configuration says meanwhile."""

    async def scenario(world: World) -> None:
        world.last("v").stubborn = True
        other = replace(V, wanted=MatchSelector((Match(ids=("3:4",)),)))
        world.supervisor.reconfigure(Config(SETTINGS, (other,)))
        world.last("v").end("killed by SIGKILL")
        assert world.count("v") == 1, "before all is removed"
        world.cleaners[0].end()
        assert world.cleaners[0].name == str(V.wanted)
        assert world.count("v") == 2
        world.last("v").stubborn = True
        world.supervisor.reconfigure(Config(SETTINGS))
        world.last("v").end("killed by SIGKILL")
        end = asyncio.create_task(world.supervisor.end())
        await asyncio.sleep(0.05)
        assert not end.done()
        world.cleaners[1].end()
        await end

    play(scenario, V)


def test_requests(play: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        def reload() -> Changes:
            raise GadgetipError("broken")

        requests = ControlRequests(world.supervisor, lambda: {"pid": 1}, reload)
        world.last("v").say(News.NOTICE, text="hello")
        answer = await requests.handle({"command": "status"})
        assert answer["supervisor"] == {"pid": 1}
        assert isinstance(answer["attachments"], list)
        assert [each["name"] for each in answer["attachments"]] == ["v"]
        logged = await requests.handle({"command": "log", "name": "v", "lines": 1})
        assert isinstance(logged["lines"], list)
        assert [line["text"] for line in logged["lines"]] == ["hello"]
        assert logged["newest"] == logged["lines"][0]["number"]
        assert logged["supervisor"] == {"pid": 1}
        none = await requests.handle({"command": "log", "name": "v", "lines": 0})
        assert none == {**logged, "lines": []}
        assert abs(logged["lines"][0]["at"] - time.time()) < 60
        assert await requests.handle({"command": "stop", "names": ["v"]}) == {"names": ["v"]}
        for request, problem in (
            ({"command": "reload"}, "broken"),
            ({"command": "stopp"}, "knows no command"),
            ({"command": "stop", "names": "v"}, "names is a list"),
            ({"command": "stop", "names": ["w"]}, "no attachment is called 'w': known are v"),
            ({"command": "log"}, "name is a text"),
            ({"command": "log", "name": "v", "lines": True}, "lines is a number"),
            ({"command": "log", "name": "v", "after": -1}, "after is a number"),
        ):
            with pytest.raises(GadgetipError, match=problem):
                await requests.handle(request)

    play(scenario, V)
