"""Records what the kernel's own USB/IP says to itself, as test vectors for `gadgetip.wire`.

`make captures` runs this in a machine of the bench and leaves `tests/captures/*.json`: stock
`usbip` and vhci-hcd on one side, stock `usbipd` with usbip-host or usbip-vudc on the other, and
between them a proxy that notes every byte, its direction and the order. None of our own code takes
part in what is recorded. `tests/unit/wire/replay.py` describes the format.

The kernel says in its own time when a transfer ends, so no two recordings are alike; a new one is
worth making for a new kernel or new tools, and a failure to replay it is a bug of `gadgetip.wire`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.machine.devices import DEVICES
from tests.system import usbfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Found = TypeVar("Found")

HOST = "127.0.0.1"
SERVER_PORT = 3240
CLIENT_PORT = 3241
LIMIT = 30.0  # seconds for whatever is waited for
QUIET = 1.0  # seconds without a byte: the drivers have done what a new device makes them do

USB = Path("/sys/bus/usb")
VHCI = Path("/sys/devices/platform/vhci_hcd.0")
EMULATED = {device.name: device.vendor_product for device in DEVICES}
STICK, KEYBOARD = EMULATED["stick"], EMULATED["keyboard"]
AUDIO = "46f4:0002"  # QEMU's usb-audio, which `make captures` adds to the machine
GADGET_ZERO = "0525:a4a0"


def main() -> None:
    """Record every conversation there is."""
    for module in ("usbip-host", "vhci-hcd"):
        run("modprobe", module)
    run("udevadm", "control", "--stop-exec-queue")  # it would read, and we record, much of a disk
    stick, keyboard, audio = map(local, (STICK, KEYBOARD, AUDIO))
    with Proxy() as proxy:
        with served():
            lists_and_refusals(proxy, stick, keyboard)
            mass_storage(proxy, stick)
            unlinked(proxy, keyboard)
            isochronous(proxy, audio)
        with served("--device"):
            device_side(proxy)


# ------------------------------------------------------------------------------------ what is said


def lists_and_refusals(proxy: Proxy, stick: str, keyboard: str) -> None:
    """The operation phase only."""
    usbip("list", "-r", HOST)
    proxy.save("devlist-empty", "usbip list: nothing is exported")
    with exported(stick), exported(keyboard):
        usbip("list", "-r", HOST)
        proxy.save("devlist-two", "usbip list: two devices that were never imported")
        usbip("attach", "-r", HOST, "-b", "99-9", check=False)
        proxy.save("import-unknown", "usbip attach refused: no such device")
        with attached(proxy, keyboard, KEYBOARD) as (_, first):
            first.wait_until_quiet()
            usbip("attach", "-r", HOST, "-b", keyboard, check=False)
            proxy.save("import-busy", "usbip attach refused: the device is taken")
        first.wait_until_closed()
        status = USB / "devices" / keyboard / "usbip_status"
        wait_for(lambda: status.read_text() == "1\n" or None)
        usbip("list", "-r", HOST)
        proxy.save("devlist-interfaces", "usbip list: of two devices one was imported before")


def mass_storage(proxy: Proxy, busid: str) -> None:
    """What SCSI does to a new disk, one read and one write."""
    with exported(busid), attached(proxy, busid, STICK) as (device, conversation):
        disk = wait_for(lambda: next(device.glob("*:1.0/host*/target*/*:0/block/*"), None))
        node = f"/dev/{disk.name}"
        conversation.wait_until_quiet()
        run("dd", f"if={node}", "of=/dev/null", "bs=16k", "count=1", "iflag=direct")
        written = Path("/run/written")
        written.write_bytes(bytes(range(256)) * 16)
        run("dd", f"if={written}", f"of={node}", "bs=4k", "seek=3", "oflag=direct")
        conversation.wait_until_quiet()
    save_attachment(conversation, "mass-storage", "a SuperSpeed stick: a read and a write")


def unlinked(proxy: Proxy, busid: str) -> None:
    """URBs taken back: at leisure by a driver, then in a hurry, so that answers cross."""
    with exported(busid), attached(proxy, busid, KEYBOARD) as (device, conversation):
        conversation.wait_until_quiet()
        unbind_drivers(device)
        conversation.wait_until_quiet()
        with UsbFile(device) as file:
            for hurry in (0.0, 0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05):
                urb = Urb(URB_CONTROL, 0, bytes.fromhex("80 06 00 01 00 00 12 00") + bytes(18))
                file.submit(urb)
                time.sleep(hurry)
                file.discard(urb)
                file.reap()
            file.claim(0)
            several = [Urb(URB_INTERRUPT, 0x81, bytes(8)) for _ in range(4)]
            for urb in several:
                file.submit(urb)
            for urb in reversed(several):
                file.discard(urb)
                file.reap()
        conversation.wait_until_quiet()
    save_attachment(conversation, "unlink", "a keyboard: interrupt and control URBs unlinked")


def isochronous(proxy: Proxy, busid: str) -> None:
    """Samples for a loudspeaker, in packets of different sizes; the last URBs are unlinked."""
    with exported(busid), attached(proxy, busid, AUDIO) as (device, conversation):
        conversation.wait_until_quiet()
        unbind_drivers(device)
        with UsbFile(device) as file:
            file.claim(1)
            file.set_interface(1, 1)
            packets = [192, 188, 192, 0, 192, 184, 192, 48]
            urbs = [Urb(URB_ISO, 0x01, samples(sum(packets)), packets) for _ in range(6)]
            for urb in urbs:
                file.submit(urb)
            for _ in urbs[:4]:
                file.reap()
            for urb in urbs[4:]:
                file.discard(urb)
            for _ in urbs[4:]:
                file.reap()
            file.set_interface(1, 0)
        conversation.wait_until_quiet()
    save_attachment(conversation, "isochronous-out", "a loudspeaker: isochronous URBs")


def device_side(proxy: Proxy) -> None:
    """The other server of the kernel, usbip-vudc, which answers for a gadget."""
    run("modprobe", "usbip-vudc")
    busid = "usbip-vudc.0"
    bind_gadget_zero(busid)
    usbip("list", "-r", HOST)
    proxy.save("vudc-devlist", "usbip list: usbipd --device serves a gadget")
    with attached(proxy, busid, GADGET_ZERO, "-d") as (device, conversation):
        conversation.wait_until_quiet()
        unbind_drivers(device)
        with UsbFile(device) as file:
            file.claim(0)
            bulk_in, bulk_out = endpoints(device, "Bulk")
            file.submit(Urb(URB_BULK, bulk_out, bytes(200)))
            file.reap()
            file.submit(Urb(URB_BULK, bulk_in, bytes(512)))
            file.reap()
            file.set_interface(0, 1)
            iso_in, iso_out = endpoints(device, "Isoc")
            # usbip-vudc never answers again after more packets than full ones would have been.
            file.submit(Urb(URB_ISO, iso_in, bytes(3 * 1024), [1024] * 3))
            file.reap()
            file.submit(Urb(URB_ISO, iso_out, samples(2 * 1024 + 64), [1024, 1024, 64]))
            file.reap()
        conversation.wait_until_quiet()
    save_attachment(conversation, "vudc", "Gadget Zero behind usbip-vudc: bulk and isochronous")


def bind_gadget_zero(controller: str) -> None:
    """The gadget that the kernel tests itself with: all kinds of endpoints."""
    run("modprobe", "usb_f_ss_lb")
    gadget = Path("/sys/kernel/config/usb_gadget/zero")
    function = gadget / "functions/SourceSink.0"
    configuration = gadget / "configs/c.1"
    function.mkdir(parents=True)
    configuration.mkdir(parents=True)
    vendor, product = GADGET_ZERO.split(":")
    (gadget / "idVendor").write_text(f"0x{vendor}")
    (gadget / "idProduct").write_text(f"0x{product}")
    (configuration / "SourceSink.0").symlink_to(function)
    (gadget / "UDC").write_text(controller)


def samples(size: int) -> bytes:
    """Sound, more or less."""
    return bytes(number & 0xFF for number in range(size))


def endpoints(device: Path, kind: str) -> tuple[int, int]:
    """The IN and the OUT endpoint of a kind in the present alternate setting."""
    found = {}
    for endpoint in device.glob("*:1.0/ep_*"):
        if (endpoint / "type").read_text().strip() == kind:
            address = int((endpoint / "bEndpointAddress").read_text(), 16)
            found[bool(address & 0x80)] = address
    return found[True], found[False]


def save_attachment(conversation: Conversation, name: str, description: str) -> None:
    """Save a conversation that `attached` has ended."""
    conversation.wait_until_closed()
    conversation.save(name, description)


# ------------------------------------------------------------------------- what stands between them


class Conversation:
    """What goes over one TCP connection."""

    def __init__(self, client: socket.socket) -> None:
        self._pieces: list[tuple[str, bytes]] = []
        self._latest = time.monotonic()
        server = socket.create_connection((HOST, SERVER_PORT))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._relay, args=("client", client, server), daemon=True),
            threading.Thread(target=self._relay, args=("server", server, client), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _relay(self, who: str, source: socket.socket, target: socket.socket) -> None:
        # Noted before it is passed on: an answer is never noted before what it answers.
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._pieces.append((who, data))
                self._latest = time.monotonic()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def wait_until_quiet(self) -> None:
        """Return when nothing has been said for a while; messages then are complete."""
        wait_for(lambda: time.monotonic() - self._latest > QUIET or None)

    def wait_until_closed(self) -> None:
        """Return when both sides have ended the stream."""
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a connection was not closed"

    def save(self, name: str, description: str) -> None:
        """Write the recording, a piece per line."""
        head = {"description": description, "kernel": f"Linux {os.uname().release}"}
        lines = [json.dumps({"from": who, "hex": data.hex()}) for who, data in self._pieces]
        text = json.dumps(head)[:-1] + ',\n"conversation": [\n' + ",\n".join(lines) + "\n]}\n"
        assert lines, f"{name}: nothing was said"
        Path(os.environ["GADGETIP_RESULTS"], f"{name}.json").write_text(text)
        print(f"{name}: {len(lines)} pieces, {len(text)} bytes of JSON", flush=True)


class Proxy:
    """Passes on what comes to `CLIENT_PORT`, and keeps it; a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, CLIENT_PORT))
        self._conversations: queue.Queue[Conversation] = queue.Queue()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._conversations.put(Conversation(client))

    def next(self) -> Conversation:
        """The next conversation that began."""
        return self._conversations.get(timeout=LIMIT)

    def save(self, name: str, description: str) -> None:
        """Save the next conversation, when it has ended."""
        save_attachment(self.next(), name, description)


