"""The host's half of Linux's own USB tests: what tools/usb/testusb.c does, with an end to it.

The kernel's driver `usbtest` binds to gadget zero and runs a case when it is asked through usbfs. A
case that hangs hangs in the kernel, so each runs in a process of its own; one that exceeds its
limit is reported with where it hangs, and the cases after it, which would wait for it, as not run.

    python -m tests.system.usbtest                      the table: direct, replica, stock vhci
    python -m tests.system.usbtest --iterations 20      the same in less time
    python -m tests.system.usbtest --columns replica --cases 5,6,13,1p

in the machine of the bench. The parameters are testusb's own defaults, but for `vary`, which has to
be less than `length` in the control write cases. Cases 1 to 8 run a second time with pattern 1
("1p"), where each end checks every byte that the other one has sent. Isochronous and interrupt
cases (15, 16, 22, 23, 25, 26) have no endpoints here.

Stock vhci hangs for good on case 12: a write that was unlinked is never given back. On case 24 the
stock server, usbip-host, uses a URB after it was freed, now and then (stub_recv_cmd_unlink), and
its thread dies. So there 24 comes last, and 12 only with `--vhci-12`: either costs the machine.

`usbtest-table.md` and `.json` are written to $GADGETIP_RESULTS, where results of an earlier run
stay unless this one has them too, and the table to standard output.
"""

import argparse
import dataclasses
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system import host, modules, usbfs
from tests.system.attachment import Attachment, wait_until_exported
from tests.system.devices import Gadget, catalogue
from tests.system.server import StockServer
from tests.system.waiting import wait_for

# struct usbtest_param_32: test_num, iterations, length, vary, sglen; the duration that is returned
PARAMETERS = struct.Struct("5I2i")
USBTEST_REQUEST = 0xC000_0000 | PARAMETERS.size << 16 | ord("U") << 8 | 100  # _IOWR

DEFAULT_ITERATIONS = 1000
LENGTH, VARY, SGLEN = 1024, 1024, 32
CONTROL_WRITE_CASES = (14, 21)
CONTROL_WRITE_VARY = 512

PATTERNED = tuple(range(1, 9))
PLAIN = (*range(15), *range(17, 22), 24, 27, 28, 29)
HANGS_STOCK_VHCI = 12
MAY_KILL_STOCK_STUB = 24

MODULE_PATTERN = Path("/sys/module/usbtest/parameters/pattern")
DEVICE_UDC, REPLICA_UDC, VHCI_UDC = "dummy_udc.0", "dummy_udc.1", "usbip-vudc.0"
BIND_LIMIT_S = 20.0
CASE_LIMIT_S = 600.0
TABLE = "usbtest-table"

CASES = {
    0: "nothing",
    1: "write",
    2: "read",
    3: "write, sizes vary",
    4: "read, sizes vary",
    5: "queued writes",
    6: "queued reads",
    7: "queued writes, sizes vary",
    8: "queued reads, sizes vary",
    9: "chapter 9 requests",
    10: "queued control requests",
    11: "unlinked reads",
    12: "unlinked writes",
    13: "halts set and cleared",
    14: "control writes and reads",
    17: "write, odd address",
    18: "read, odd address",
    19: "write, odd address, coherent",
    20: "read, odd address, coherent",
    21: "control writes and reads, odd address",
    24: "unlinked from a queue of writes",
    27: "writes for throughput",
    28: "reads for throughput",
    29: "toggle cleared between writes",
}


@dataclass(frozen=True)
class Case:
    """One case with testusb's parameters."""

    number: int
    iterations: int = DEFAULT_ITERATIONS
    pattern: int = 0

    @property
    def vary(self) -> int:
        """By how many bytes the size grows each time."""
        return CONTROL_WRITE_VARY if self.number in CONTROL_WRITE_CASES else VARY

    @property
    def name(self) -> str:
        """For the table and for test ids."""
        return f"{self.number}p" if self.pattern else str(self.number)

    def parameters(self) -> bytearray:
        """As the driver takes them."""
        fields = (self.number, self.iterations, LENGTH, self.vary, SGLEN)
        return bytearray(PARAMETERS.pack(*fields, 0, 0))


@dataclass(frozen=True)
class Result:
    """What became of a case: `passed`, an errno's name, `hangs`, or `not run`."""

    case: Case
    outcome: str
    seconds: float = 0.0
    where: str = ""

    @property
    def passed(self) -> bool:
        """Whether the driver was content."""
        return self.outcome == "passed"


