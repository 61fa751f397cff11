"""The worker where something fails that nothing else catches, and the order in which it works."""

import asyncio
import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gadgetip.attachment import worker as worker_module
from gadgetip.attachment.channel import Channel, Word, channel
from gadgetip.attachment.worker import Worker
from gadgetip.errors import GadgetipError
from gadgetip.gadget import HostEvent
from gadgetip.pump import EndpointStatistics
from gadgetip.usb import SetupPacket

ASKED = SetupPacket.get_descriptor(3, 2, 0x0409, 255)


class Device:
    """Stands for the state of the device: notes what it is told, in order."""

    def __init__(self, answer: bytes | Exception = b"\x04\x03A\0") -> None:
        self.told: list[object] = []
        self.answer = answer
        self.configuration = 0

    async def request(self, setup: SetupPacket, data: bytes) -> bytes:
        self.told.append(("request", setup.bRequest))
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def configure(self, value: int) -> None:
        self.told.append(("configure", value))
        await asyncio.sleep(0.01)
        self.configuration = value

    async def settings_chosen(self) -> None:
        self.told.append("settings chosen")

    async def disabled(self) -> None:
        self.told.append("disabled")
        self.configuration = 0

    async def deconfigured(self) -> None:
        self.told.append("deconfigured")


class Controller:
    """Stands for what sysfs says."""

    reset_seen = False

    def look(self) -> None:
        """Nothing to see."""

    def note_reset(self) -> None:
        self.reset_seen = True


def make_worker(keeper: Channel, device: Device | None = None) -> Worker:
    nothing = cast("Any", None)
    worker = Worker(nothing, nothing, nothing, keeper)
    worker._loop = asyncio.get_running_loop()
    worker._device = cast("Any", device or Device())
    worker._controller = cast("Any", Controller())
    return worker


def test_a_callback_that_fails_ends_the_worker() -> None:
    keeper, end = channel()

    async def fail() -> None:
        worker = make_worker(end)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(worker._callback_failed)
        loop.call_soon({"there": 0}.__getitem__, "missing")
        await asyncio.wait_for(worker._ended.wait(), 5)

    asyncio.run(fail())
    message = keeper.receive()
    assert message is not None
    assert message.word is Word.ENDED
    assert "KeyError('missing')" in message.text


def test_a_thread_that_fails_ends_the_worker() -> None:
    keeper, end = channel()

    async def fail() -> None:
        worker = make_worker(end)
        failure = threading.ExceptHookArgs((ValueError, ValueError("no event"), None, None))
        worker._thread_failed(failure)
        await asyncio.wait_for(worker._ended.wait(), 5)

    asyncio.run(fail())
    message = keeper.receive()
    assert message is not None
    assert "no event" in message.text


async def serve(worker: Worker, *asks: SetupPacket) -> list[bytes]:
    """Ask as the threads of endpoint 0 do."""
    following = worker._spawn(worker._follow())
    following.add_done_callback(worker._following_ended)
    try:
        return [await asyncio.to_thread(worker.request, ask, b"") for ask in asks]
    finally:
        following.cancel()


async def follow_for(worker: Worker, seconds: float) -> None:
    """Follow the host for a while."""
    following = worker._spawn(worker._follow())
    await asyncio.sleep(seconds)
    following.cancel()


def test_a_request_is_answered() -> None:
    _, end = channel()

    async def ask() -> None:
        device = Device()
        assert await serve(make_worker(end, device), ASKED) == [b"\x04\x03A\0"]
        assert device.told == [("request", 6)]

    asyncio.run(ask())


def test_a_request_that_the_device_refuses_is_the_callers_error_and_not_the_end() -> None:
    _, end = channel()

    async def ask() -> None:
        worker = make_worker(end, Device(GadgetipError("stall")))
        with pytest.raises(GadgetipError, match="stall"):
            await serve(worker, ASKED)
        assert not worker._ended.is_set()

    asyncio.run(ask())


def test_a_bug_while_a_request_is_served_stalls_it_and_ends_the_worker() -> None:
    keeper, end = channel()

    async def ask() -> None:
        worker = make_worker(end, Device(ZeroDivisionError("bug")))
        with pytest.raises(GadgetipError, match="the worker failed"):
            await serve(worker, ASKED)
        await asyncio.wait_for(worker._ended.wait(), 5)

    asyncio.run(ask())
    message = keeper.receive()
    assert message is not None
    assert "ZeroDivisionError('bug')" in message.text


