"""`make bench-stubs`: the user-space stub against the kernel's, with stock vhci as the client.

Two sticks of the same make on two controllers of the same kind, each exported through one of the
stubs all the time; the client attaches one after the other, round by round. Each second round the
sticks change places, so that a difference between the two cables would show as spread.

`--audio` plays sound through QEMU's usb-audio instead, which `make bench-audio` adds to the
machine: for as long as it plays the host's driver must not run out of samples more often than it
does through the kernel's stub.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.performance.table import cell
from tests.performance.works.storage import random_blocks, sequential
from tests.system import host, modules
from tests.system.exporters import Exporter, exporting
from tests.system.importers import importing
from tests.system.reborn import emulated
from tests.system.stick import Stick
from tests.system.waiting import wait_for
from tests.system.wire_client import wait_until_listed

# Two `gadgetip serve` at a time are one too many: usbip-host is the same stub behind usbipd.
KINDS = {"kernel": "stock", "userspace": "userspace"}
UDCS = ("dummy_udc.0", "dummy_udc.1")
TARGETS = {"sequential read": 0.7, "sequential write": 0.7, "4 KiB random read": 0.6}
SECONDS = 1.5
WORKS = {
    "sequential read": ("mb_per_s", "MB/s", partial(sequential, seconds=SECONDS, write=False)),
    "sequential write": ("mb_per_s", "MB/s", partial(sequential, seconds=SECONDS, write=True)),
    "4 KiB random read": ("per_s", "reads/s", partial(random_blocks, seconds=SECONDS, write=False)),
}
AUDIO = "46f4:0002"
SOUND_BYTES_PER_S = 48000 * 2 * 2
WARM_UP_S = 1.0

Figures = dict[str, dict[str, list[float]]]


@contextmanager
def through(exporter: Exporter, stick: Stick) -> Iterator[Path]:
    """Its disk, by stock vhci."""
    wait_until_listed(exporter.port, stick.busid)
    with importing("stock", exporter, {stick.busid: stick.id}) as found:
        yield wait_for(lambda: host.disk_of(found[stick.busid]), "a disk", host.STACK_LIMIT_S)


def measure(rounds: int) -> Figures:
    """By work and stub, a value a round."""
    figures: Figures = {work: {stub: [] for stub in KINDS} for work in TARGETS}
    with ExitStack() as plugged:
        sticks = [plugged.enter_context(Stick(udc)) for udc in UDCS]
        for stick in sticks:
            stick.fill()
        for places in range(2):
            with ExitStack() as served:
                pairs = zip(KINDS, sticks if not places else sticks[::-1], strict=True)
                paths = {
                    stub: (served.enter_context(exporting(KINDS[stub], [stick.busid])), stick)
                    for stub, stick in pairs
                }
                for number in range(places, rounds, 2):
                    for stub in KINDS if number % 4 < 2 else reversed(KINDS):
                        with through(*paths[stub]) as disk:
                            time.sleep(WARM_UP_S)  # the host's own first reads of a new disk
                            one_round(disk, stub, number, figures)
    return figures


def one_round(disk: Path, stub: str, number: int, figures: Figures) -> None:
    """Every work once."""
    for work, (metric, unit, run) in WORKS.items():
        value = run(disk).figures[metric]
        figures[work][stub].append(value)
        print(f"round {number + 1}, {stub}: {work} {value:.2f} {unit}", file=sys.stderr, flush=True)


def table(figures: Figures) -> str:
    """Medians, spread, and the ratio, in Markdown."""
    lines = ["| work | kernel | userspace | ratio | wanted |", "|---|---|---|---|---|"]
    for work, stubs in figures.items():
        cells = " | ".join(f"{cell(stubs[stub])} {WORKS[work][1]}" for stub in KINDS)
        won = statistics.median(stubs["userspace"]) / statistics.median(stubs["kernel"])
        lines.append(f"| {work} | {cells} | {won:.2f} | {TARGETS[work]} |")
    return "\n".join(lines)


def play(device: Path, seconds: int) -> int:
    """Play noise for so long on the sound card of this device; how often it ran out of samples."""
    cards = wait_for(lambda: list(device.glob("*/sound/card*")), "a sound card", 40.0)
    number = cards[0].name.removeprefix("card")
    wait_for(lambda: Path(f"/dev/snd/pcmC{number}D0p").exists(), "its device", 20.0)
    began = time.monotonic()
    aplay = subprocess.run(
        [
            *("aplay", "-v", "-D", f"hw:{number},0", "-f", "S16_LE", "-r", "48000", "-c", "2"),
            *("-t", "raw", "-d", str(seconds), "/dev/urandom"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds * 10 + 60,
    )
    took = time.monotonic() - began
    assert aplay.returncode == 0, aplay.stderr
    print(f"  {seconds} s took {took:.1f} s", file=sys.stderr, flush=True)
    return len(re.findall(r"(?i)underrun", aplay.stderr))


def measure_audio(rounds: int, seconds: int) -> dict[str, list[int]]:
    """Underruns through each stub, and without any, a value a round."""
    device = emulated(AUDIO)
    counts: dict[str, list[int]] = {"none": [], **{stub: [] for stub in KINDS}}
    for number in range(rounds):
        counts["none"].append(play(device, seconds))
        for stub, kind in KINDS.items():
            with exporting(kind, [device.name]) as exporter:
                wait_until_listed(exporter.port, device.name)
                with importing("stock", exporter, {device.name: AUDIO}) as found:
                    counts[stub].append(play(found[device.name], seconds))
        said = {path: values[-1] for path, values in counts.items()}
        print(f"round {number + 1}: underruns {said}", file=sys.stderr, flush=True)
    return counts


def audio_table(counts: dict[str, list[int]], seconds: int) -> str:
    """In Markdown."""
    lines = [f"| path | underruns in {seconds} s, each round | median |", "|---|---|---|"]
    for path, values in counts.items():
        each = ", ".join(map(str, values))
        lines.append(f"| {path} | {each} | {statistics.median(values):g} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance.stubs")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("GADGETIP_ROUNDS", "4")))
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--seconds", type=int, default=30, help="how long each sound is")
    given = parser.parse_args()
    modules.load()
    figures: object
    if given.audio:
        name = "audio"
        figures = counts = measure_audio(given.rounds, given.seconds)
        shown = audio_table(counts, given.seconds)
    else:
        name = "stubs"
        figures = measured = measure(given.rounds)
        shown = table(measured)
    print(f"\n{os.uname().release}, {given.rounds} interleaved rounds\n\n{shown}")
    results = Path(os.environ.get("GADGETIP_RESULTS", "/tmp"))
    (results / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    (results / f"{name}.md").write_text(shown + "\n")


if __name__ == "__main__":
    main()
