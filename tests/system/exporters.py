"""The three servers that there are, alike for a test: `exporting("userspace", busids)`.

    stock       usbip bind, and usbipd
    kernel      gadgetip serve --stub kernel
    userspace   gadgetip serve --stub userspace

Each listens on a port of its own, exports these devices to everybody on this machine, and gives
them back to their drivers when the context ends.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.server import StockServer
from tests.system.serving import Serve
from tests.system.wire_client import wait_until_listed

PORTS = {"stock": 3240, "kernel": 3251, "userspace": 3252}
STUBS = ("kernel", "userspace")
DEVICES = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class Exporter:
    """A running server."""

    kind: str
    port: int
    pid: int

    @property
    def host(self) -> str:
        """As gadgetip's commands want it."""
        return f"127.0.0.1:{self.port}"


def rule(busids: Sequence[str]) -> str:
    """A policy's rule that exports what is plugged in at these port paths."""
    matches = ", ".join(f'{{ busid = "{busid}" }}' for busid in busids)
    return f'[[export]]\nname = "bench"\nmatch = [{matches}]\n'


@contextmanager
def serving(stub: str, busids: Sequence[str]) -> Iterator[Serve]:
    """`gadgetip serve` with one of its stubs; it must end well."""
    with Serve(policy=rule(busids), port=PORTS[stub], stub=stub) as serve:
        wait_until_listed(serve.port, *busids)
        yield serve
        status = serve.stop()
        assert status == 0, serve.errors
        assert "Traceback" not in serve.errors, serve.errors


@contextmanager
def exporting(kind: str, busids: Sequence[str]) -> Iterator[Exporter]:
    """Run one of the servers with these devices."""
    if kind != "stock":
        with serving(kind, busids) as serve:
            yield Exporter(kind, serve.port, serve.pid)
        return
    with ExitStack() as stack:
        server = stack.enter_context(StockServer(port=PORTS[kind]))
        for busid in busids:
            stack.enter_context(server.exporting(busid))
        wait_until_listed(server.port, *busids)
        yield Exporter(kind, server.port, server.pid)


def drivers_of(busid: str) -> list[str]:
    """The drivers of a local device's interfaces, in order."""
    found = sorted(DEVICES.glob(f"{busid}:*/driver"))
    return [path.resolve().name for path in found]
