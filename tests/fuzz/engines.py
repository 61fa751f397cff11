"""Who thinks of the bytes: atheris, guided by coverage, or mutation at random.

Both run a target in this process until a limit of seconds or messages, watch that no input takes
longer than `HANG_S`, and save the input that failed before they end. atheris is not available
everywhere (it wants x86-64 and an older Python); the other one always is.
"""

import faulthandler
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.fuzz.measured import Meter
from tests.fuzz.seeds import LONGEST, seeds
from tests.fuzz.targets import target

HANG_S = 10


class Hang(Exception):
    """An input that takes too long."""


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise Hang(f"an input takes more than {HANG_S} s")


def _guarded(name: str, meter: Meter, folder: Path) -> Callable[[bytes], bool]:
    """One input: run, counted, saved if it fails. Whether the limit is reached."""
    test = target(name)
    folder.mkdir(parents=True, exist_ok=True)

    def run(data: bytes) -> bool:
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
        try:
            messages = test(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            kept = folder / f"crash-{abs(hash(data)):016x}"
            kept.write_bytes(data)
            print(f"fuzz {name}: {kept}: {error!r}", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return meter.count(messages)

    signal.signal(signal.SIGALRM, _alarm)
    faulthandler.enable()
    return run


def run_random(name: str, meter: Meter, folder: Path, seed: int) -> None:
    """Mutate the seeds at random; raises what a target raises."""
    source = random.Random(seed)
    begin = seeds(name)
    run = _guarded(name, meter, folder)
    for data in begin:
        if run(data):
            return
    while not run(_mutated(source, begin)):
        pass


def _mutated(source: random.Random, begin: list[bytes]) -> bytes:
    """A fresh tape, or a seed with something changed."""
    if source.random() < 0.6:
        return source.randbytes(source.choice((8, 32, 64, 128, 256, 512, 1024, LONGEST)))
    data = bytearray(source.choice(begin))
    for _ in range(source.randint(1, 8)):
        at = source.randint(0, len(data))
        kind = source.randint(0, 3)
        if kind == 0:
            data[at : at + 1] = source.randbytes(1)
        elif kind == 1:
            data[at:at] = source.randbytes(source.randint(1, 16))
        elif kind == 2:
            del data[at : at + source.randint(1, 48)]
        else:
            other = source.choice(begin)
            start = source.randint(0, len(other))
            data[at:at] = other[start : start + source.randint(1, 96)]
    return bytes(data[:LONGEST])


def run_atheris(name: str, meter: Meter, folder: Path, done: Callable[[Meter], None]) -> None:
    """Let libFuzzer do it; ends the process, after `done`.

    The modules under test are instrumented when they are imported, which is now.
    """
    import atheris

    corpus = folder / "corpus"
    with atheris.instrument_imports(include=["gadgetip"]):
        run = _guarded(name, meter, folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (corpus / f"seed-{number:03d}").write_bytes(data)

    def one_input(data: bytes) -> None:
        if run(data):
            done(meter)
            sys.stdout.flush()
            os._exit(0)  # libFuzzer knows no end by a count of messages

    arguments = [
        sys.argv[0],
        str(corpus),
        f"-artifact_prefix={folder}/",
        f"-max_len={LONGEST}",
        f"-timeout={2 * HANG_S}",
        "-rss_limit_mb=1024",
        "-verbosity=0",
        "-print_final_stats=0",
    ]
    atheris.Setup(arguments, _explained(one_input))
    atheris.Fuzz()


def _explained(one_input: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def explained(data: bytes) -> None:
        try:
            one_input(data)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    return explained
