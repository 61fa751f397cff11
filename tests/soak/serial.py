"""The serial load: numbered lines both ways between the device's terminal and the host's.

One thread has both ends, /dev/ttyGSn and the terminal behind the replica's cable. Either is hung up
by its kernel when its device is unplugged or reset, and is opened again. Nothing is sent while one
of them is away. The host's end ignores the carrier (CLOCAL): a device that was reset drops it for a
moment, which would otherwise end the host's session.
"""

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.soak.lines import LENGTH, LineOracle, line
from tests.soak.load import Load
from tests.soak.reports import Report, unreported
from tests.system import host

BURSTS = (1, 1, 1, 2, 2, 4, 40)  # lines
PAUSE_S = 0.15
AWAY_S = 0.25
ARRIVAL_LIMIT_S = 15.0
DEVICE, HOST = "D", "H"
Find = Callable[[], Path | None]


class _End:
    """One terminal, and what its program sends: the direction `way`."""

    def __init__(self, way: str, find: Find) -> None:
        self.way = way
        self._find = find
        self.file = -1
        self.sent = 0
        """Lines that the terminal has taken, the last perhaps in part, or will take."""
        self._left = b""

    def open(self) -> bool:
        """Open it where it is there; raw, and forgetting what was in it."""
        try:
            if (node := self._find()) is None:
                return False
            self.file = os.open(node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self.file)
            attributes = termios.tcgetattr(self.file)
            attributes[2] |= termios.CLOCAL
            termios.tcsetattr(self.file, termios.TCSANOW, attributes)
            termios.tcflush(self.file, termios.TCIFLUSH)
        except (OSError, termios.error):
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close it without waiting for what was not sent."""
        if self.file >= 0:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.file, termios.TCOFLUSH)
            os.close(self.file)
        self.file = -1
        self.sent -= len(self._left) // LENGTH  # those it knows nothing of
        self._left = b""

    def send(self, lines: int) -> None:
        """Send what is left, else more; raises OSError where the terminal was hung up."""
        if not self._left:
            new = [line(self.way, number) for number in range(self.sent, self.sent + lines)]
            self._left = b"".join(new)
            self.sent += lines
        with contextlib.suppress(BlockingIOError):
            while self._left:
                self._left = self._left[os.write(self.file, self._left) :]

    def read(self) -> bytes:
        """What has come; nothing where it was hung up. Raises OSError as well."""
        return os.read(self.file, 1 << 16)


class SerialLoad(Load):
    """Talks between the device's end `node` and the terminal behind a cable."""

    def __init__(
        self, udc: str, node: Path, seed: int, reports: Callable[[], list[Report]]
    ) -> None:
        super().__init__("serial", seed)
        self._reports = reports
        self._device = _End(DEVICE, lambda: node)
        self._host = _End(HOST, lambda: _terminal(udc))
        now = time.time()
        # Each is kept at the receiver of its direction.
        self._oracles = {DEVICE: LineOracle(DEVICE, HOST, now), HOST: LineOracle(HOST, DEVICE, now)}
        self._opened = 0
        self._unreported: list[str] = []

    def work(self) -> None:
        """Until it is stopped, send; then wait until what was sent has come."""
        pause_until = 0.0
        while not self.stopping:
            self._receive(0.05)
            if time.time() < pause_until:
                continue
            pause_until = time.time() + AWAY_S
            if self._both_open():
                for end in (self._device, self._host):
                    self._guarded(end, partial(end.send, self.random.choice(BURSTS)))
                pause_until = time.time() + self.random.random() * PAUSE_S
        deadline = time.time() + ARRIVAL_LIMIT_S
        while time.time() < deadline and not self._all_came():
            self._receive(0.05)
            if self._both_open():
                for end in (self._device, self._host):
                    self._guarded(end, partial(end.send, 0))
        for end in (self._device, self._host):
            self._oracles[end.way].finish(end.sent, time.time())
            end.close()

    def finish(self) -> None:
        """Compare what is missing with what was reported."""
        reports = self._reports()
        for way, oracle in self._oracles.items():
            self._unreported += [f"{way}: {fault}" for fault in unreported(oracle.gaps, reports)]

    def judged(self) -> list[str]:
        """Doubled and invented bytes; at the end also what is missing without a report."""
        return [f for oracle in self._oracles.values() for f in oracle.faults] + self._unreported

    def progress(self) -> tuple[int, ...]:
        """Lines that came, each way."""
        return tuple(oracle.received for oracle in self._oracles.values())

    def totals(self) -> dict[str, float]:
        """Figures for the results."""
        gaps = [gap for oracle in self._oracles.values() for gap in oracle.gaps]
        return {
            "lines_to_host": self._oracles[DEVICE].received,
            "lines_to_device": self._oracles[HOST].received,
            "gaps": len(gaps),
            "gaps_without_a_hangup": sum(not gap.cut for gap in gaps),
            "bytes_missing": sum(gap.bytes for gap in gaps),
            "opened": self._opened,
        }

    def _both_open(self) -> bool:
        for end in (self._device, self._host):
            if end.file < 0 and end.open():
                self._opened += 1
                now = time.time()
                for way, oracle in self._oracles.items():
                    if way == end.way:
                        oracle.opened(now)
                    else:
                        oracle.reader_opened(now)
        return self._device.file >= 0 and self._host.file >= 0

    def _receive(self, limit_s: float) -> None:
        ends = [end for end in (self._device, self._host) if end.file >= 0]
        if not ends:
            self.pace(limit_s)
            return
        readable, _, _ = select.select([end.file for end in ends], [], [], limit_s)
        for end in ends:
            if end.file in readable:
                self._guarded(end, partial(self._hear, end))

    def _hear(self, end: _End) -> None:
        data = end.read()
        if not data:
            raise OSError("hung up")
        way = HOST if end is self._device else DEVICE
        self._oracles[way].heard(data, time.time())

    def _guarded(self, end: _End, step: Callable[[], None]) -> None:
        """Do a step at an end; one that was hung up is closed."""
        try:
            step()
        except BlockingIOError:
            return
        except OSError:
            end.close()
            self.pace(0.05)

    def _all_came(self) -> bool:
        return all(self._oracles[e.way].expects == e.sent for e in (self._device, self._host))


def _terminal(udc: str) -> Path | None:
    """The terminal of cdc_acm behind a cable, if it is there."""
    device = host.device_behind(host.controller_of(udc))
    for found in sorted(device.glob("*/tty/tty*")) if device else []:
        if (node := Path("/dev", found.name)).exists():
            return node
    return None
