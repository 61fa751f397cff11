"""Who keeps what attached: each `gadgetip attach` that stays, and the processes of `gadgetip run`.

Each writes a file `/run/gadgetip/attachments/PID.json` while it runs, so that `ports` can name who
waits for what and `detach` can end it; a device that somebody keeps would only come back. A process
id may be used again by another process: the file holds the time at which the process started, in
the kernel's words (`/proc/PID/stat`, field 22). A file whose process is not that one is removed.

The file also says what has moved, about once a second while it changes, for `bench`. It lies in
memory: /run is no disk.
"""

import contextlib
import json
import os
import select
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.traffic import Traffic, traffic_of
from gadgetip.errors import GadgetipError, PrerequisiteError

DIRECTORY = Path("/run/gadgetip/attachments")
RECORD_LIMIT_BYTES = 4096
STOP_LIMIT_S = 25.0


@dataclass(frozen=True, slots=True)
class Running:
    """One attachment in the foreground.

    `to` is "gadget" or "vhci"; `server` is HOST and `device` DEVICE as the user wrote them. `busid`
    is the device's at the server and `port` or `udc` where it is now; None while it is awaited.
    `started` is in seconds of the epoch, `start_ticks` the kernel's. `supervised` is what the
    supervisor's configuration calls it; None for one of a terminal. `window_urbs` bounds the URBs
    in flight on its widest endpoint, where that is ours to say. `traffic` is what has moved since
    it was attached, counted at `counted_s` (CLOCK_MONOTONIC, which all processes share).
    """

    pid: int
    start_ticks: int
    started: float
    to: str
    server: str
    device: str
    busid: str | None = None
    port: int | None = None
    udc: str | None = None
    supervised: str | None = None
    window_urbs: int | None = None
    traffic: Traffic | None = None
    counted_s: float | None = None


class Registration:
    """Writes the file of this process; use it as a context, in the main thread.

    SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt meanwhile, even in a background job of a
    shell, where SIGINT is ignored: whoever is listed can be told to end.
    """

    def __init__(
        self,
        to: str,
        server: str,
        device: str,
        udc: str | None = None,
        *,
        supervised: str | None = None,
    ) -> None:
        pid = os.getpid()
        self._running = Running(
            pid,
            _start_ticks(pid) or 0,
            time.time(),
            to,
            server,
            device,
            udc=udc,
            supervised=supervised,
        )
        self._path = DIRECTORY / f"{pid}.json"
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Registration":
        for each in STOP_SIGNALS:
            self._handlers[each] = signal.signal(each, signal.default_int_handler)
        list_running()  # a supervisor that crashes for months must not leave a file each time
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        with contextlib.suppress(OSError):
            self._path.unlink()

    def attached(
        self,
        busid: str,
        *,
        port: int | None = None,
        udc: str | None = None,
        window_urbs: int | None = None,
    ) -> None:
        """The device is here now."""
        self._running = replace(
            self._running,
            busid=busid,
            port=port,
            udc=udc or self._running.udc,
            window_urbs=window_urbs,
            traffic=None,
            counted_s=None,
        )
        self._write()

    def moved(self, traffic: Traffic) -> None:
        """So much has moved by now."""
        self._running = replace(self._running, traffic=traffic, counted_s=time.monotonic())
        self._write()

    def lost(self) -> None:
        """The device is awaited again."""
        self._running = replace(
            self._running, busid=None, port=None, window_urbs=None, traffic=None, counted_s=None
        )
        self._write()

    def _write(self) -> None:
        """Without root there is no such directory, and no attachment that could be kept."""
        draft = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            DIRECTORY.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(asdict(self._running)))
            draft.replace(self._path)


def list_running() -> list[Running]:
    """All attachments in the foreground; what a dead process left behind is removed."""
    found = []
    for path in sorted(DIRECTORY.glob("*.json")):
        running = _read(path)
        if running is not None and _start_ticks(running.pid) == running.start_ticks:
            found.append(running)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return found


def stop(running: Running) -> None:
    """Ask an attachment to end, as Ctrl-C does, and wait until it has.

    Raises `PrerequisiteError` without the right to, `GadgetipError` if it goes on after
    `STOP_LIMIT_S` seconds. One that has ended already is no error.
    """
    try:
        process = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return
    try:
        if _start_ticks(running.pid) != running.start_ticks:
            return
        signal.pidfd_send_signal(process, signal.SIGINT)
        ended, _, _ = select.select([process], [], [], STOP_LIMIT_S)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PrerequisiteError("detaching needs root: try again with sudo") from None
    finally:
        os.close(process)
    if not ended:
        raise GadgetipError(
            f"process {running.pid}, which keeps {running.device} attached, does not end"
        )


def parse_running(data: bytes) -> Running | None:
    """Read one file; None if it is none."""
    try:
        values = json.loads(data)
        moved = values.pop("traffic", None)
        running = Running(**values, traffic=None if moved is None else traffic_of(moved))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    sound = (
        type(running.pid) is int
        and running.pid > 0
        and type(running.start_ticks) is int
        and type(running.started) in (int, float)
        and all(isinstance(each, str) for each in (running.to, running.server, running.device))
        and all(
            isinstance(each, str | None)
            for each in (running.busid, running.udc, running.supervised)
        )
        and all(each is None or type(each) is int for each in (running.port, running.window_urbs))
        and (running.counted_s is None or type(running.counted_s) in (int, float))
    )
    return running if sound else None


def _read(path: Path) -> Running | None:
    try:
        with path.open("rb") as file:
            data = file.read(RECORD_LIMIT_BYTES + 1)
    except OSError:
        return None
    return parse_running(data) if len(data) <= RECORD_LIMIT_BYTES else None


def _start_ticks(pid: int) -> int | None:
    """When a process started; the name in `stat` may hold anything, so count from its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
