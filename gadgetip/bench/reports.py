"""The intervals between a keyboard's or mouse's reports, as a Linux host gets them.

Two kinds of files tell: /dev/hidrawN gives each report as it is, /dev/input/eventN the events that
the kernel made of one, closed by a SYN_REPORT, with the kernel's own time; a key that is held is
repeated by the kernel, which marks those (input_repeat_key, drivers/input/input.c).

How late a report is cannot be known from here: nobody tells the host when a key was pressed. What
can be seen is whether they come as evenly as they should.
"""

import os
import select
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gadgetip.bench.latencies import Spread, spread, without_pauses
from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError

PAUSE_S = 0.25
"""Between two movements of a hand, or two keys: no interval of a device."""
READ_BYTES = 4096
_EVENT = struct.Struct("@llHHi")  # struct input_event, include/uapi/linux/input.h
_EV_SYN, _SYN_REPORT, _OF_THE_DEVICE = 0, 0, 0


@dataclass(frozen=True, slots=True)
class Reports:
    """How many reports came; the spread of the intervals between them, pauses left out."""

    count: int
    pauses: int
    intervals: Spread | None


@contextmanager
def opened_input(path: Path) -> Iterator[int]:
    """The file of an input device. Raises `UsageError`, `PrerequisiteError`, `GadgetipError`."""
    if "hidraw" not in path.name and not _tells_events(path):
        raise UsageError(f"{path} is no input device: give /dev/hidrawN or /dev/input/eventN")
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise PrerequisiteError(f"{path} may not be opened: try again with sudo") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        yield file
    except OSError as error:
        raise GadgetipError(f"{path} failed: {error.strerror}") from None
    finally:
        os.close(file)


def time_reports(file: int, path: Path, seconds: float) -> Reports:
    """Read reports for so long, from the file of `opened_input`; raises `OSError`.

    Ctrl-C ends it with what came until then.
    """
    times_s: list[float] = []
    with suppress(KeyboardInterrupt):
        for at_s in _times(file, seconds, events=_tells_events(path)):
            times_s.append(at_s)  # noqa: PERF402 (those before a Ctrl-C are kept)
    return reduce_reports(times_s)


def reduce_reports(times_s: list[float]) -> Reports:
    """What the times at which reports came tell."""
    intervals, pauses = without_pauses([b - a for a, b in pairwise(times_s)], PAUSE_S)
    return Reports(len(times_s), pauses, spread(intervals))


def report_times(data: bytes) -> list[float]:
    """When each report in some input events came, in seconds.

    A repetition of the kernel's is none, nor is half an event at the end.
    """
    whole = len(data) - len(data) % _EVENT.size
    return [
        seconds + microseconds / 1e6
        for seconds, microseconds, *event in _EVENT.iter_unpack(data[:whole])
        if event == [_EV_SYN, _SYN_REPORT, _OF_THE_DEVICE]
    ]


def _tells_events(path: Path) -> bool:
    return "event" in path.name


def _times(file: int, seconds: float, *, events: bool) -> Iterator[float]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not select.select([file], [], [], left)[0]:
            return
        now = time.monotonic()
        try:
            data = os.read(file, READ_BYTES)
        except BlockingIOError:
            continue
        if events:
            yield from report_times(data)
        elif data:
            yield now
        else:
            return
