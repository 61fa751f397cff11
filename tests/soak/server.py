"""The server of the soak, one of three, alike for a disturbance: stop, kill, start, export.

stock       usbipd; who plugs a device in must bind it, as an administrator's udev rule would
kernel      gadgetip serve --stub kernel: exports what is plugged into the server's cables
userspace   gadgetip serve --stub userspace
"""

import subprocess
from abc import ABC, abstractmethod

from tests.system.exporters import PORTS, rule
from tests.system.server import StockServer
from tests.system.serving import Serve

KINDS = ("stock", "kernel", "userspace")


class Server(ABC):
    """A server that runs between `start` and `stop`."""

    port: int

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it listens."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to end, and wait."""

    @abstractmethod
    def kill(self) -> None:
        """kill -9."""

    def export(self, busid: str) -> None:
        """Somebody has plugged in a device; nothing for a server that sees it by itself."""
        return

    def said(self) -> str:
        """What it wrote on standard error."""
        return ""


class _Stock(Server):
    port = PORTS["stock"]

    def __init__(self) -> None:
        self._server = StockServer(port=self.port)

    def start(self) -> None:
        self._server.__enter__()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def export(self, busid: str) -> None:
        subprocess.run(["usbip", "bind", "-b", busid], check=False, capture_output=True)


class _Ours(Server):
    def __init__(self, stub: str, busids: list[str]) -> None:
        self.port = PORTS[stub]
        self._serve = Serve(policy=rule(busids), port=self.port, stub=stub)

    def start(self) -> None:
        self._serve.start()

    def stop(self) -> None:
        status = self._serve.stop()
        assert status == 0, self._serve.errors

    def kill(self) -> None:
        self._serve.kill()

    def said(self) -> str:
        return self._serve.errors


def make_server(kind: str, busids: list[str]) -> Server:
    """One of the three; `busids` are all places that it may export from."""
    return _Stock() if kind == "stock" else _Ours(kind, busids)
