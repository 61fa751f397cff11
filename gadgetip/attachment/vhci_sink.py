"""Attach to this machine's own USB stack: import, hand the stream to vhci_hcd.

The kernel carries the traffic from then on, and needs none of our processes. Whoever wants the
device back after a loss stays (`stay_on_vhci`), and whoever wants the native pump in between has
to: the kernel then gets one end of a pair of sockets, and a process of ours has the stream
(`relay_process`).

**How a loss is noticed.** vhci_hcd tells nobody: neither a uevent of its own nor a file that can be
waited for. But the socket is the kernel's and ours at once, as long as we keep our copy open, and a
poll that asks for no events (no data, no room: those are the kernel's business) still wakes up when
the connection is over, whoever ended it. Then, and every half second for safety, the port is looked
at. The stream's keepalive and TCP_USER_TIMEOUT (`link`) were set before the hand-over, so a server
that is silent is noticed as well.

**Detached on purpose.** The stock `usbip detach` removes its record of the port (`vhci.remembered`)
before it detaches. A record that is gone while the port was ours means that a person wants the
device off, and it is not attached again.

**A port is a number.** As soon as the kernel has let go, somebody else's device may be on it. A
port is detached only while it shows what was put there (`vhci.still_shows`).
"""

import asyncio
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gadgetip.attachment.counting import connection_figures
from gadgetip.attachment.listener import Imported
from gadgetip.attachment.relay_process import RelayProcess
from gadgetip.attachment.searching import Search, search_once
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.traffic import Traffic
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress, connection_info
from gadgetip.matching import Wanted
from gadgetip.pump import VhciPump, require_vhci_pump
from gadgetip.pump.relay import relay_settings
from gadgetip.remote import (
    DeviceBusyError,
    FoundDevice,
    forget_import,
    is_still_exported,
    remember_import,
)
from gadgetip.vhci import (
    FREE_LIMIT_S,
    PortStatus,
    Remembered,
    VhciPort,
    attach_stream,
    detach_port,
    forget,
    held_by_a_driver,
    is_recorded,
    list_ports,
    port_now,
    remember,
    remembered_on,
    require_vhci,
    still_shows,
)

LOOK_S = 0.5
TRAFFIC_S = 1.0
SETTLE_S = 0.05


def attach_to_vhci(
    address: HostAddress, selector: Wanted, search: Search = search_once
) -> Imported:
    """Import a device and give its stream to the kernel; returns when the kernel has it.

    Raises `PrerequisiteError`, `GadgetipError` (all ports taken), and what the search raises.
    """
    require_vhci()
    found = _find(address, selector, search)
    try:
        return _hand_over(address, selector, found, found.imported.stream)
    finally:
        # The kernel holds its own reference by now, or the device goes back to the server.
        found.imported.close()


def stay_on_vhci(
    address: HostAddress,
    selector: Wanted,
    search: Search,
    on_attached: Callable[[Imported], None],
    on_traffic: Callable[[Traffic], None] = lambda _: None,
    on_found: Callable[[FoundDevice], None] = lambda _: None,
    *,
    pump: VhciPump = VhciPump.KERNEL,
    on_notice: Callable[[str], None] = lambda _: None,
) -> bool:
    """Attach, and stay until it ends.

    Returns False when the user stopped it (SIGINT, SIGTERM, SIGHUP), and then the device is
    detached; True when somebody else detached it on this machine. `on_found` is told of the device
    before the kernel gets it, `on_traffic` once a second what the connection has carried,
    `on_notice` what the native pump has to say. Raises `DeviceUnpluggedError`, `LinkLostError`,
    `GadgetipError` if a driver does not let go of a device that is lost or the pump fails,
    `PrerequisiteError` without the pump that is asked for, and what `attach_to_vhci` raises.
    """
    require_vhci_pump(pump)
    for each in STOP_SIGNALS:
        signal.signal(each, signal.default_int_handler)
    require_vhci()
    found = _find(address, selector, search)
    stream, busid = found.imported.stream, found.imported.record.busid
    there: Imported | None = None
    carrier: _Kernel | RelayProcess = _Kernel(stream)
    try:
        on_found(found)
        with _undisturbed():
            if pump is VhciPump.NATIVE:
                carrier = RelayProcess(stream, relay_settings(found.tree), on_notice)
            there = _hand_over(address, selector, found, carrier.kernel_end)
            if pump is VhciPump.NATIVE:
                carrier.kernel_end.close()
        recorded = is_recorded(there.port.number, there.remembered)
        on_attached(there)
        _wait_for_loss(carrier, there, on_traffic)
        if recorded and not is_recorded(there.port.number, there.remembered):
            return True
    except KeyboardInterrupt:
        with _undisturbed():
            if there is not None:
                forget_import(stream, busid)
                if _still_there(there) is not None:
                    detach_port(there.port.number)
        return False
    finally:
        with _undisturbed():
            if there is not None:
                forget(there.port.number, there.remembered)
            carrier.close()
            found.imported.close()
    if carrier.failure is not None:
        raise carrier.failure
    raise asyncio.run(is_still_exported(address, busid))


