"""What the board is asked over ssh, by the server, through one connection a boot.

Encryption takes an emulated processor seconds, so that one connection is opened and shared. The
first one to a card learns its host key, and every later one insists on that: a key that changed
over a power cut fails here.
"""

import json
import shlex
from typing import Any

from tests.image.server import BOARD_ADDRESS, Running, Server

LOGIN = f"root@{BOARD_ADDRESS}"
KEY = "/run/gadgetip-bench/board-key"
KNOWN = "/run/gadgetip-bench/known-hosts"

OPTIONS = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60"),
    *("-o", f"UserKnownHostsFile={KNOWN}", "-o", "StrictHostKeyChecking=accept-new"),
    *("-o", "IdentitiesOnly=yes", "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=6"),
)


class Refused(AssertionError):
    """A command on the board had another status than 0."""


class Asking:
    """The connection of one boot."""

    def __init__(self, server: Server, number: int) -> None:
        self._server = server
        self._socket = f"/run/gadgetip-bench/ssh-{number}"

    def connect(self, limit_s: float) -> None:
        """Log in, as soon as that works."""
        command = shlex.join(["ssh", *OPTIONS, "-i", KEY, "-S", self._socket, "-MNf", LOGIN])
        self._server.sh(
            f"until {command} >/run/gadgetip-bench/ssh.log 2>&1 </dev/null; do "
            "! grep -q 'HOST IDENTIFICATION HAS CHANGED' /run/gadgetip-bench/ssh.log || exit 1; "
            "sleep 1; done",
            limit_s=limit_s,
        )

    def __call__(self, command: str, limit_s: float = 120.0) -> str:
        """Run a shell's command on the board; what it prints, both streams. Raises Refused."""
        done = self._server.run(*self.words(command), limit_s=limit_s)
        if done.status:
            raise Refused(f"status {done.status}: {command}\n{done.text}")
        return done.text

    def status(self, command: str, limit_s: float = 120.0) -> int:
        """Run a command for its status."""
        return self._server.run(*self.words(command), limit_s=limit_s).status

    def json(self, command: str, limit_s: float = 120.0) -> Any:
        """What a command prints on its standard output, as JSON."""
        return json.loads(self(f"{command} 2>/dev/null", limit_s))

    def begin(self, command: str) -> Running:
        """Start a command that goes on."""
        return self._server.begin(*self.words(command))

    def words(self, command: str) -> list[str]:
        """The ssh command for it, in the server."""
        return ["ssh", *OPTIONS, "-S", self._socket, LOGIN, command]

    def line(self, command: str) -> str:
        """The same for the server's shell, which may redirect it."""
        return shlex.join(self.words(command))

    def close(self) -> None:
        """Forget a board that may have no power any more."""
        self._server.run("ssh", *OPTIONS, "-S", self._socket, "-O", "exit", LOGIN)
        self._server.run("rm", "-f", self._socket)


def make_key(server: Server) -> str:
    """A key to log in with, made in the server; returns its public half."""
    server.sh(f"rm -f {KEY}*; ssh-keygen -q -t ed25519 -N '' -C test -f {KEY}")
    return server.sh(f"cat {KEY}.pub").strip()


def forget_host(server: Server) -> None:
    """Another card has another host key."""
    server.sh(f"rm -f {KNOWN}")
