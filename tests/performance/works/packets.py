"""Gadget zero: bulk transfers of a device that nobody knows, so that its packets are passed on.

Two hosts: a program with a queue of URBs (usbfs), and the kernel's own `usbtest` (cases 27 and 28),
which keeps its queue full without a program in between. Both have 32 KiB under way.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.performance.metrics import RATE, Work
from tests.performance.works.queued_urbs import DIRECTION_IN, QueuedUrbs
from tests.performance.works.work import Outcome, Run, Subject
from tests.system import usbtest
from tests.system.devices import Gadget, catalogue
from tests.system.waiting import wait_for

DEPTH, LENGTH = 8, 4096
QUEUED = f"usbfs, {DEPTH} URBs of {LENGTH} bytes under way"
TESTED = f"usbtest, {usbtest.SGLEN} URBs of {usbtest.LENGTH} bytes under way"
WRITES, READS = 27, 28
FEWEST, MOST_GROWTH = 4, 16
ENOUGH = 0.6


class Packets(Subject):
    """The kernel's source and sink."""

    name = "packets"
    works = (
        Work("bulkin", "bulk IN", {"mb_per_s": RATE}, QUEUED),
        Work("bulkout", "bulk OUT", {"mb_per_s": RATE}, QUEUED),
        Work("usbtest28", "bulk IN, usbtest", {"mb_per_s": RATE}, TESTED),
        Work("usbtest27", "bulk OUT, usbtest", {"mb_per_s": RATE}, TESTED),
    )

    def plugged(self) -> Gadget:
        usbtest.load_driver()
        return Gadget(catalogue.gadget_zero(), "dummy_udc.0")

    @contextmanager
    def opened(self, gadget: Gadget, device: Path) -> Iterator[Mapping[str, Run]]:
        yield {
            "bulkin": partial(queued, device, DIRECTION_IN),
            "bulkout": partial(queued, device, 0),
            "usbtest28": partial(tested, device, READS),
            "usbtest27": partial(tested, device, WRITES),
        }


def bulk_endpoint(device: Path, direction: int) -> int:
    """The address of interface 0's bulk endpoint in one direction."""
    for path in device.glob("*:*.0/ep_*"):
        address = int((path / "bEndpointAddress").read_text(), 16)
        if (path / "type").read_text().strip() == "Bulk" and address & DIRECTION_IN == direction:
            return address
    raise AssertionError(f"{device.name} has no such bulk endpoint")


def queued(device: Path, direction: int, seconds: float) -> Outcome:
    """A program's queue."""
    with QueuedUrbs(device, bulk_endpoint(device, direction), DEPTH, LENGTH) as urbs:
        count, moved, taken = urbs.run(seconds)
    return Outcome({"mb_per_s": moved / taken / 1e6}, moved, count, taken)


def tested(device: Path, number: int, seconds: float) -> Outcome:
    """The kernel's; as many iterations as take about so long are found by trying."""
    wait_for(lambda: has_usbtest(device), f"usbtest bound to {device.name}")
    iterations = FEWEST
    while (taken := asked(device, number, iterations)) < ENOUGH * seconds:
        iterations *= max(2, min(MOST_GROWTH, round(seconds / taken)))
    moved = iterations * usbtest.SGLEN * usbtest.LENGTH
    return Outcome({"mb_per_s": moved / taken / 1e6}, moved, iterations * usbtest.SGLEN, taken)


def asked(device: Path, number: int, iterations: int) -> float:
    """Run a case; its seconds."""
    result = usbtest.run_case(device, usbtest.Case(number, iterations), limit_s=60.0)
    assert result.passed, f"usbtest {number}: {result.outcome} {result.where}"
    return result.seconds


def has_usbtest(device: Path) -> bool:
    """Whether the driver has interface 0."""
    return any(path.resolve().name == "usbtest" for path in device.glob("*:*.0/driver"))
