"""The standard path: devices on this machine's own vhci ports, beside the stock tools."""

import ctypes
import io
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest

from gadgetip.attachment import Imported, attach_to_vhci
from gadgetip.cli.main import cli
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.vhci import PortStatus, detach_port, list_ports, remembered_on
from tests.emulated import EmulatedServer, make_device
from tests.system import host
from tests.system.attachment import GADGETIP, gadgetip, wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.test_endings import destroy_client_socket, silence
from tests.system.waiting import wait_for

Found = TypeVar("Found")

EVENT_LIMIT_S = 120.0
MANY = 18
"""More than one controller has high-speed ports (15 in Debian's kernel)."""


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def here(*arguments: str) -> str:
    """What a command prints, run in this process: a process of its own takes seconds to start."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        cli.main(list(arguments), standalone_mode=False)
    return printed.getvalue()


def used() -> list[int]:
    return [port.number for port in list_ports() if not port.is_free]


def wait_until_used(number: int) -> str:
    """Wait until the device on a port is configured; gives its local bus id.

    One that is unplugged while its configuration is set keeps the kernel's hub thread for 30 s.
    """

    def busid() -> str | None:
        port = next(p for p in list_ports() if p.number == number)
        if port.status is not PortStatus.USED:
            return None
        value = Path("/sys/bus/usb/devices", port.local_busid, "bConfigurationValue")
        with suppress(OSError):
            return port.local_busid if value.read_text().strip() else None
        return None

    return wait_for(busid, f"a device on port {number}")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    for number in used():
        detach_port(number)


class Foreground:
    """One `gadgetip attach --json` that stays, and its events."""

    def __init__(self, *arguments: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as we do)
        self._process = subprocess.Popen(
            [*GADGETIP, "--json", "attach", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Foreground":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=10)
        if kind is not None:
            self._log.seek(0)
            print(f"gadgetip said on standard error:\n{self._log.read()}", file=sys.stderr)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def event(self, name: str, limit_s: float = EVENT_LIMIT_S) -> dict[str, Any]:
        """The next event of this name; others are passed over, but not a later chapter."""
        deadline = time.monotonic() + limit_s
        passed: list[dict[str, Any]] = []
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {name} in {limit_s:.0f} s, but {passed}") from None
            if event["event"] == name:
                return event
            passed.append(event)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        os.kill(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        return self._process.wait(timeout=60)


def test_both_tools_name_what_either_attached(stick: Stick) -> None:
    wait_until_exported(stick.busid)
    number = json.loads(here("--json", "attach", "127.0.0.1", stick.busid, "--to", "vhci"))["port"]
    local = wait_until_used(number)
    assert f"{local} -> usbip://127.0.0.1:3240/{stick.busid}" in run("usbip", "port")
    [row] = json.loads(here("ports", "--json"))
    assert row["port"] == number
    assert row["remote"] == {"host": "127.0.0.1", "port": "3240", "busid": stick.busid}
    assert (row["local_busid"], row["id"], row["state"]) == (local, stick.id, "in use")
    assert (row["controller"], row["speed"]) == ("vhci_hcd.0", "480 Mbit/s")
    assert f"detached: {stick.busid} of 127.0.0.1 on port {number}" in here("detach", stick.busid)
    assert used() == []
    assert not Path(f"/run/gadgetip/vhci/port{number}.json").exists()
    assert not Path(f"/var/run/vhci_hcd/port{number}").exists()

    wait_until_exported(stick.busid)
    run("usbip", "attach", "-r", "localhost", "-b", stick.busid)
    [taken] = used()
    wait_until_used(taken)
    shown = here("ports")
    assert f"localhost {stick.busid}" in shown
    assert f"{stick.id} SanDisk Ultra" in shown
    done = gadgetip("detach", "-p", f"{taken:02}", limit_s=180)
    assert done.returncode == 0, done.stderr
    assert used() == []
    assert here("detach", str(taken)) == f"nothing is attached to port {taken}\n"


def test_waited_for_kept_and_ended_from_elsewhere(server: StockServer) -> None:
    with (
        Stick("dummy_udc.2", serial="KEPT", product_id=0x5582) as stick,
        Foreground("127.0.0.1", stick.id, "--to", "vhci", "--wait", "--keep") as kept,
    ):
        assert f"no device on 127.0.0.1 matches {stick.id}" in kept.event("waiting")["reason"]
        with server.exporting(stick.busid):
            bound = time.monotonic()
            number = kept.event("attached")["port"]
            print(f"attached {time.monotonic() - bound:.1f} s after it was bound")
            wait_until_used(number)

            cut = time.monotonic()
            destroy_client_socket()
            assert kept.event("lost")["reason"] == "link lost"
            lost_s = time.monotonic() - cut
            number = kept.event("attached")["port"]
            again_s = time.monotonic() - cut
            print(f"lost {lost_s:.1f} s after the cut, attached again after {again_s:.1f} s")
            wait_until_used(number)

            with silence():
                silent = time.monotonic()
                wait_for(lambda: not used(), "a free port: the kernel noticed", 20)
                print(f"the port was free {time.monotonic() - silent:.1f} s after the silence")
                assert time.monotonic() - silent < 15
            # The end of silence cuts the server's connections, once and for all.
            assert kept.event("lost")["reason"] == "link lost"
            number = kept.event("attached")["port"]
            wait_until_used(number)

            stick.unplug()
            assert kept.event("lost")["reason"] == "unplugged"
            assert "waiting" in kept.event("waiting")["event"]
        stick.plug()
        with server.exporting(stick.busid):
            number = kept.event("attached")["port"]
            wait_until_used(number)
            # Otherwise it would come back.
            assert "kept by process" in here("detach", str(number))
            assert kept.wait() == 0
            assert used() == []


def test_the_stock_detach_is_not_fought_against(stick: Stick) -> None:
    wait_until_exported(stick.busid)
    with Foreground("127.0.0.1", stick.busid, "--to", "vhci", "--keep") as kept:
        number = kept.event("attached")["port"]
        wait_until_used(number)
        run("usbip", "detach", "-p", str(number))
        kept.event("stopped")
        assert kept.wait() == 0
        assert used() == []


def test_a_gadget_is_awaited_kept_and_detached_by_its_controller(server: StockServer) -> None:
    with (
        Stick("dummy_udc.2", serial="KEPT2", product_id=0x5583) as stick,
        Foreground("127.0.0.1", stick.id, "--udc", "dummy_udc.3", "--wait", "--keep") as kept,
    ):
        kept.event("waiting")
        with server.exporting(stick.busid):
            kept.event("bound")
            host.wait_for_disk("dummy_udc.3")
            destroy_client_socket()
            assert kept.event("lost")["reason"] == "link lost"
            kept.event("bound")
            host.wait_for_disk("dummy_udc.3")
            assert "on dummy_udc.3, kept by process" in here("detach", "dummy_udc.3")
            assert kept.wait() == 0
            host.wait_for_unplug("dummy_udc.3")


def test_more_devices_than_a_controller_has_ports() -> None:
    """Attached by two at a time, which race for the same ports."""
    devices = [make_device("winusb") for _ in range(MANY)]
    with EmulatedServer(*devices) as server:
        attached: dict[str, Imported] = {}
        failures: list[BaseException] = []

        def attach(busids: list[str]) -> None:
            try:
                for busid in busids:
                    selector = DeviceSelector.parse(busid)
                    attached[busid] = attach_to_vhci(server.address, selector)
            except BaseException as error:
                failures.append(error)

        busids = list(server.devices)
        threads = [threading.Thread(target=attach, args=(busids[n::2],)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert failures == []
        numbers = {each.port.number for each in attached.values()}
        assert len(numbers) == MANY
        assert len({each.port.controller for each in attached.values()}) >= 2
        for each in attached.values():
            wait_until_used(each.port.number)
        origins = {
            known.busid
            for port in list_ports()
            if (known := remembered_on(port)) is not None and known.devid == port.devid
        }
        assert origins == set(busids)
        assert "vhci_hcd.1" in here("ports")
        assert len(here("detach", "--all").splitlines()) == MANY
        assert used() == []


# --- a session that outlives its client ------------------------------------------------------


CLONE_NEWNET = 0x40000000


@contextmanager
def client_machine() -> Iterator[None]:
    """A machine of its own, by its network: 10.77.0.2, or fd77::2, which see this one as ...1."""
    run("ip", "netns", "add", "client")
    try:
        run("ip", "link", "add", "cable", "type", "veth", "peer", "cable-c", "netns", "client")
        for address, other in (("10.77.0.1/24", "10.77.0.2/24"), ("fd77::1/64", "fd77::2/64")):
            nodad = ("nodad",) if ":" in address else ()
            run("ip", "addr", "add", address, "dev", "cable", *nodad)
            run("ip", "-n", "client", "addr", "add", other, "dev", "cable-c", *nodad)
        run("ip", "link", "set", "cable", "up")
        run("ip", "-n", "client", "link", "set", "cable-c", "up")
        yield
    finally:
        run("ip", "link", "del", "cable", check=False)
        run("ip", "netns", "del", "client")


def in_client(function: Callable[[], Found]) -> Found:
    """Call a function on the network of the client machine; sockets stay where they were made."""

    def enter_and_call() -> Found:
        namespace = os.open("/run/netns/client", os.O_RDONLY)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(namespace, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(namespace)
        return function()

    with ThreadPoolExecutor(1) as thread:  # a network namespace is a thread's own
        return thread.submit(enter_and_call).result(60)


@pytest.mark.parametrize("host_text", ["10.77.0.1", "[fd77::1]"])
def test_a_session_that_outlived_its_client_is_ended(stick: Stick, host_text: str) -> None:
    """A client loses power while its device is idle: the server holds the device for ever."""
    run("modprobe", "veth")
    wait_until_exported(stick.busid)
    status = Path(f"/sys/bus/usb/devices/{stick.busid}/usbip_status")
    address = HostAddress.parse(host_text)
    with client_machine():
        by_busid = DeviceSelector.parse(stick.busid)
        number = in_client(lambda: attach_to_vhci(address, by_busid)).port.number
        wait_until_used(number)
        time.sleep(3)  # the disk has been looked at: nothing is under way
        run("ip", "link", "set", "cable", "down")
        detach_port(number)
    time.sleep(2)
    assert status.read_text().strip() == "2"
    with client_machine():
        # Also by its id, though the server does not list what is in use.
        selector = DeviceSelector.parse(stick.id) if address.host == "fd77::1" else by_busid
        began = time.monotonic()
        number = in_client(lambda: attach_to_vhci(address, selector)).port.number
        print(f"{selector} of {address} attached again in {time.monotonic() - began:.2f} s")
        wait_until_used(number)
        detach_port(number)
        wait_until_exported(stick.busid)
