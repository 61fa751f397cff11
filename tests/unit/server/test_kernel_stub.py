"""What we make of the files of usbip-host; what the kernel makes of ours, tests/system shows."""

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import UsageError
from gadgetip.server import background, kernel_stub, usbip_host
from gadgetip.server.background import within_limit
from gadgetip.server.kernel_stub import KernelSession, KernelStub
from gadgetip.server.stub import DeviceFaultError, DeviceInUseError
from tests.unit.server.scripted import device


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device 1-1 in use, number 2, as files; gives its directory."""
    monkeypatch.setattr(usbip_host, "_BUS", tmp_path)
    monkeypatch.setattr(kernel_stub, "POLL_S", 0.01)
    directory = tmp_path / "devices" / "1-1"
    directory.mkdir(parents=True)
    (directory / "devnum").write_text("2\n")
    (directory / "usbip_status").write_text("2\n")
    (directory / "usbip_sockfd").write_text("")
    driver = tmp_path / "drivers" / "usbip-host"
    driver.mkdir(parents=True)
    (directory / "driver").symlink_to(driver)
    return directory


@given(st.text(max_size=40))
def test_what_is_no_bus_id_never_becomes_a_path(text: str) -> None:
    try:
        assert usbip_host.status(text) is None or "-" in text
    except UsageError:
        pass
    else:
        assert set(text) <= set("0123456789-.")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("usbip_status", "1", "the client is gone"),
        ("usbip_status", "3", "the stub is in its error state"),
        ("usbip_status", None, "the device was taken from usbip-host"),
        ("devnum", "7", "unplugged"),
        ("devnum", None, "unplugged"),
    ],
)
def test_how_a_session_ends(sysfs: Path, file: str, content: str | None, reason: str) -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(KernelSession(device()).wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        if content is None:
            (sysfs / file).unlink()
        else:
            (sysfs / file).write_text(content)
        async with asyncio.timeout(5):
            assert await waiting == reason

    asyncio.run(scenario())


def test_a_device_in_the_middle_of_a_reset_is_not_unplugged(sysfs: Path) -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(KernelSession(device()).wait())
        (sysfs / "devnum").write_text("0\n")
        await asyncio.sleep(0.05)
        assert not waiting.done()
        (sysfs / "devnum").write_text("2\n")
        (sysfs / "usbip_status").write_text("1\n")
        async with asyncio.timeout(5):
            assert await waiting == "the client is gone"

    asyncio.run(scenario())


async def read_until(path: Path, text: str) -> None:
    """Wait for what another thread writes."""
    async with asyncio.timeout(5):
        while path.read_text() != text:
            await asyncio.sleep(0.01)


def test_ended_by_us(sysfs: Path) -> None:
    async def scenario() -> None:
        session = KernelSession(device())
        session.end()
        await read_until(sysfs / "usbip_sockfd", "-1")
        (sysfs / "usbip_status").write_text("1\n")
        assert await session.wait() == "ended here"
        (sysfs / "usbip_sockfd").write_text("")
        session.end()  # there is none any more
        await asyncio.sleep(0.05)
        assert (sysfs / "usbip_sockfd").read_text() == ""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "error"),
    [("2", DeviceInUseError), ("3", DeviceFaultError), (None, DeviceFaultError)],
)
def test_a_hand_over_that_the_kernel_refuses(
    sysfs: Path, status: str | None, error: type[Exception]
) -> None:
    (sysfs / "usbip_sockfd").unlink()
    (sysfs / "usbip_sockfd").mkdir()  # cannot be written, as the kernel's EINVAL
    if status is None:
        (sysfs / "usbip_status").unlink()
    else:
        (sysfs / "usbip_status").write_text(status)
    with pytest.raises(error, match="1-1"):
        usbip_host.hand_over("1-1", 5)


def test_giving_back_what_is_unplugged_is_no_error(sysfs: Path) -> None:
    usbip_host.give_back("1-2")


def test_a_call_that_hangs_has_a_limit_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usbip_host, "why_unavailable", lambda: None)
    monkeypatch.setattr(usbip_host, "devnum", lambda busid: 2)
    release = threading.Event()
    calls: list[str] = []

    def hang(busid: str) -> None:
        calls.append(busid)
        release.wait(10)

    monkeypatch.setattr(usbip_host, "take", hang)
    monkeypatch.setattr(
        kernel_stub, "within_limit", lambda call, what: background.within_limit(call, what, 0.1)
    )

    async def scenario() -> None:
        stub = KernelStub()
        with pytest.raises(DeviceFaultError, match="1-1 hangs in the kernel"):
            await stub.take(device())
        with pytest.raises(DeviceFaultError, match="still busy with 1-1"):
            await stub.take(device())
        release.set()
        async with asyncio.timeout(5):
            while "1-1" in stub._busy:
                await asyncio.sleep(0.01)
        await stub.take(device())
        assert calls == ["1-1", "1-1"]

    asyncio.run(scenario())


def test_the_loop_ends_although_a_call_hangs() -> None:
    async def scenario() -> None:
        with pytest.raises(DeviceFaultError):
            await within_limit(lambda: time.sleep(30), "something", 0.05)

    began = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - began < 5


def test_what_a_call_raises_is_raised() -> None:
    def fail() -> None:
        raise DeviceFaultError("it is broken")

    with pytest.raises(DeviceFaultError, match="it is broken"):
        asyncio.run(within_limit(fail, "something"))


def test_another_device_in_the_port_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was plugged in before the call, or in the middle of it."""
    devnums, calls = [7, 2, 7], []
    monkeypatch.setattr(usbip_host, "why_unavailable", lambda: None)
    monkeypatch.setattr(usbip_host, "devnum", lambda busid: devnums.pop(0))
    monkeypatch.setattr(usbip_host, "take", lambda busid: calls.append("take"))
    monkeypatch.setattr(usbip_host, "give_back", lambda busid: calls.append("give back"))

    async def scenario() -> None:
        stub = KernelStub()
        with pytest.raises(DeviceFaultError, match="1-1 was unplugged"):
            await stub.take(device())
        assert calls == []
        with pytest.raises(DeviceFaultError, match="1-1 was unplugged"):
            await stub.take(device())
        assert calls == ["take", "give back"]

    asyncio.run(scenario())


