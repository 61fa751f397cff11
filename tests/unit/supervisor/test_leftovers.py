"""What removes what a killed process left: a real process; what it removes is told, not done."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector
from gadgetip.supervisor import leftovers
from gadgetip.supervisor.config import ConfiguredAttachment, Settings
from gadgetip.supervisor.daemon import launch_cleaner

if TYPE_CHECKING:
    from gadgetip.supervisor.messages import Message

STICK = ConfiguredAttachment("stick", HostAddress("nas"), MatchSelector((Match(ids=("1:2",)),)))
LIMIT_S = 20.0


def cleaned(udc: str | None, *, told_to_end: bool = False) -> tuple[str, list[str], list[str]]:
    """How it ended, what it could not do, and what it printed."""
    messages: list[Message] = []
    lines: list[str] = []
    end: list[str] = []

    async def scenario() -> None:
        process = launch_cleaner(
            STICK,
            udc,
            Settings(),
            on_message=messages.append,
            on_line=lines.append,
            on_end=end.append,
        )
        if told_to_end:
            process.stop()
        async with asyncio.timeout(LIMIT_S):
            await process.ended.wait()

    asyncio.run(scenario())
    return end[0], [message.text("reason") for message in messages], lines


@pytest.fixture
def remove(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[object], None]], None]:
    def does(what: Callable[[object], None]) -> None:
        monkeypatch.setattr(leftovers, "remove_leftovers", what)
        monkeypatch.setattr(leftovers, "detach_leftovers", what)

    return does


def test_it_removes_what_there_is(remove: Callable[[Callable[[object], None]], None]) -> None:
    def slowly(what: object) -> None:
        time.sleep(0.2)
        print(what, flush=True)

    remove(slowly)
    assert cleaned("u1", told_to_end=True) == ("", [], ["u1"])
    assert cleaned(None) == ("", [], [str(STICK)])


@pytest.mark.parametrize("error", [GadgetipError("u1 is taken"), OSError(16, "u1 is busy")])
def test_what_it_cannot_do(
    remove: Callable[[Callable[[object], None]], None], error: Exception
) -> None:
    def fail(_: object) -> None:
        raise error

    remove(fail)
    assert cleaned("u1") == ("", [str(error)], [])


def test_it_does_not_wait_for_ever(
    remove: Callable[[Callable[[object], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "CLEAN_LIMIT_S", 1)
    remove(lambda _: time.sleep(60))
    assert cleaned("u1")[0] == "killed by SIGALRM"
