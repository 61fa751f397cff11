"""A keyboard: how long a report takes from the device to the host.

The device's end is f_hid's /dev/hidgN, the host's the hidraw node of the same interface: neither
has an input layer between. One report under way at a time is what a person types; a stream is what
a mouse at its full rate sends, where each report also waits for those before it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.performance.metrics import PER_SECOND, PERCENTILES, Work, percentiles
from tests.performance.works.work import Outcome, Run, Subject
from tests.system import drivers
from tests.system.devices import Gadget, catalogue
from tests.system.key_reports import REPORT, press

STREAM = 16
FEWEST = 100  # fewer have no 99th percentile


class Keyboard(Subject):
    """The kernel's HID gadget as a boot keyboard, with a mouse beside it."""

    name = "keyboard"
    works = (
        Work("report", "keyboard report", PERCENTILES, "8 bytes, one report under way at a time"),
        Work(
            "reports",
            "keyboard reports, streaming",
            {**PERCENTILES, "per_s": PER_SECOND},
            f"8 bytes, {STREAM} reports under way",
        ),
    )

    def plugged(self) -> Gadget:
        return Gadget(catalogue.keyboard_and_mouse(), "dummy_udc.0")

    @contextmanager
    def opened(self, gadget: Gadget, device: Path) -> Iterator[Mapping[str, Run]]:
        keyboard = gadget.node(gadget.description.functions[0])
        raw = drivers.hidraw(device, 0)
        yield {
            "report": partial(reports, keyboard, raw, 1),
            "reports": partial(reports, keyboard, raw, STREAM),
        }


def reports(keyboard: Path, raw: Path, under_way: int, seconds: float) -> Outcome:
    """Send them for so long, at least 100."""

    def enough(sent: int, since: float) -> bool:
        return sent >= FEWEST and since >= seconds

    pressed = press(keyboard, raw, under_way, enough)
    count = len(pressed.delays_s)
    figures = percentiles([1000 * each for each in pressed.delays_s])
    if under_way > 1:
        figures["per_s"] = count / pressed.seconds
    return Outcome(figures, count * REPORT.size, count, pressed.seconds)
