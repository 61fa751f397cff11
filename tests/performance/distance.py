"""How far the server is: every packet on the loopback interface is delayed by netem.

A packet passes the loopback interface's queue once, and its answer passes the same queue once: each
is delayed by half the round trip. netem's own timer is a high-resolution one, so that nothing is
rounded up to a tick of the kernel. What a round trip really takes is measured, not believed: 48
bytes, the size of a USB/IP header, to and fro over a TCP connection.
"""

import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEADER_BYTES = 48
QUEUE_PACKETS = 20000


@contextmanager
def distance(round_trip_ms: float) -> Iterator[None]:
    """Delay every packet on the loopback interface by half the round trip."""
    if not round_trip_ms:
        yield
        return
    delay = ["netem", "delay", f"{round_trip_ms / 2}ms", "limit", str(QUEUE_PACKETS)]
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", *delay], check=True)
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


class Echo:
    """A TCP connection to a thread that sends back what it gets."""

    def __enter__(self) -> "Echo":
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._near = socket.create_connection(listening.getsockname())
            self._far, _ = listening.accept()
        for end in (self._near, self._far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._answer, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()

    def round_trip_ms(self, times: int = 5) -> float:
        """The median of so many."""
        taken = []
        for _ in range(times):
            began = time.monotonic()
            self._near.sendall(bytes(HEADER_BYTES))
            missing = HEADER_BYTES
            while missing:
                missing -= len(self._near.recv(missing))
            taken.append(1000 * (time.monotonic() - began))
        return statistics.median(taken)

    def _answer(self) -> None:
        with self._far:
            while data := self._far.recv(HEADER_BYTES):
                self._far.sendall(data)
