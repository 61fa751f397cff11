"""Hotplug events: what actions mean, and the iteration's ends; real events are the bench's."""

import asyncio
import errno
from types import SimpleNamespace

import pytest

from gadgetip.server.hotplug import (
    DeviceAppeared,
    DeviceVanished,
    Hotplug,
    Resynchronise,
    hotplug_event,
)


def test_actions() -> None:
    assert hotplug_event("add", None, "1-1") == DeviceAppeared("1-1")
    assert hotplug_event("bind", "usb", "1-1") == DeviceAppeared("1-1")
    assert hotplug_event("remove", None, "1-1") == DeviceVanished("1-1")
    for action, driver in (
        ("bind", "usbip-host"),
        ("unbind", "usb"),
        ("change", None),
        (None, None),
    ):
        assert hotplug_event(action, driver, "1-1") is None


@pytest.fixture
def hotplug() -> Hotplug:
    return Hotplug()


def test_closing_ends_the_iteration(hotplug: Hotplug) -> None:
    async def follow() -> list[object]:
        return [event async for event in hotplug]

    async def close() -> None:
        task = asyncio.create_task(follow())
        await asyncio.sleep(0.01)
        assert not task.done()
        hotplug.close()
        hotplug.close()
        assert await asyncio.wait_for(task, 5) == []

    asyncio.run(close())


def test_a_wait_may_be_cancelled(hotplug: Hotplug) -> None:
    async def cancel() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(hotplug), 0.01)
        assert not asyncio.get_running_loop().remove_reader(hotplug.fileno())

    with hotplug:
        asyncio.run(cancel())


def test_lost_events(hotplug: Hotplug, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which libudev gives them; the overflow itself is made on the bench."""
    told = [
        SimpleNamespace(action="add", properties={}, sys_name="1-1"),
        OSError(errno.ENOBUFS, "No buffer space available"),
        SimpleNamespace(action="remove", properties={}, sys_name="1-2"),
        SimpleNamespace(action="remove", properties={}, sys_name="1-2"),
        None,
    ]

    def poll(timeout: int) -> object:
        assert timeout == 0
        event = told.pop(0)
        if isinstance(event, OSError):
            raise event
        return event

    monkeypatch.setattr(hotplug, "_monitor", SimpleNamespace(poll=poll))

    async def take() -> list[object]:
        return [await anext(hotplug) for _ in range(2)]

    assert asyncio.run(take()) == [Resynchronise(), DeviceVanished("1-2")]
