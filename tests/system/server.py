"""The stock server: usbipd and the kernel's usbip-host."""

import contextlib
import subprocess
from collections.abc import Iterator
from types import TracebackType

from tests.system.waiting import wait_for

PORT = 3240


class StockServer:
    """usbipd in the foreground, on all addresses of the guest."""

    def __init__(self, *options: str, port: int = PORT) -> None:
        self.port = port
        self._command = ["usbipd", "--tcp-port", str(port), *options]

    def __enter__(self) -> "StockServer":
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._listens, "usbipd listening")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        return self._process.pid

    def stop(self) -> None:
        """Stop serving; devices that are in use stay with the kernel."""
        self._process.terminate()
        self._process.wait(timeout=10)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(timeout=10)

    def _listens(self) -> bool:
        listening = subprocess.run(
            ["ss", "-Hltn", f"sport = :{self.port}"], check=True, capture_output=True, text=True
        )
        return bool(listening.stdout.strip())

    @contextlib.contextmanager
    def exporting(self, busid: str) -> Iterator[None]:
        """Bind a local device to usbip-host for a while."""
        subprocess.run(["usbip", "bind", "-b", busid], check=True, capture_output=True)
        try:
            yield
        finally:
            # Fails when the test has unplugged the device: then nothing is left to unbind.
            subprocess.run(["usbip", "unbind", "-b", busid], check=False, capture_output=True)
