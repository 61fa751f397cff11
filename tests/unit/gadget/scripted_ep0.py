"""An endpoint 0 that plays a script, for the logic of what is done after what.

It says what was asked of the file, call by call, and stands for no kernel: that the kernel behaves
like the scripts is proved on a real one (tests/system).
"""

import errno
import fcntl
import os
import struct
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import functionfs
import pytest

from gadgetip.errors import GadgetipError
from gadgetip.gadget import gadgetfs_events, host_events
from gadgetip.gadget.host_events import HostEvent, HostEvents
from gadgetip.usb import SetupPacket

Step = tuple[str, int | bytes, bytes | int]
"""A call, its length or data, and what comes of it: data, or a positive errno."""

LIMIT_S = 5.0
EVENT_BYTES = 12


class ScriptedEp0:
    """Answers reads and writes by a script; when that is through, the gadget is gone.

    `always` answers calls that the script does not name, as often as they come.
    """

    halt = functionfs.Endpoint0File.halt

    def __init__(self, file: int, steps: list[Step], always: list[Step]) -> None:
        self.wrong: list[str] = []
        self.nonblocking: list[bool] = []
        """Of each call of the script."""
        self._file = file
        self._steps = list(steps)
        self._always = {(call, argument): result for call, argument, result in always}

    def read(self, length: int) -> bytes:
        return self._play("read", length)

    def write(self, data: bytes) -> int:
        self._play("write", data)
        return len(data)

    @property
    def left(self) -> list[Step]:
        return self._steps

    def _play(self, call: str, argument: int | bytes) -> bytes:
        if self._steps and self._steps[0][:2] == (call, argument):
            self.nonblocking.append(bool(fcntl.fcntl(self._file, fcntl.F_GETFL) & os.O_NONBLOCK))
            result = self._steps.pop(0)[2]
        elif (call, argument) in self._always:
            result = self._always[call, argument]
        else:
            if self._steps:
                self.wrong.append(f"{call} {argument!r} instead of {self._steps[0]}")
            elif (call, argument) != ("read", EVENT_BYTES):
                self.wrong.append(f"{call} {argument!r} at the end")
            self._steps.clear()
            result = errno.ENODEV
        if isinstance(result, int):
            raise OSError(result, os.strerror(result))
        return result


class Handler:
    """Notes what it is told; answers requests with `answer`, or refuses them."""

    def __init__(self, answer: bytes | None = b"") -> None:
        self.told: list[Any] = []
        self.ended = Event()
        self._answer = answer

    def event(self, event: HostEvent, configuration: int) -> None:
        if event is HostEvent.GONE:
            self.ended.set()
        else:
            self.told.append((event, configuration))

    def request(self, setup: SetupPacket, data: bytes) -> bytes:
        self.told.append((setup, data) if data else setup)
        if self._answer is None:
            raise GadgetipError("stall")
        return self._answer

    def lost(self, setup: SetupPacket) -> None:
        self.told.append(("lost", setup))


class Stage:
    """Plays scripts to one of the dialects; `play` returns what the handler was told."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = tmp_path / "ep0"
        self._path.touch()
        self._patch = monkeypatch
        self.ep0: ScriptedEp0

    def open(self) -> int:
        """A file to make the events of; they close it."""
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def play(
        self,
        events: HostEvents,
        steps: list[Step],
        *,
        answer: bytes | None = b"",
        always: list[Step] | None = None,
    ) -> list[Any]:
        self.ep0 = ep0 = ScriptedEp0(events._file, steps, always or [])
        system = SimpleNamespace(
            read=lambda _, length: ep0.read(length),
            write=lambda _, data: ep0.write(data),
            O_NONBLOCK=os.O_NONBLOCK,
            SCHED_FIFO=os.SCHED_FIFO,
            sched_param=os.sched_param,
            sched_setscheduler=_not_permitted,
        )
        self._patch.setattr(host_events, "os", system)
        self._patch.setattr(gadgetfs_events, "os", system)
        # An ordinary file is always readable; here nothing waits but what the script says.
        self._patch.setattr(gadgetfs_events.GadgetFsEvents, "_poll", lambda _: 0)
        held, events._ep0 = events._ep0, cast("Any", ep0)
        handler = Handler(answer)
        events.start(handler)
        assert handler.ended.wait(LIMIT_S)
        assert ep0.wrong == []
        assert ep0.left == []
        assert not fcntl.fcntl(events._file, fcntl.F_GETFL) & os.O_NONBLOCK
        held.close()
        return handler.told


def _not_permitted(*_: object) -> None:
    raise PermissionError(errno.EPERM, "real time is for root")


def gadgetfs_event(kind: int, setup: SetupPacket | None = None) -> Step:
    """Reading an event of GadgetFS (include/uapi/linux/usb/gadgetfs.h)."""
    data = setup.pack() if setup else bytes(8)
    return ("read", EVENT_BYTES, data + struct.pack("=I", kind))


def functionfs_event(kind: int, setup: SetupPacket | None = None) -> Step:
    """Reading an event of FunctionFS (include/uapi/linux/usb/functionfs.h)."""
    data = setup.pack() if setup else bytes(8)
    return ("read", EVENT_BYTES, data + bytes((kind, 0, 0, 0)))
