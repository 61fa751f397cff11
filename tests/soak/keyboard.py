"""The keyboard load: letters typed at the device, and the host's key state watched.

The device's end is /dev/hidgN. A report that nobody fetches stays there, and the next one must
wait; where the device has no configuration the kernel refuses it (ESHUTDOWN), which is a keyboard
that cannot say anything. The host's end is the event node behind the replica's cable, grabbed so
that nobody else takes the letters for commands; what is down is asked of the kernel (EVIOCGKEY).
"""

import contextlib
import fcntl
import os
import select
import threading
import time
from enum import Enum
from pathlib import Path

from tests.soak.keys import KeyOracle
from tests.soak.load import Load
from tests.system import host
from tests.system.drivers import EV_KEY, EVENT, EVIOCGRAB

LETTERS = {0x04: 30, 0x05: 48, 0x06: 46, 0x07: 32, 0x08: 18}  # HID usage: the kernel's code
KEY_LIMIT_S = 10.0
FINAL_LIMIT_S = 20.0
LOOK_S = 0.1
AWAY_S = 0.25
WRITE_LIMIT_S = 1.0
PAUSE_S = 0.2
HELD_S = (0.03, 0.1, 0.3, 6.0)
KEY_BYTES = 96  # KEY_CNT bits
EVIOCGKEY = 0x80000000 | KEY_BYTES << 16 | 0x4518


class _Said(Enum):
    """What became of a report."""

    YES = "it lies ready for the host"
    WAITS = "one before it still does"
    NO = "the kernel refuses it"


class KeyboardLoad(Load):
    """Types at the device's end `node`, watches the keyboard behind a cable."""

    def __init__(self, udc: str, node: Path, seed: int) -> None:
        super().__init__("keyboard", seed)
        self._udc = udc
        self._node = node
        self._oracle = KeyOracle(KEY_LIMIT_S)
        self._lock = threading.Lock()  # over the oracle: the device's end has a thread of its own
        self._typist = threading.Thread(target=self._type, name="typist", daemon=True)
        self._events = -1
        self._typed = self._seen = self._refused = 0
        self._down: frozenset[int] = frozenset()

    def work(self) -> None:
        """Watch, while the other thread types; then the final state, with a key and without."""
        self._typist.start()
        while not self.stopping:
            self._look()
            self.pace(LOOK_S if self._events >= 0 else AWAY_S)
        self._typist.join()
        usage, key = next(iter(LETTERS.items()))
        self._release(key, FINAL_LIMIT_S)
        self._compare()
        self._press(usage, key, FINAL_LIMIT_S)
        self._compare()
        self._release(key, FINAL_LIMIT_S)
        self._compare()
        self._close()

    def finish(self) -> None:
        """Everything is judged in time."""

    def judged(self) -> list[str]:
        """Keys that stayed down, and a final state that is not the device's."""
        with self._lock:
            return list(self._oracle.faults)

    def progress(self) -> tuple[int, ...]:
        """Presses that the host saw."""
        return (self._seen,)

    def totals(self) -> dict[str, float]:
        """Figures for the results."""
        return {
            "typed": self._typed,
            "seen": self._seen,
            "refused": self._refused,
            "longest_down_after_release_s": round(self._oracle.worst_s, 2),
        }

    def link_lost(self, at: float) -> None:
        """What is held now must come up at the host."""
        super().link_lost(at)
        with self._lock:
            self._oracle.link_lost(at)

    def _compare(self) -> None:
        """Wait until the host has what the device said last, and judge."""
        deadline = time.time() + FINAL_LIMIT_S
        while self._down != self._oracle.held and time.time() < deadline:
            self._look()
            time.sleep(LOOK_S)  # the pace of looking
        self._oracle.finally_sees(self._down)

    # --- the device's end -----------------------------------------------------------------------

    def _type(self) -> None:
        while not self.stopping:
            usage, key = self.random.choice(list(LETTERS.items()))
            if self._press(usage, key, WRITE_LIMIT_S):
                self.pace(self.random.choice(HELD_S))
                while not self._release(key, WRITE_LIMIT_S):
                    self.pace(LOOK_S)
            self.pace(self.random.random() * PAUSE_S)

    def _press(self, usage: int, key: int, limit_s: float) -> bool:
        """Whether the device has said it."""
        if self._write(usage, limit_s) is not _Said.YES:
            return False
        self._typed += 1
        with self._lock:
            self._oracle.pressed(key, time.time())
        return True

    def _release(self, key: int, limit_s: float) -> bool:
        """Whether it is up, and has been said, or cannot be said."""
        if self._write(0, limit_s) is _Said.WAITS:
            return False
        with self._lock:
            self._oracle.released(key, time.time())
        return True

    def _write(self, usage: int, limit_s: float) -> "_Said":
        try:
            keyboard = os.open(self._node, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            return _Said.NO
        try:
            if not select.select([], [keyboard], [], limit_s)[1]:
                return _Said.WAITS
            os.write(keyboard, bytes([0, 0, usage, 0, 0, 0, 0, 0]))
        except BlockingIOError:
            return _Said.WAITS
        except OSError:
            self._refused += 1
            return _Said.NO
        finally:
            os.close(keyboard)
        return _Said.YES

    # --- the host's end ---------------------------------------------------------------------------

    def _look(self) -> None:
        try:
            if self._events < 0:
                self._open()
            self._count()
            bits = fcntl.ioctl(self._events, EVIOCGKEY, bytes(KEY_BYTES))
            self._down = frozenset(
                at * 8 + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
            )
        except OSError:  # there is no keyboard: so no key is down
            self._close()
            self._down = frozenset()
        with self._lock:
            self._oracle.host_sees(self._down, time.time())

    def _open(self) -> None:
        device = host.device_behind(host.controller_of(self._udc))
        found = sorted(device.glob("*:*.0/*/input/input*/event*")) if device else []
        if not found:
            raise FileNotFoundError
        self._events = os.open(Path("/dev/input", found[0].name), os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._events, EVIOCGRAB, 1)

    def _count(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._events, EVENT.size * 64):
                self._seen += sum(
                    kind == EV_KEY and value == 1
                    for _, _, kind, _, value in EVENT.iter_unpack(data)
                )

    def _close(self) -> None:
        if self._events >= 0:
            os.close(self._events)
            self._events = -1