# ------------------------------------------------------------------------------------ those who say


@contextlib.contextmanager
def served(*options: str) -> Iterator[None]:
    """Run usbipd."""
    daemon = subprocess.Popen(["usbipd", "-4", "--tcp-port", str(SERVER_PORT), *options])
    try:
        wait_for(answers)
        yield
    finally:
        daemon.terminate()
        daemon.wait(LIMIT)


def answers() -> bool | None:
    """Whether usbipd does."""
    try:
        socket.create_connection((HOST, SERVER_PORT)).close()
    except ConnectionRefusedError:
        return None
    return True


@contextlib.contextmanager
def exported(busid: str) -> Iterator[None]:
    """Have usbip-host offer a device."""
    run("usbip", "bind", "-b", busid)
    try:
        yield
    finally:
        run("usbip", "unbind", "-b", busid)


@contextlib.contextmanager
def attached(
    proxy: Proxy, busid: str, vendor_product: str, option: str = "-b"
) -> Iterator[tuple[Path, Conversation]]:
    """Import a device; gives where vhci-hcd shows it, and what is said about it."""
    usbip("attach", "-r", HOST, option, busid)
    conversation = proxy.next()
    try:
        yield wait_for(lambda: imported(vendor_product)), conversation
    finally:
        detach()


def detach() -> None:
    """End every import."""
    for line in (VHCI / "status").read_text().splitlines()[1:]:
        _, port, state, *_ = line.split()
        if int(state) == 6:  # VDEV_ST_USED
            run("usbip", "detach", "-p", str(int(port)))
    wait_for(lambda: not list(VHCI.glob("usb*/*-*/idVendor")) or None)