def test_a_hand_over_that_hangs_holds_up_nobody(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it comes about after all, nobody has that session: it is stopped."""
    monkeypatch.setattr(usbip_host, "why_unavailable", lambda: None)
    monkeypatch.setattr(
        kernel_stub, "within_limit", lambda call, what: background.within_limit(call, what, 0.1)
    )
    release, calls = threading.Event(), []

    def hang(busid: str, fd: int) -> None:
        release.wait(10)
        calls.append("hand over")

    monkeypatch.setattr(usbip_host, "hand_over", hang)
    monkeypatch.setattr(usbip_host, "stop", lambda busid: calls.append("stop"))

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            began = time.monotonic()
            with pytest.raises(DeviceFaultError, match="hangs"):
                await KernelStub().start(device(), ours, b"reply", 20.0)
            assert time.monotonic() - began < 5
            release.set()
            async with asyncio.timeout(5):
                while calls != ["hand over", "stop"]:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


@pytest.mark.parametrize("gone", [True, False])
def test_only_a_client_that_does_not_read_is_stopped(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """One that is gone, the kernel sees itself."""
    monkeypatch.setattr(usbip_host, "why_unavailable", lambda: None)
    calls: list[int] = []
    monkeypatch.setattr(usbip_host, "hand_over", lambda busid, fd: None)
    monkeypatch.setattr(usbip_host, "stop", lambda busid: calls.append(threading.get_ident()))
    monkeypatch.setattr(kernel_stub, "notice_death", lambda stream, limit_s: None)

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        if gone:
            theirs.close()
        else:
            with contextlib.suppress(BlockingIOError):
                while ours.send(bytes(65536)):
                    pass
        await KernelStub().start(device(), ours, b"reply", 20.0)
        await asyncio.sleep(0.1)
        assert len(calls) == (not gone)
        assert threading.get_ident() not in calls
        theirs.close()

    asyncio.run(scenario())
