"""What is done to the attachments: each disturbance does something, and undoes it after a while.

It says whom it hits, one attachment or all, whether it is a crash (which a supervisor counts), and
whether the link must survive it.
"""

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod

from tests.soak.scene import Scene
from tests.system import usbfs


class Disturbance(ABC):
    """One way to disturb. `target` is an attachment's name; those that hit all ignore it."""

    hits_all = False
    is_crash = False
    keeps_link = False
    """The attachment must not lose its device: the same worker carries on."""
    breaks_link = False
    """The attachment must notice: it has been running since a later time than the disturbance."""
    longest_s = 0.0
    """Between doing and undoing, at most."""

    @property
    def name(self) -> str:
        """For the log."""
        return type(self).__name__

    def possible(self, scene: Scene) -> bool:
        """Whether there is something to disturb."""
        return True

    @abstractmethod
    def do(self, scene: Scene, target: str) -> None:
        """Disturb."""

    def undo(self, scene: Scene, target: str) -> None:
        """Make it good again; nothing where that is what the attachment has to do."""
        return


def _local_ports(scene: Scene, target: str) -> list[str]:
    """The client's TCP ports of an attachment's connections: whose processes have them open."""
    shown = scene.kept.shown().get(target)
    pids = {shown.pid, shown.worker_pid} - {None} if shown else set()
    listed = subprocess.run(
        ["ss", "-Htnp", "state", "established", "dport", "=", f":{scene.server.port}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return [
        row.split()[2].rpartition(":")[2]
        for row in listed.stdout.splitlines()
        if any(f"pid={pid}," in row for pid in pids)
    ]


class CutConnection(Disturbance):
    """RST on the connection of one device (SOCK_DESTROY)."""

    breaks_link = True

    def do(self, scene: Scene, target: str) -> None:
        for port in _local_ports(scene, target):
            command = ["ss", "-K", "sport", "=", f":{port}", "dport", "=", f":{scene.server.port}"]
            subprocess.run(command, check=True, capture_output=True)


class CutAllConnections(Disturbance):
    """RST on all of them, at the server's end."""

    breaks_link = True
    hits_all = True

    def do(self, scene: Scene, target: str) -> None:
        command = ["ss", "-K", "sport", "=", f":{scene.server.port}"]
        subprocess.run(command, check=True, capture_output=True)


class RestartServer(Disturbance):
    """SIGTERM, and after a while another one."""

    hits_all = True
    longest_s = 4.0

    def do(self, scene: Scene, target: str) -> None:
        scene.server.stop()

    def undo(self, scene: Scene, target: str) -> None:
        scene.server.start()


class KillServer(RestartServer):
    """kill -9, and after a while another one."""

    def do(self, scene: Scene, target: str) -> None:
        scene.server.kill()


class Replug(Disturbance):
    """Out of its port and in again."""

    breaks_link = True
    longest_s = 5.0

    def do(self, scene: Scene, target: str) -> None:
        scene.devices[target].unplug()

    def undo(self, scene: Scene, target: str) -> None:
        device = scene.devices[target]
        device.plug(self.cable(scene, target))
        scene.server.export(device.busid)

    def cable(self, scene: Scene, target: str) -> str:
        """Where it is plugged in again."""
        return scene.devices[target].cable


class Move(Replug):
    """Out of its port and into another: its bus id changes."""

    def cable(self, scene: Scene, target: str) -> str:
        return scene.free_cable()


class KillWorker(Disturbance):
    """kill -9 of the process that carries the traffic."""

    breaks_link = True
    is_crash = True

    def do(self, scene: Scene, target: str) -> None:
        if (shown := scene.kept.shown().get(target)) and shown.worker_pid:
            _kill(shown.worker_pid)


class KillAttachment(Disturbance):
    """kill -9 of the attachment's own process."""

    breaks_link = True
    is_crash = True

    def do(self, scene: Scene, target: str) -> None:
        if (shown := scene.kept.shown().get(target)) and shown.pid:
            _kill(shown.pid)


class KillSupervisor(Disturbance):
    """kill -9 of the process that keeps all of them."""

    breaks_link = True
    hits_all = True

    def possible(self, scene: Scene) -> bool:
        return bool(scene.kept.supervisors())

    def do(self, scene: Scene, target: str) -> None:
        for pid in scene.kept.supervisors():
            _kill(pid)


class ResetPort(Disturbance):
    """The host resets the replica's port, as its drivers do when they despair."""

    keeps_link = True

    def do(self, scene: Scene, target: str) -> None:
        scene.host_did(target, "the host reset its port")
        with contextlib.suppress(OSError):  # its own drivers may be at it
            usbfs.reset(scene.replica(target))


class Deauthorize(Disturbance):
    """The host forbids the replica to be used, and allows it again."""

    keeps_link = True
    longest_s = 3.0

    def do(self, scene: Scene, target: str) -> None:
        scene.host_did(target, "the host forbade its use")
        (scene.replica(target) / "authorized").write_text("0")

    def undo(self, scene: Scene, target: str) -> None:
        (scene.replica(target) / "authorized").write_text("1")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


DISTURBANCES: tuple[Disturbance, ...] = (
    CutConnection(),
    CutAllConnections(),
    RestartServer(),
    KillServer(),
    Replug(),
    Move(),
    KillWorker(),
    KillAttachment(),
    KillSupervisor(),
    ResetPort(),
    Deauthorize(),
)
