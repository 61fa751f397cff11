"""Every way to end: the host sees an unplug, nothing hangs, nothing is left, it starts again."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system import host
from tests.system.attachment import Attachment, leftovers, wait_until_exported
from tests.system.server import PORT
from tests.system.stick import Stick

UDC = "dummy_udc.1"
LINK_LOSS_LIMIT_S = 15.0
KILLS = int(os.environ.get("GADGETIP_KILLS", "3"))


@contextmanager
def reading(disk: Path) -> Iterator[None]:
    """A transfer under way: the whole disk is read again and again until the reader fails."""
    under_way = threading.Event()
    failures: list[OSError] = []

    def read() -> None:
        try:
            descriptor = os.open(disk, os.O_RDONLY)
            try:
                moved = True
                while moved:  # a disk that was pulled out may read as empty instead of failing
                    moved = False
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    while os.read(descriptor, 1 << 20):
                        moved = True
                        under_way.set()
            finally:
                os.close(descriptor)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    if not under_way.wait(30):
        log = "\n".join(host.kernel_log()[-40:])
        state = failures or ("reading" if thread.is_alive() else "the disk read as empty")
        raise AssertionError(f"nothing was read from {disk} in 30 s: {state}; kernel log:\n{log}")
    yield
    thread.join(30)
    assert not thread.is_alive(), "the reader hangs"


@contextmanager
def idle(disk: Path) -> Iterator[None]:
    """Nothing under way."""
    yield


def destroy_client_socket() -> None:
    """RST from our side of the connection (SOCK_DESTROY)."""
    subprocess.run(["ss", "-K", "dport", "=", str(PORT)], check=True, capture_output=True)


def destroy_server_socket() -> None:
    """RST from the server's side."""
    subprocess.run(["ss", "-K", "sport", "=", str(PORT)], check=True, capture_output=True)


@contextmanager
def silence() -> Iterator[None]:
    """Every packet on the loopback interface is lost."""
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "100%"], check=True)
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
        # The stock server has no time limit of its own: an idle session would stay for hours.
        destroy_server_socket()


@pytest.fixture
def attachment(stick: Stick) -> Iterator[Attachment]:
    """A fresh attachment; the stick is back at the server before and after."""
    wait_until_exported(stick.busid)
    with Attachment("127.0.0.1", stick.busid, udc=UDC) as attached:
        yield attached
    host.wait_for_unplug(UDC)
    assert leftovers(UDC) == []
    host.wait_until_nothing_hangs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_user_stops_it(attachment: Attachment, number: signal.Signals) -> None:
    host.wait_for_disk(UDC)
    attachment.signal(number)
    assert attachment.wait() == 0


@pytest.mark.parametrize("state", [idle, reading])
@pytest.mark.parametrize("cut", [destroy_client_socket, destroy_server_socket])
def test_the_connection_is_reset(attachment: Attachment, cut: object, state: object) -> None:
    assert callable(cut)
    assert callable(state)
    disk = host.wait_for_disk(UDC)
    with state(disk):
        began = time.monotonic()
        cut()
        assert attachment.wait(LINK_LOSS_LIMIT_S) == 4
        host.wait_for_unplug(UDC, LINK_LOSS_LIMIT_S - (time.monotonic() - began))
    assert "connection" in attachment.errors
    end = "on this machine" if cut is destroy_client_socket else "the server reset"
    assert end in attachment.errors
    assert len(attachment.errors.splitlines()) == 1


@pytest.mark.parametrize("state", [idle, reading])
def test_the_network_goes_silent(attachment: Attachment, state: object) -> None:
    assert callable(state)
    disk = host.wait_for_disk(UDC)
    with state(disk):
        with silence():
            began = time.monotonic()
            assert attachment.wait(LINK_LOSS_LIMIT_S) == 4
            host.wait_for_unplug(UDC, LINK_LOSS_LIMIT_S - (time.monotonic() - began))
        assert "does not answer any more" in attachment.errors


def test_the_device_is_unplugged_at_the_server(attachment: Attachment, stick: Stick) -> None:
    disk = host.wait_for_disk(UDC)
    try:
        with reading(disk):
            stick.unplug()
            assert attachment.wait() == 3
        assert "unplugged" in attachment.errors
    finally:
        stick.plug()
        subprocess.run(["usbip", "bind", "-b", stick.busid], check=False, capture_output=True)


def test_the_worker_dies(attachment: Attachment) -> None:
    host.wait_for_disk(UDC)
    os.kill(attachment.worker(), signal.SIGKILL)
    assert attachment.wait() == 1
    assert "SIGKILL" in attachment.errors


def test_the_controller_is_taken_away(attachment: Attachment) -> None:
    host.wait_for_disk(UDC)
    Path(f"/sys/kernel/config/usb_gadget/gadgetip.{UDC}/UDC").write_text("\n")
    assert attachment.wait() == 1
    assert "taken away" in attachment.errors


@pytest.mark.parametrize("only_the_keeper", [False, True])
def test_killed_in_the_middle_of_a_transfer(
    stick: Stick,
    only_the_keeper: bool,
) -> None:
    """kill -9 leaves debris; the host sees an unplug; the next attach removes it and works."""
    for _ in range(KILLS):
        wait_until_exported(stick.busid)
        with Attachment("127.0.0.1", stick.busid, udc=UDC) as attached:
            with reading(host.wait_for_disk(UDC)):
                if only_the_keeper:
                    attached.signal(signal.SIGKILL)
                    attached.wait()
                else:
                    attached.kill_everything()
                host.wait_for_unplug(UDC)
            host.wait_until_nothing_hangs()
    assert leftovers(UDC) != []
    foreign = Path("/sys/kernel/config/usb_gadget/somebody-elses")
    foreign.mkdir()
    try:
        wait_until_exported(stick.busid)
        with Attachment("127.0.0.1", stick.busid, udc=UDC) as attached:
            host.wait_for_disk(UDC)
            assert foreign.is_dir()
    finally:
        foreign.rmdir()
    assert leftovers(UDC) == []