def test_a_request_under_way_at_the_end_is_stalled() -> None:
    _, end = channel()

    class Silent(Device):
        async def request(self, setup: SetupPacket, data: bytes) -> bytes:
            await asyncio.sleep(60)
            return b""

    async def leave() -> None:
        worker = make_worker(end, Silent())
        following = worker._spawn(worker._follow())
        asked = asyncio.ensure_future(asyncio.to_thread(worker.request, ASKED, b""))
        await asyncio.sleep(0.05)
        following.cancel()
        with pytest.raises(GadgetipError):
            await asked

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("meanwhile", "is_over"),
    [
        ([], False),
        ([(HostEvent.SUSPEND, 1), (HostEvent.RESUME, 1)], False),
        ([(HostEvent.DISABLE, 2)], False),  # another configuration's, which came late
        ([(HostEvent.DISABLE, 1)], True),
        ([(HostEvent.DISCONNECT, 0)], True),
        ([(HostEvent.ENABLE, 1)], True),  # the kernel drops a DISABLE for the ENABLE behind it
        ([(HostEvent.DISABLE, 1), (HostEvent.ENABLE, 2)], True),
    ],
)
def test_a_configuration_that_the_host_ends_while_it_is_brought_about(
    meanwhile: list[tuple[HostEvent, int]], is_over: bool
) -> None:
    """Its endpoints are a later configuration's: what the host sends there must not be taken."""
    _, end = channel()
    seen: list[bool] = []
    workers: list[Worker] = []

    class Slow(Device):
        async def configure(self, value: int) -> None:
            if not seen:
                for each in meanwhile:
                    await asyncio.to_thread(workers[0].event, *each)
                seen.append(workers[0]._upcoming.have_ended(value))
            self.configuration = value

    async def follow() -> None:
        worker = make_worker(end, Slow())
        workers.append(worker)
        worker.event(HostEvent.ENABLE, 1)
        await follow_for(worker, 0.05)
        assert not worker._upcoming.have_ended(1), "all of it has been carried out"
        assert not worker._upcoming.have_ended(2)

    asyncio.run(follow())
    assert seen == [is_over]


@pytest.mark.parametrize("event", [HostEvent.DISABLE, HostEvent.DISCONNECT])
def test_a_disconnect_is_a_reset_whatever_the_controller_says_by_then(event: HostEvent) -> None:
    _, end = channel()

    async def hear() -> bool:
        worker = make_worker(end)
        worker.event(event, 0)
        return worker._controller.reset_seen

    assert asyncio.run(hear()) == (event is HostEvent.DISCONNECT)


def test_events_and_requests_are_followed_in_their_order() -> None:
    _, end = channel()
    device = Device()

    async def follow() -> None:
        worker = make_worker(end, device)
        worker.event(HostEvent.ENABLE, 1)
        worker.event(HostEvent.DISABLE, 1)
        await serve(worker, ASKED)
        worker.event(HostEvent.ENABLE, 2)
        worker.event(HostEvent.ENABLE, 2)
        worker.event(HostEvent.DISABLE, 1)  # another configuration's, which came late
        await serve(worker, ASKED)

    asyncio.run(follow())
    assert device.told == [
        ("configure", 1),
        "disabled",
        ("request", 6),
        ("configure", 2),
        "settings chosen",
        ("request", 6),
    ]