def usbip(*words: str, check: bool = True) -> None:
    """The stock client, through the proxy."""
    run("usbip", "--tcp-port", str(CLIENT_PORT), *words, check=check)


def run(*command: str, check: bool = True) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=check, timeout=LIMIT)


def local(vendor_product: str) -> str:
    """The bus id of a device of this machine."""
    return next(
        device.name
        for device in (USB / "devices").iterdir()
        if identity(device) == vendor_product and not device.resolve().is_relative_to(VHCI)
    )


def imported(vendor_product: str) -> Path | None:
    """Where an imported device is, once its configuration is chosen."""
    for device in VHCI.glob("usb*/*-*"):
        if identity(device) == vendor_product and list(device.glob("*:1.0")):
            return device
    return None


def identity(device: Path) -> str:
    with contextlib.suppress(OSError):
        return ":".join((device / name).read_text().strip() for name in ("idVendor", "idProduct"))
    return ""


def unbind_drivers(device: Path) -> None:
    """Take the drivers from all interfaces."""
    for interface in sorted(device.glob("*:1.*")):
        if (interface / "driver").exists():  # one driver may have let go of two at once
            (interface / "driver" / "unbind").write_text(interface.name)


def wait_for(look: Callable[[], Found | None]) -> Found:
    """Look until there is something."""
    deadline = time.monotonic() + LIMIT
    while (found := look()) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


