"""What the host's own drivers make of a device: its terminal, disks, network interface, events.

Each waits until the driver is through. `Events` reads and writes /dev/input/event* (linux/input.h).
`Network` puts the host's end of a network cable into a namespace of its own: both ends are in one
kernel, which would otherwise never send a byte through the cable.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.waiting import wait_for

DRIVER_LIMIT_S = 30.0
EVENT = struct.Struct("qqHHi")  # time, type, code, value
EV_SYN, EV_KEY, EV_REL, EV_LED = 0, 1, 2, 0x11
REPEATED = 2  # the value of EV_KEY that the input core makes by itself (drivers/input/input.c)
EVIOCGRAB = 0x40044590


def _node(device: Path, pattern: str, directory: str, what: str) -> Path:
    def found() -> Path | None:
        for match in sorted(device.glob(pattern)):
            node = Path(directory, match.name)
            if node.exists():
                return node
        return None

    return wait_for(found, f"{what} of {device.name}", DRIVER_LIMIT_S)


def terminal(device: Path) -> Path:
    """The terminal of cdc_acm, or of a USB serial converter."""
    kind = "*/ttyUSB*/tty/tty*" if list(device.glob("*/ttyUSB*")) else "*/tty/tty*"
    try:
        return _node(device, kind, "/dev", "a terminal")
    except AssertionError:
        return _node(device, "*/ttyUSB*", "/dev", "a terminal")


def disks(device: Path, count: int) -> list[Path]:
    """The disks and CD drives of mass storage, by logical unit number."""

    def found() -> list[Path] | None:
        blocks = sorted(device.glob("*/host*/target*/*/block/*"), key=lambda b: b.parts[-3])
        ready = [b for b in blocks if Path("/dev", b.name).exists()]
        ready = [b for b in ready if int((b / "size").read_text()) > 0]
        return [Path("/dev", b.name) for b in ready] if len(ready) == count else None

    return wait_for(found, f"{count} disks of {device.name}", DRIVER_LIMIT_S)


def network(device: Path) -> str:
    """The name of the network interface, when nobody renames it any more."""
    wait_for(lambda: list(device.glob("*/net/*")), f"a network of {device.name}", DRIVER_LIMIT_S)
    subprocess.run(["udevadm", "settle"], check=True)
    return next(iter(device.glob("*/net/*"))).name


def midi(device: Path) -> Path:
    """The raw MIDI port."""
    return _node(device, "*/sound/card*/midiC*D0", "/dev/snd", "a MIDI port")


def events(device: Path, interface: int) -> Path:
    """The event node of one HID interface."""
    pattern = f"*:*.{interface}/*/input/input*/event*"
    return _node(device, pattern, "/dev/input", f"events of interface {interface}")


def hidraw(device: Path, interface: int) -> Path:
    """The raw node of one HID interface."""
    return _node(device, f"*:*.{interface}/*/hidraw/hidraw*", "/dev", "a hidraw")


def report_descriptor(device: Path, interface: int) -> bytes:
    """The report descriptor as the host read it from one HID interface."""
    pattern = f"*:*.{interface}/0003:*/report_descriptor"
    wait_for(lambda: list(device.glob(pattern)), f"reports of {device.name}", DRIVER_LIMIT_S)
    return next(iter(device.glob(pattern))).read_bytes()


class Events:
    """An event node that nobody else gets events of, while the context lasts."""

    def __init__(self, node: Path) -> None:
        self._node = node

    def __enter__(self) -> "Events":
        self._file = os.open(self._node, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._file, EVIOCGRAB, 1)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def read(self, count: int, kind: int, limit_s: float = 10.0) -> list[tuple[int, int]]:
        """The next `count` events of a kind: code and value. Fewer if they do not come in time.

        A key that repeats because the machine is slow is the host's doing, and is left out.
        """
        deadline = time.monotonic() + limit_s
        found: list[tuple[int, int]] = []
        while len(found) < count and (left := deadline - time.monotonic()) > 0:
            if select.select([self._file], [], [], left)[0]:
                data = os.read(self._file, EVENT.size * 64)
                events = [(c, v) for _, _, k, c, v in EVENT.iter_unpack(data) if k == kind]
                found += [each for each in events if (kind, each[1]) != (EV_KEY, REPEATED)]
        return found

    def write(self, kind: int, code: int, value: int) -> None:
        """Set something, a LED for example."""
        os.write(self._file, EVENT.pack(0, 0, kind, code, value) + EVENT.pack(0, 0, EV_SYN, 0, 0))


@contextlib.contextmanager
def raw_terminal(node: Path) -> Iterator[int]:
    """A terminal that changes no byte; reading and writing do not block."""
    file = os.open(node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(file)
        termios.tcflush(file, termios.TCIOFLUSH)
        yield file
    finally:
        with contextlib.suppress(termios.error):
            termios.tcflush(file, termios.TCOFLUSH)  # closing must not wait for anybody
        os.close(file)


@dataclass
class _Way:
    """One direction of an exchange."""

    source: int
    sink: int
    payload: bytes
    sent: int = 0
    arrived: int = 0


def exchange(one: int, other: int, data: tuple[bytes, bytes], window: int, limit_s: float) -> None:
    """Send data both ways at once between two open files, and compare every byte.

    Never more than `window` bytes are under way in one direction. Raises AssertionError for the
    first difference, and for bytes that do not come within the limit.
    """
    ways = [_Way(one, other, data[0]), _Way(other, one, data[1])]
    deadline = time.monotonic() + limit_s
    while any(way.arrived < len(way.payload) for way in ways):
        left = deadline - time.monotonic()
        state = [f"{way.arrived} of {len(way.payload)}" for way in ways]
        assert left > 0, f"not within {limit_s:.0f} s; arrived: {state}"
        senders = [w.source for w in ways if w.sent < min(len(w.payload), w.arrived + window)]
        readable, writable, _ = select.select([way.sink for way in ways], senders, [], left)
        for way in ways:
            if way.source in writable:
                way.sent += os.write(way.source, way.payload[way.sent : way.arrived + window])
            if way.sink in readable:
                got = os.read(way.sink, 1 << 16)
                expected = way.payload[way.arrived : way.arrived + len(got)]
                assert got == expected, f"differs after {way.arrived} bytes"
                way.arrived += len(got)


class Network:
    """Two ends of a network cable in one kernel, `host`'s in a namespace of its own."""

    NAMESPACE = "gadgetip-host"
    DEVICE_ADDRESS, HOST_ADDRESS = "192.168.77.1", "192.168.77.2"
    PORT = 7

    def __init__(self, device_end: str, host_end: str) -> None:
        self._device_end, self._host_end = device_end, host_end

    def __enter__(self) -> "Network":
        run = self._run
        left = ["ip", "netns", "del", self.NAMESPACE]  # by a test that was killed
        subprocess.run(left, check=False, capture_output=True)
        run("ip", "netns", "add", self.NAMESPACE)
        run("ip", "link", "set", self._host_end, "netns", self.NAMESPACE)
        inside = ("ip", "-n", self.NAMESPACE)
        run(*inside, "address", "add", f"{self.HOST_ADDRESS}/24", "dev", self._host_end)
        run(*inside, "link", "set", self._host_end, "up")
        run("ip", "address", "add", f"{self.DEVICE_ADDRESS}/24", "dev", self._device_end)
        run("ip", "link", "set", self._device_end, "up")
        return self

    def __exit__(self, *_: object) -> None:
        # A namespace goes with the last process in it; its interface comes back before that.
        back = ("ip", "-n", self.NAMESPACE, "link", "set", self._host_end, "netns", "1")
        subprocess.run(back, check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.NAMESPACE], check=True)

    def echo(self, data: bytes, limit_s: float = 60.0) -> bytes:
        """Send data over TCP from the host to the device and back; what came back."""
        with socket.create_server((self.DEVICE_ADDRESS, self.PORT)) as listening:
            listening.settimeout(limit_s)
            with subprocess.Popen(
                ["ip", "netns", "exec", self.NAMESPACE, sys.executable, "-S", "-c", _CLIENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as client:
                try:
                    return self._serve(client, listening, data, limit_s)
                finally:
                    client.kill()

    def _serve(
        self,
        client: "subprocess.Popen[bytes]",
        listening: socket.socket,
        data: bytes,
        limit_s: float,
    ) -> bytes:
        assert client.stdin is not None
        client.stdin.write(data)
        client.stdin.close()
        client.stdin = None
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(limit_s)
            received = bytearray()
            while len(received) < len(data):
                piece = connection.recv(1 << 16)
                assert piece, f"the connection ended after {len(received)} bytes"
                received += piece
            connection.sendall(received)
        return client.communicate(timeout=limit_s)[0]

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


_CLIENT = f"""
import socket, sys
data = sys.stdin.buffer.read()
with socket.create_connection(("{Network.DEVICE_ADDRESS}", {Network.PORT}), timeout=60) as s:
    s.sendall(data)
    while piece := s.recv(1 << 16):
        sys.stdout.buffer.write(piece)
"""
