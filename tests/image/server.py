"""The server: the bench's machine, with devices to export and the board's network behind a card.

What it has beside that is ssh, by which the board is asked. Commands run in it through its agent.
"""

import argparse
import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.image.emulator import NETWORK
from tests.machine import __main__ as bench
from tests.machine import environment, python_files
from tests.machine.client import Agent, MachineGone, OutOfTime
from tests.machine.monitor import Monitor

MAC = "52:54:00:67:69:01"
ADDRESS = "10.77.0.1"
BOARD_ADDRESS = "10.77.0.10"
PORT = 3240
STICK, KEYBOARD = "stick", "keyboard"
"""What the devices are published as."""
STICK_ID, STICK_SERIAL = "46f4:0001", "GADGETIP0001"
STICK_SIZE = 64 << 20
RUN = "/run/gadgetip-bench"

POLICY = f"""\
schema = "policy/1"

[serve]
listen = ["{ADDRESS}"]
# The board's clock is slower than ours: its answers may take that long.
dead_client_s = 120

[[export]]
name = "{STICK}"
publish_as = "{STICK}"
match = {{ id = "{STICK_ID}" }}

[[export]]
name = "{KEYBOARD}"
publish_as = "{KEYBOARD}"
match = {{ id = "0627:0001", name = "*Keyboard*" }}
"""

DHCP = f"""\
start {BOARD_ADDRESS}
end {BOARD_ADDRESS}
interface %s
lease_file {RUN}/leases
pidfile {RUN}/udhcpd.pid
option subnet 255.255.255.0
option lease 86400
"""

SET_UP = """\
set -e
for path in /sys/class/net/*; do
    [ "$(cat $path/address)" != "$1" ] || card=${path##*/}
done
[ -n "$card" ] || { echo "no network card with the address $1"; ip link; exit 1; }
ip link set lo up
ip address replace "$2/24" dev $card
ip link set $card up
echo "$3" | sed "s/%s/$card/" >/run/gadgetip-bench/udhcpd.conf
: >/run/gadgetip-bench/leases
busybox udhcpd /run/gadgetip-bench/udhcpd.conf
echo "$4" >/run/gadgetip-bench/policy.toml
modprobe usbip_host
"""

SERVE = f"""\
setsid python -m gadgetip serve --policy {RUN}/policy.toml >>{RUN}/serve.log 2>&1 </dev/null &
echo $! >{RUN}/serve.pid
"""


class CommandFailed(AssertionError):
    """A command in the server had another status than 0."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed, both streams in one."""

    status: int
    text: str


class Server:
    """The machine, up until `close`."""

    def __init__(self, directory: Path, exchange: Path, sockets: Path) -> None:
        """`exchange` is a directory that this computer and the machine both write."""
        self.exchange = exchange
        self.exports = False
        card = f"virtio-net-pci,netdev=cable,mac={MAC},romfile="
        network = f"stream,id=cable,server=on,addr.type=unix,addr.path={sockets / NETWORK}"
        words = f"-netdev {network} -device {card}"
        # The board has the other of this computer's two cores.
        options = argparse.Namespace(memory="1G", cpus=1, results=exchange, qemu=[words])
        self.machine = bench.boot_up(directory / "server", options, keep=False)
        archive = self.machine.directory / python_files.CHECKOUT
        python_files.pack(archive, python_files.checkout())
        self.sh(python_files.unpacking(archive, python_files.checkout()))
        self.sh(SET_UP, MAC, ADDRESS, DHCP, POLICY)

    def close(self) -> None:
        """End it."""
        self.machine.kill()

    def run(self, *argv: str, limit_s: float = 120.0) -> Done:
        """Run a command to its end; raises AssertionError after the limit."""
        output: list[bytes] = []
        agent = self.machine.connect(30.0)
        try:
            status = agent.execute(
                argv,
                cwd=environment.directory(),
                env=self._environment,
                output=output.append,
                deadline=time.monotonic() + limit_s,
            )
        except OutOfTime:
            said = b"".join(output).decode(errors="replace")
            raise AssertionError(f"not done after {limit_s:.0f} s: {argv}\n{said}") from None
        finally:
            agent.close()
        return Done(status, b"".join(output).decode(errors="replace"))

    def sh(self, script: str, *arguments: str, limit_s: float = 120.0) -> str:
        """Run a shell's script; what it prints. Raises CommandFailed."""
        done = self.run("sh", "-c", script, "sh", *arguments, limit_s=limit_s)
        if done.status:
            raise CommandFailed(f"status {done.status}: {script}\n{done.text}")
        return done.text

    def begin(self, *argv: str) -> "Running":
        """Start a command that goes on while others run."""
        return Running(self.machine.connect(30.0), argv, self._environment)

    def export(self) -> None:
        """Serve, if that is not done already; returns when somebody listens."""
        if self.exports:
            return
        self.exports = True
        self.sh(SERVE)
        self.sh(
            f"until ss -Hltn 'sport = :{PORT}' | grep -q .; do "
            f"kill -0 $(cat {RUN}/serve.pid) || {{ cat {RUN}/serve.log; exit 1; }}; "
            "sleep 0.2; done"
        )

    def stop_exporting(self) -> None:
        """End the service, so that nobody listens."""
        if not self.exports:
            return
        self.exports = False
        self.sh(f"pid=$(cat {RUN}/serve.pid); kill $pid; while kill -0 $pid; do sleep 0.2; done")

    @property
    def serve_log(self) -> str:
        """What the service said."""
        return self.sh(f"cat {RUN}/serve.log")

    def press(self, key: str) -> None:
        """Press a key of the keyboard, and let go."""
        with Monitor(self.machine.monitor) as monitor:
            monitor.human(f"sendkey {key}")

    @property
    def stick(self) -> Path:
        """What lies behind the stick: a file of this computer."""
        return self.machine.sockets / "stick.img"

    @property
    def _environment(self) -> dict[str, str]:
        return environment.variables(os.environ, self.exchange)


class Running:
    """A command in the server that has not ended."""

    def __init__(self, agent: Agent, argv: Sequence[str], variables: dict[str, str]) -> None:
        self._agent = agent
        self._output: list[bytes] = []
        self._status: int | None = None
        agent.begin(argv, cwd=environment.directory(), env=variables)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """What it printed until now."""
        return b"".join(self._output).decode(errors="replace")

    def wait_for(self, text: str, limit_s: float) -> None:
        """Return when it has printed this."""
        deadline = time.monotonic() + limit_s
        while text not in self.text:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} does not come: {self.text}")
            self._thread.join(0.1)

    def end(self, limit_s: float) -> Done:
        """Wait for its end."""
        self._thread.join(limit_s)
        if self._status is None:
            raise AssertionError(f"not done after {limit_s:.0f} s: {self.text}")
        self._agent.close()
        return Done(self._status, self.text)

    def abandon(self) -> None:
        """Kill it."""
        self._agent.close()
        self._thread.join()

    def _follow(self) -> None:
        with contextlib.suppress(MachineGone, OSError, ValueError):
            while self._status is None:
                self._status = self._agent.progress(self._agent.receive(), self._output.append)
