"""The ground of every system test: a guest with a real kernel, a server, cables.

    dummy_udc.0 == dummy_hcd.0      the cable between a test's device and the server
    dummy_udc.1 == dummy_hcd.1      the cable between the replica and the host

Server, board and host are one machine here; the network between them is its loopback interface.
These tests cannot run anywhere else: `make system`, or one of them in a machine that stays up,
`make bench-up` and then `make bench-exec CMD="python -m pytest tests/system/..."`.
"""

import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pytest

from tests.system import modules
from tests.system.attachment import Attachment
from tests.system.server import StockServer
from tests.system.stick import Stick

KERNEL_MESSAGES = Path("/dev/kmsg")
MARK = "bench: begins "
MARK_CHARACTERS = 300
"""/dev/kmsg refuses a line of a thousand bytes (kernel/printk/printk.c, LOG_LINE_MAX)."""
DMESG_LIMIT_S = 20.0
SHOWN_LINES = 200


def pytest_configure() -> None:
    """Say how to run this where it cannot run."""
    if os.environ.get("GADGETIP_BENCH") != "guest":
        pytest.exit(
            "system tests run inside the bench's machine: `make system`, or keep a machine with "
            '`make bench-up` and use `make bench-exec CMD="python -m pytest tests/system/..."`',
            returncode=2,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Write into the kernel's log which test begins."""
    with suppress(OSError):  # in a hook, that would be the end of all tests
        KERNEL_MESSAGES.write_text(f"{MARK}{item.nodeid[:MARK_CHARACTERS]}\n")
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the kernel said during a test that failed."""
    report = yield
    if report.failed:
        report.sections.append(("Kernel log", _said_since_the_mark()))
    return report


def _said_since_the_mark() -> str:
    command = ["dmesg"]
    try:
        log = subprocess.run(command, check=True, capture_output=True, timeout=DMESG_LIMIT_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"not to be had: {error}"
    said = log.decode(errors="replace").rpartition(MARK)[2].splitlines()
    # What is said several times in a row is shown once, with the time of its first.
    alike = groupby(said, lambda line: line.partition("] ")[2] or line)
    return "\n".join([next(same) for _, same in alike][-SHOWN_LINES:])


@pytest.fixture(scope="session", autouse=True)
def kernel_modules() -> None:
    """Everything that device, server, board and host need."""
    modules.load()


@pytest.fixture(scope="session")
def server(kernel_modules: None) -> Iterator[StockServer]:
    """The stock usbipd, exporting whatever tests bind to usbip-host."""
    with StockServer() as running:
        yield running


@pytest.fixture(scope="module")
def stick(server: StockServer) -> Iterator[Stick]:
    """A high-speed stick of 64 MiB on dummy_udc.0, exported."""
    with Stick("dummy_udc.0") as plugged, server.exporting(plugged.busid):
        yield plugged


@pytest.fixture(scope="module")
def attached(stick: Stick) -> Iterator[Attachment]:
    """The stick's replica on dummy_udc.1, as `gadgetip attach` builds it."""
    with Attachment("127.0.0.1", stick.busid, udc="dummy_udc.1") as attachment:
        yield attachment
