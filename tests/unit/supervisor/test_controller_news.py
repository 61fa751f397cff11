"""What the kernel announces of controllers, and who is told; netlink itself is scripted."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import pyudev

from gadgetip.supervisor.controller_news import Announced, ControllerNews
from gadgetip.supervisor.daemon import Daemon


class Monitor:
    """Announces these actions, one after the other; None is a socket that has overflowed."""

    def __init__(self, actions: tuple[str | None, ...]) -> None:
        self._actions = list(actions)

    def filter_by(self, subsystem: str) -> None:
        assert subsystem == "udc"

    def start(self) -> None:
        pass

    def poll(self, timeout: float) -> SimpleNamespace | None:
        assert timeout == 0
        if not self._actions:
            return None
        action = self._actions.pop(0)
        if action is None:
            raise OSError("overflow")
        return SimpleNamespace(action=action)


def news_of(monkeypatch: pytest.MonkeyPatch, *actions: str | None) -> ControllerNews:
    monkeypatch.setattr(pyudev, "Context", object)
    monkeypatch.setattr(pyudev.Monitor, "from_netlink", lambda *_: Monitor(actions))
    return ControllerNews()


@pytest.mark.parametrize(
    ("actions", "announced"),
    [
        ((), Announced.NOTHING),
        (("change", "change"), Announced.GADGETS),
        (("change", "add", "change"), Announced.CONTROLLERS),
        (("remove",), Announced.CONTROLLERS),
        (("change", None), Announced.CONTROLLERS),
    ],
)
def test_what_is_announced(
    monkeypatch: pytest.MonkeyPatch, actions: tuple[str | None, ...], announced: Announced
) -> None:
    assert news_of(monkeypatch, *actions).receive() is announced


@pytest.mark.parametrize(
    ("actions", "done"),
    [
        ((), []),
        # Also our own after each loss: nobody may be woken by it, or there are no pauses.
        (("change",), ["settle"]),
        (("change", "add"), ["controllers_changed"]),
    ],
)
def test_who_is_told(
    monkeypatch: pytest.MonkeyPatch,
    actions: tuple[str | None, ...],
    done: list[str],
) -> None:
    told: list[str] = []
    supervisor = SimpleNamespace(
        settle=lambda: told.append("settle"),
        controllers_changed=lambda: told.append("controllers_changed"),
    )
    daemon = Daemon.__new__(Daemon)
    daemon._supervisor = cast("Any", supervisor)
    daemon._controllers_spoke(news_of(monkeypatch, *actions))
    assert told == done