@pytest.mark.parametrize("reset", [False, True])
def test_a_replica_that_stays_disabled_was_deconfigured_unless_it_was_reset(
    reset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gadgetip.attachment.worker.DECONFIGURED_AFTER_S", 0.01)
    _, end = channel()
    device = Device()

    async def follow() -> None:
        worker = make_worker(end, device)
        worker._controller.look()
        monkeypatch.setattr(Controller, "reset_seen", reset)
        worker.event(HostEvent.DISABLE, 1)
        await follow_for(worker, 0.3)

    asyncio.run(follow())
    assert ("deconfigured" in device.told) is not reset


def test_a_replica_that_is_enabled_again_at_once_was_not_deconfigured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gadgetip.attachment.worker.DECONFIGURED_AFTER_S", 0.02)
    _, end = channel()
    device = Device()

    async def follow() -> None:
        worker = make_worker(end, device)
        worker.event(HostEvent.DISABLE, 1)
        worker.event(HostEvent.ENABLE, 1)
        await follow_for(worker, 0.1)

    asyncio.run(follow())
    assert device.told == ["disabled", ("configure", 1)]


def test_a_deconfiguration_waits_for_what_the_host_did_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The device is told by the same queue: never in the middle of something else."""
    monkeypatch.setattr("gadgetip.attachment.worker.DECONFIGURED_AFTER_S", 0.01)
    _, end = channel()

    class Slow(Device):
        async def request(self, setup: SetupPacket, data: bytes) -> bytes:
            await asyncio.sleep(0.1)
            return await super().request(setup, data)

    device = Slow()

    async def follow() -> None:
        worker = make_worker(end, device)
        worker.event(HostEvent.DISABLE, 1)
        following = worker._spawn(worker._follow())
        await asyncio.to_thread(worker.request, ASKED, b"")
        await asyncio.sleep(0.02)
        following.cancel()

    asyncio.run(follow())
    assert device.told == ["disabled", ("request", 6), "deconfigured"]


@pytest.mark.parametrize("reset", [False, True])
def test_an_enable_behind_a_reset_whose_disable_was_dropped_configures_anew(
    reset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, end = channel()
    device = Device()

    async def follow() -> None:
        worker = make_worker(end, device)
        worker.event(HostEvent.ENABLE, 1)
        await follow_for(worker, 0.05)
        monkeypatch.setattr(Controller, "reset_seen", reset)
        worker.event(HostEvent.ENABLE, 1)
        await follow_for(worker, 0.05)

    asyncio.run(follow())
    assert device.told == [("configure", 1), ("configure", 1) if reset else "settings chosen"]


def test_a_lost_request_is_said() -> None:
    keeper, end = channel()

    async def lose() -> None:
        worker = make_worker(end)
        await asyncio.to_thread(worker.lost, SetupPacket(0x21, 0x20, 0, 0, 7))
        await asyncio.sleep(0)

    asyncio.run(lose())
    message = keeper.receive()
    assert message is not None
    assert message.word is Word.NOTICE
    assert "was lost, though the host was told that it succeeded" in message.text


def test_a_request_after_the_end_is_refused() -> None:
    _, end = channel()

    async def leave() -> Worker:
        return make_worker(end)

    worker = asyncio.run(leave())
    with pytest.raises(GadgetipError, match="ending"):
        worker.request(SetupPacket.set_configuration(1), b"")
    worker.event(HostEvent.DISABLE, 1)  # nobody is there any more, which is no error


class Pump:
    """Stands for one that has run for long."""

    def __init__(self, references: int) -> None:
        self.references = references
        self.statistics = {0x81: EndpointStatistics(moved=1)}
        self.finished: list[float] = []

    async def finish(self, limit_s: float) -> int:
        self.finished.append(limit_s)
        return 0


@pytest.mark.parametrize(
    ("references", "linked", "ends"),
    [(2**31, True, True), (2**31 - 1, True, False), (2**31, False, False)],
)
def test_a_worker_makes_way_before_the_kernel_loses_count(
    references: int, linked: bool, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, and not while the host waits for a lost link."""
    monkeypatch.setattr(worker_module, "TRAFFIC_S", 0.01)
    keeper, end = channel()
    pump = Pump(references)
    ours, theirs = socket.socketpair()

    async def run() -> None:
        worker = make_worker(end)
        worker._pump = cast("Any", pump)
        worker._urbs = cast("Any", SimpleNamespace(stream=ours))
        if linked:
            worker._linked.set()
        else:
            worker._linked.clear()
        worker._report_traffic()
        await asyncio.sleep(0.05)
        assert worker._ended.is_set() is ends

    with ours, theirs:
        asyncio.run(run())
    assert len(pump.finished) == int(ends)
    traffic = keeper.receive()
    assert traffic is not None
    assert traffic.word is Word.TRAFFIC
    if ends:
        message = keeper.receive()
        assert message is not None
        assert message.word is Word.ENDED
        assert "plugged in anew" in message.text
        assert not message.text.startswith("the worker ")  # which would count as a crash