# -------------------------------------------------------------- URBs by hand: linux/usbdevice_fs.h

URB_ISO, URB_INTERRUPT, URB_CONTROL, URB_BULK = range(4)
ISO_ASAP = 2

SET_INTERFACE = 0x80085504
DISCARD = 0x550B

_libc = ctypes.CDLL(None, use_errno=True)


class IsoPacket(ctypes.Structure):
    """struct usbdevfs_iso_packet_desc."""

    _fields_ = (
        ("length", ctypes.c_uint),
        ("actual_length", ctypes.c_uint),
        ("status", ctypes.c_uint),
    )


class UrbWithPackets(usbfs.UrbStructure):
    """struct usbdevfs_urb, with room for packets."""

    _fields_ = (("packets", IsoPacket * 16),)


class Urb:
    """A transfer; alive until it is reaped."""

    def __init__(self, kind: int, endpoint: int, data: bytes, packets: Sequence[int] = ()) -> None:
        self.data = ctypes.create_string_buffer(data, len(data))
        self.structure = UrbWithPackets(
            type=kind,
            endpoint=endpoint,
            flags=ISO_ASAP if packets else 0,
            buffer=ctypes.addressof(self.data),
            buffer_length=len(data),
            number_of_packets=len(packets),
        )
        for number, size in enumerate(packets):
            self.structure.packets[number].length = size


class UsbFile:
    """A device file of usbfs; a context manager."""

    def __init__(self, device: Path) -> None:
        bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
        self._file = os.open(f"/dev/bus/usb/{bus:03}/{number:03}", os.O_RDWR)
        self._alive: dict[int, Urb] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _ioctl(self, request: int, argument: object) -> None:
        if _libc.ioctl(self._file, ctypes.c_ulong(request), argument) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def claim(self, interface: int) -> None:
        self._ioctl(usbfs.USBDEVFS_CLAIMINTERFACE, ctypes.byref(ctypes.c_uint(interface)))

    def set_interface(self, interface: int, setting: int) -> None:
        self._ioctl(SET_INTERFACE, (ctypes.c_uint * 2)(interface, setting))

    def submit(self, urb: Urb) -> None:
        self._ioctl(usbfs.USBDEVFS_SUBMITURB, ctypes.byref(urb.structure))
        self._alive[ctypes.addressof(urb.structure)] = urb

    def discard(self, urb: Urb) -> None:
        """Take it back, unless it has ended."""
        with contextlib.suppress(OSError):
            self._ioctl(DISCARD, ctypes.byref(urb.structure))

    def reap(self) -> None:
        """Wait for the end of any."""
        urb = wait_for(self._ended).structure
        print(f"  status {urb.status}, {urb.actual_length} bytes", flush=True)

    def _ended(self) -> Urb | None:
        ended = ctypes.c_void_p()
        try:
            self._ioctl(usbfs.USBDEVFS_REAPURBNDELAY, ctypes.byref(ended))
        except BlockingIOError:
            return None
        return self._alive.pop(ended.value or 0)


if __name__ == "__main__":
    main()
