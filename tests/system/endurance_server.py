"""`make soak-sessions`: hundreds of sessions of each stub, after which nothing is left of them.

A session is an import, the device's own descriptor (so that all of the way was used), and a client
that leaves: politely, in the middle of a transfer, or with a reset of its connection. Each tenth is
stock vhci. What must not grow: open files, threads and memory of `serve`; sockets, threads, memory
and references of the kernel. Called with pytest, by its path; `test_soak` is the same with a few.
"""

import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system import host
from tests.system.exporters import STUBS, Exporter, serving
from tests.system.importers import importing
from tests.system.serving import Serve
from tests.system.stick import Stick, sha256
from tests.system.waiting import wait_for
from tests.system.wire_client import WireClient, wait_until_listed

CYCLES = int(os.environ.get("GADGETIP_SOAK", "500"))
VHCI_EVERY = 10
GROWTH = 1.05
KERNEL_GROWTH_KIB = 4096
STICK_MIB = 8
LONG = 100
"""So many sessions tell whether memory grows."""

SET_CONFIGURATION = bytes.fromhex("0009010000000000")
BULK_IN, BULK_OUT = 0x81, 0x02
INQUIRY = bytes.fromhex("55534243010000002400000080000612000000240000000000000000000000")


class Footprint(NamedTuple):
    """What a server and the kernel hold, when no session runs."""

    files: int
    threads: int
    rss_kib: int
    connections: int
    stub_threads: int
    references: str
    unreclaimable_kib: int


def footprint(process: int, port: int) -> Footprint:
    """Of the process that serves on this TCP port, and of the kernel."""
    own = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return Footprint(
        files=len(list((own / "fd").iterdir())),
        threads=len(list((own / "task").iterdir())),
        rss_kib=int(status["VmRSS"].split()[0]),
        connections=len(connections(port)),
        stub_threads=len(kernel_threads("stub_")),
        references=references("usbip_host"),
        unreclaimable_kib=int(memory["SUnreclaim"].split()[0]),
    )


def connections(port: int) -> list[str]:
    """The server's ends of TCP connections that somebody still holds, a process or the kernel."""
    held = ("established", "close-wait", "syn-recv")
    states = [word for state in held for word in ("state", state)]
    listed = subprocess.run(
        ["ss", "-Htan", *states, "sport", "=", f":{port}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.splitlines()


def kernel_threads(prefix: str) -> list[str]:
    """Kernel threads whose name begins so."""
    names = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.append(path.read_text().strip())
        except OSError:
            continue
    return [name for name in names if name.startswith(prefix)]


def references(module: str) -> str:
    """How often a module is in use; "-" where it is not loaded."""
    path = Path("/sys/module", module, "refcnt")
    return path.read_text().strip() if path.exists() else "-"


def leave_politely(client: WireClient) -> None:
    """Everything that was asked is answered."""
    client.close()


def leave_in_the_middle(client: WireClient) -> None:
    """A command is begun, and the device is about to answer."""
    client.submit(BULK_OUT, data=INQUIRY)
    for _ in range(4):
        client.submit(BULK_IN, 512)
    client.close()


def leave_with_a_reset(client: WireClient) -> None:
    """As a machine does that is switched off and on: RST instead of FIN."""
    client.submit(BULK_IN, 512)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


WAYS = (leave_politely, leave_in_the_middle, leave_with_a_reset)


def cycle(number: int, exporter: Exporter, stick: Stick) -> None:
    """One session, and until the device can be had again."""
    if number % VHCI_EVERY == VHCI_EVERY - 1:
        with importing("stock", exporter, {stick.busid: stick.id}) as found:
            wait_for(lambda: host.disk_of(found[stick.busid]), "a disk", host.STACK_LIMIT_S)
    else:
        client = WireClient(exporter.port, stick.busid)
        try:
            assert client.device_descriptor()[8:12] == bytes.fromhex("81078155")
            client.control_out(SET_CONFIGURATION)
        finally:
            WAYS[number % len(WAYS)](client)
    wait_until_listed(exporter.port, stick.busid)


def soak(stub: str, stick: Stick, cycles: int) -> list[Footprint]:
    """Let it serve that often; the footprints after each cycle. Fails where something is left."""
    with serving(stub, [stick.busid]) as serve:
        exporter = Exporter(stub, serve.port, serve.pid)
        figures = []
        for number in range(cycles):
            cycle(number, exporter, stick)
            figures.append(footprint(serve.pid, serve.port))
        with importing("stock", exporter, {stick.busid: stick.id}) as found:
            disk = wait_for(lambda: host.disk_of(found[stick.busid]), "a disk", host.STACK_LIMIT_S)
            assert sha256(disk) == stick.checksum()
        wait_until_listed(serve.port, stick.busid)
        assert_nothing_is_left(serve, figures)
    return figures


def assert_nothing_is_left(serve: Serve, figures: list[Footprint]) -> None:
    """Compare with the time when everything had been used once; now is after one session more."""
    settled = figures[min(2 * VHCI_EVERY, len(figures) // 2)]

    def settled_again() -> bool:
        now = footprint(serve.pid, serve.port)
        same = ("files", "threads", "stub_threads", "references")
        return not now.connections and all(
            getattr(now, name) <= getattr(settled, name) for name in same
        )

    wait_for(settled_again, f"no more than {settled}, but {footprint(serve.pid, serve.port)}", 10.0)
    last = figures[-1]
    assert last.stub_threads == 0
    if len(figures) >= LONG:
        assert last.rss_kib <= settled.rss_kib * GROWTH
        assert last.unreclaimable_kib <= settled.unreclaimable_kib + KERNEL_GROWTH_KIB


@pytest.fixture(scope="module")
def filled_stick(kernel_modules: None) -> Iterator[Stick]:
    """A small stick with something on it, that nobody exports yet."""
    with Stick("dummy_udc.0", size_mib=STICK_MIB) as stick:
        stick.fill()
        yield stick


@pytest.mark.parametrize("stub", STUBS)
def test_many_sessions_leave_nothing(stub: str, filled_stick: Stick) -> None:
    figures = soak(stub, filled_stick, CYCLES)
    settled, last = figures[min(2 * VHCI_EVERY, CYCLES // 2)], figures[-1]
    print(f"{stub}: {CYCLES} sessions\n  settled {settled}\n  last    {last}")
    results = Path(os.environ.get("GADGETIP_RESULTS", "/tmp"))
    rows = [figure._asdict() for figure in figures]
    (results / f"soak-{stub}.json").write_text(json.dumps(rows))