def _find(address: HostAddress, selector: Wanted, search: Search) -> FoundDevice:
    """As the search; a device that is in use here is no matter of another client."""
    try:
        return search(address, selector)
    except DeviceBusyError as busy:
        for port in list_ports():
            known = remembered_on(port)
            if (
                known is not None
                and known.server == str(address)
                and known.busid == selector.exact_busid
            ):
                raise DeviceBusyError(
                    f"{selector} of {address} is attached to this machine already, on vhci port "
                    f"{port.number}"
                ) from busy
        raise


def _hand_over(
    address: HostAddress, selector: Wanted, found: FoundDevice, kernel_end: socket.socket
) -> Imported:
    record = found.imported.record
    remember_import(found.imported.stream, record, address, selector)
    port = attach_stream(kernel_end, record.devid, found.tree.speed)
    remembered = Remembered(
        address.host,
        str(address.port),
        record.busid,
        devid=record.devid,
        started=time.time(),
        selector=str(selector),
    )
    remember(port.number, remembered)
    return Imported(found, port, remembered)


class _Kernel:
    """The kernel carries the stream by itself."""

    failure: GadgetipError | None = None

    def __init__(self, stream: socket.socket) -> None:
        self.kernel_end = stream
        self._poller = select.poll()
        self._poller.register(stream, 0)

    def is_over(self, limit_s: float) -> bool:
        """Wait so long for the end of the connection."""
        return bool(self._poller.poll(limit_s * 1000))

    def traffic(self) -> Traffic:
        """What the connection has carried, with USB/IP's own headers: the kernel counts no more."""
        info = connection_info(self.kernel_end)
        if info is None:
            return Traffic()
        return Traffic(info.bytes_received, info.bytes_sent, **connection_figures(self.kernel_end))

    def close(self) -> None:
        """The stream is the import's, which is closed by itself."""


def _wait_for_loss(
    carrier: _Kernel | RelayProcess, there: Imported, on_traffic: Callable[[Traffic], None]
) -> None:
    """Wait until the kernel has let go of the device; it has `FREE_LIMIT_S` for that.

    Raises `GadgetipError` when it has not, so long after the connection was over.
    """
    deadline: float | None = None
    told = 0.0
    while True:
        over = carrier.is_over(LOOK_S)
        if not over and time.monotonic() - told >= TRAFFIC_S:
            told = time.monotonic()
            on_traffic(carrier.traffic())
        now = _still_there(there)
        if now is None:
            return
        if now.status is PortStatus.ERROR:  # it stays so until it is detached
            detach_port(now.number)
            return
        if over:
            deadline = deadline or time.monotonic() + FREE_LIMIT_S
            if time.monotonic() >= deadline:
                raise held_by_a_driver(now.number, FREE_LIMIT_S)
            time.sleep(SETTLE_S)  # the kernel is taking the device off


def _still_there(there: Imported) -> VhciPort | None:
    """The port as it is now; None if our device is not on it any more."""
    now = port_now(there.port)
    if now is None or not still_shows(now, there.remembered.devid, there.remembered):
        return None
    return now


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put signals off: a device that is half attached would stay."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
