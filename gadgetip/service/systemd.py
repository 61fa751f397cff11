"""What systemd wants from a service: a word when it is ready, signs of life, and its sockets.

All three are a few environment variables and one datagram (sd_notify(3), sd_listen_fds(3)), so no
library is needed. Without systemd the variables are not set and nothing happens.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

FIRST_FD = 3
"""SD_LISTEN_FDS_START."""
MAX_FDS = 64
SEND_LIMIT_S = 0.5


class Notifier:
    """Tells systemd how the service is (Type=notify); silent where there is no systemd."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        """Read and clear the variables, so that no child speaks in our name."""
        environment = os.environ if environment is None else environment
        self._address = environment.pop("NOTIFY_SOCKET", "")
        interval = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        self.watchdog_s = (
            int(interval) / 1e6 if interval.isascii() and interval.isdigit() and ours else 0.0
        )
        """Within how many seconds systemd wants a sign of life; 0: it wants none."""

    def ready(self, status: str) -> None:
        """Tell that the service serves, after its start or after a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def reloading(self) -> None:
        """Tell that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the service is about to end."""
        self._send("STOPPING=1")

    def status(self, status: str) -> None:
        """Tell what `systemctl status` shows."""
        self._send(f"STATUS={_line(status)}", limit_s=0)

    def alive(self) -> None:
        """The sign of life that the watchdog waits for."""
        self._send("WATCHDOG=1", limit_s=0)

    def _send(self, message: str, limit_s: float = SEND_LIMIT_S) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL byte of an abstract address.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        # Whoever does not listen to news must not stop the service.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream,
        ):
            # The queue is short (net.unix.max_dgram_qlen); systemd empties it at once.
            stream.settimeout(limit_s)
            stream.connect(address)
            stream.send(message.encode("utf-8", "backslashreplace"))


def activation_sockets(
    environment: MutableMapping[str, str] | None = None, first_fd: int = FIRST_FD
) -> tuple[socket.socket, ...]:
    """The listening sockets that systemd opened for us, none if it did not; clears the variables.

    What is no listening TCP socket is ignored: a unit may pass other files too.
    """
    environment = os.environ if environment is None else environment
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return ()
    sockets = []
    for fd in range(first_fd, first_fd + min(int(count), MAX_FDS)):
        listener = _listening(fd)
        if listener is not None:
            sockets.append(listener)
    return tuple(sockets)


def _listening(fd: int) -> socket.socket | None:
    try:
        candidate = socket.socket(fileno=fd)
    except OSError:
        return None
    if (
        candidate.family in {socket.AF_INET, socket.AF_INET6}
        and candidate.type == socket.SOCK_STREAM
        and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        candidate.setblocking(False)
        candidate.set_inheritable(False)
        return candidate
    candidate.detach()
    return None


def _line(text: str) -> str:
    """A value of the protocol is one line."""
    return " ".join(text.split())
