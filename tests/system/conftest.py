"""The ground of every system test: a guest with a real kernel, a server, cables.

    dummy_udc.0 == dummy_hcd.0      the cable between a test's device and the server
    dummy_udc.1 == dummy_hcd.1      the cable between the replica and the host

Server, board and host are one machine here; the network between them is its loopback interface.
These tests cannot run anywhere else: `make system`, or one of them in a machine that stays up,
`make bench-up` and then `make bench-exec CMD="python -m pytest tests/system/..."`.
"""

import os
from collections.abc import Generator, Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.system import host, modules
from tests.system.attachment import Attachment
from tests.system.server import StockServer
from tests.system.stick import Stick

KERNEL_MESSAGES = Path("/dev/kmsg")
MARK = "bench: begins "
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
    KERNEL_MESSAGES.write_text(f"{MARK}{item.nodeid}\n")
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the kernel said during a test that failed."""
    report = yield
    if report.failed:
        said = "\n".join(host.kernel_log()).rpartition(MARK)[2].splitlines()
        # What is said again and again is shown once, with the time of its first.
        different = [next(same) for _, same in groupby(said, lambda line: line.partition("]")[2])]
        report.sections.append(("Kernel log", "\n".join(different[-SHOWN_LINES:])))
    return report


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