def all_cases(iterations: int = DEFAULT_ITERATIONS) -> list[Case]:
    """Plain ones, then those with a pattern."""
    return [Case(number, iterations) for number in PLAIN] + [
        Case(number, iterations, pattern=1) for number in PATTERNED
    ]


def run_case(device: Path, case: Case, limit_s: float = CASE_LIMIT_S) -> Result:
    """Run one case on the device at this sysfs directory; interface 0 belongs to usbtest."""
    MODULE_PATTERN.write_text(str(case.pattern))
    began = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(_ask(device, case))
    deadline = began + limit_s
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        taken = time.monotonic() - began
        if ended:
            code = os.waitstatus_to_exitcode(status)
            outcome = "passed" if code == 0 else errno.errorcode.get(code, f"status {code}")
            return Result(case, outcome, taken)
        if time.monotonic() > deadline:
            where = _stack(child) + _oops()
            os.kill(child, signal.SIGKILL)
            return Result(case, "hangs", taken, where)
        time.sleep(0.005)


def run_cases(
    device: Path,
    cases: Sequence[Case],
    *,
    limit_s: float = CASE_LIMIT_S,
    told: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run cases one after the other; after one that hangs or loses the device none can run."""
    results: list[Result] = []
    lost = ""
    for case in cases:
        if lost:
            result = Result(case, "not run", where=f"{lost} before")
        else:
            result = run_case(device, case, limit_s)
        if result.outcome in {"hangs", "ENODEV", "ESHUTDOWN", "ENOENT"}:
            lost = f"case {case.name} {result.outcome}"
        told(result)
        results.append(result)
    return results


def wait_for_usbtest(udc: str) -> Path:
    """Wait until the driver has gadget zero's interface 0 behind this controller."""
    device = host.wait_for_device(udc)

    def bound() -> bool:
        configured = (device / "bConfigurationValue").read_text().strip()
        driver = device / f"{device.name}:{configured}.0/driver"
        return driver.exists() and driver.resolve().name == "usbtest"

    wait_for(bound, f"usbtest bound to {device.name}", BIND_LIMIT_S)
    return device


def load_driver() -> None:
    """The host's driver; it binds to gadget zero by itself."""
    subprocess.run(["modprobe", "usbtest"], check=True)


@contextmanager
def directly(gadget: Gadget, server: StockServer) -> Iterator[Path]:
    """The device itself, on the cable to its own host."""
    yield wait_for_usbtest(gadget.udc)


@contextmanager
def through_stock_vhci(gadget: Gadget, server: StockServer) -> Iterator[Path]:
    """The device, exported and attached by the stock tools."""
    with server.exporting(gadget.busid):
        wait_until_exported(gadget.busid)
        subprocess.run(
            ["usbip", "attach", "-r", "127.0.0.1", "-b", gadget.busid],
            check=True,
            capture_output=True,
        )
        try:
            yield wait_for_usbtest(VHCI_UDC)
        finally:
            subprocess.run(["usbip", "detach", "-p", "0"], check=False, capture_output=True)
            host.wait_for_unplug(VHCI_UDC)


@contextmanager
def through_a_replica(
    gadget: Gadget, server: StockServer, options: tuple[str, ...] = ()
) -> Iterator[Path]:
    """The device, exported by the stock server and reborn on the other cable."""
    with server.exporting(gadget.busid):
        wait_until_exported(gadget.busid)
        with Attachment("127.0.0.1", gadget.busid, udc=REPLICA_UDC, options=options):
            yield wait_for_usbtest(REPLICA_UDC)


COLUMNS = {"direct": directly, "vhci": through_stock_vhci, "replica": through_a_replica}


def run_column(
    column: str,
    server: StockServer,
    cases: Sequence[Case],
    *,
    limit_s: float = CASE_LIMIT_S,
    told: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """All cases in one column; the device is plugged in anew for those with a pattern."""
    results: list[Result] = []
    dangerous = {MAY_KILL_STOCK_STUB, HANGS_STOCK_VHCI} if column == "vhci" else set()
    harmless = [case for case in cases if case.number not in dangerous]
    runs = [[case for case in harmless if case.pattern == pattern] for pattern in (0, 1)]
    last = [case for case in cases if case.number in dangerous]
    runs.append(sorted(last, key=lambda case: case.number, reverse=True))
    for chosen in filter(None, runs):
        pattern = chosen[0].pattern
        gadget = Gadget(catalogue.gadget_zero(pattern=pattern), DEVICE_UDC)
        with ExitStack() as stack:
            stack.enter_context(gadget)
            device = stack.enter_context(COLUMNS[column](gadget, server))
            results += run_cases(device, chosen, limit_s=limit_s, told=told)
            if any(result.outcome == "hangs" for result in results):
                # The driver holds the device for ever: taking it away would wait for that too.
                stack.pop_all()
                break
    return results


def markdown(table: dict[str, list[Result]]) -> str:
    """The columns side by side: seconds of what passed, words for what did not."""
    columns = list(table)
    rows = {result.case.name: result.case for results in table.values() for result in results}
    ordered = sorted(rows.values(), key=lambda case: (case.pattern, case.number))
    lines = [
        f"| Case | What | {' | '.join(columns)} |",
        "| --- | --- |" + " ---: |" * len(columns),
    ]
    for case in ordered:
        cells = []
        for results in table.values():
            found = [result for result in results if result.case.name == case.name]
            cells.append(_cell(found[0]) if found else "-")
        what = CASES.get(case.number, "?") + (", pattern 1" if case.pattern else "")
        lines.append(f"| {case.number} | {what} | {' | '.join(cells)} |")
    iterations = sorted({case.iterations for case in ordered})
    lines += ["", f"Seconds; iterations {iterations}, length {LENGTH}, vary {VARY}, sglen {SGLEN}."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The table; the status is 1 if a case of the replica failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.usbtest")
    parser.add_argument("--iterations", type=int, default=DEFAULT_ITERATIONS)
    parser.add_argument("--cases", default="", help="as 1,2,5p: p is with pattern 1; all")
    parser.add_argument("--columns", default="direct,replica,vhci")
    parser.add_argument("--limit", type=float, default=CASE_LIMIT_S, help="seconds a case may take")
    parser.add_argument("--vhci-12", action="store_true", help="it hangs the machine")
    options = parser.parse_args(arguments)
    cases = all_cases(options.iterations)
    if options.cases:
        cases = [case for case in cases if case.name in options.cases.split(",")]
    modules.load()
    load_driver()
    table = _earlier()
    with StockServer() as server:
        for column in options.columns.split(","):
            avoided = {HANGS_STOCK_VHCI} if column == "vhci" and not options.vhci_12 else set()
            chosen = [case for case in cases if case.number not in avoided]
            results = run_column(
                column, server, chosen, limit_s=options.limit, told=_teller(column)
            )
            names = {result.case.name for result in results}
            kept = [result for result in table.get(column, []) if result.case.name not in names]
            table[column] = kept + results
            _write(table)
    if any(result.outcome == "hangs" for results in table.values() for result in results):
        os._exit(_status(table))  # the ordinary way waits for what cannot be ended
    return _status(table)


def _ask(device: Path, case: Case) -> int:
    """In the child: the errno of the case, 0 for success."""
    try:
        with usbfs.opened(device) as file:
            usbfs.driver_ioctl(file, 0, USBTEST_REQUEST, case.parameters())
    except OSError as error:
        return error.errno or 255
    return 0


def _stack(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stack").read_text()
    except OSError:
        return ""


def _oops() -> str:
    """What the kernel says of a fault of its own, if there was one."""
    faults = [line for line in host.kernel_log() if "Oops:" in line or "RIP:" in line]
    return "\n".join(faults[:2])


def _cell(result: Result) -> str:
    return f"{result.seconds:.2f}" if result.passed else f"**{result.outcome}**"


def _teller(column: str) -> Callable[[Result], None]:
    def tell(result: Result) -> None:
        where = f"\n{result.where}" if result.where else ""
        line = f"{column:8} {result.case.name:4} {result.outcome:8} {result.seconds:8.2f} s{where}"
        print(line, file=sys.stderr, flush=True)

    return tell


def _status(table: dict[str, list[Result]]) -> int:
    return int(not all(result.passed for result in table.get("replica", [])))


def _earlier() -> dict[str, list[Result]]:
    """The results that are kept already."""
    directory = os.environ.get("GADGETIP_RESULTS", "")
    try:
        values = json.loads(Path(directory, TABLE + ".json").read_text())
    except FileNotFoundError:
        return {}
    return {
        column: [Result(**(result | {"case": Case(**result["case"])})) for result in results]
        for column, results in values.items()
    }


def _write(table: dict[str, list[Result]]) -> None:
    text = markdown(table)
    directory = os.environ.get("GADGETIP_RESULTS")
    if directory:
        values = {
            column: [dataclasses.asdict(result) for result in results]
            for column, results in table.items()
        }
        Path(directory, TABLE + ".md").write_text(text)
        Path(directory, TABLE + ".json").write_text(json.dumps(values, indent=2) + "\n")
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
