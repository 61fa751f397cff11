"""FunctionFS through configfs: the backend for whatever its descriptors allow.

One FunctionFS function carries all interfaces of the replica. Descriptors and strings are written
to its ep0 file once, in the structures of `functionfs`; then its endpoint files appear. Where the
plan needs fillers (`gadgetip.gadget.steering`), a second function that has no interface is linked
before it.

Of `functionfs`, the `Function` class is not used: it asserts that endpoint numbers follow one
another, opens endpoint files in blocking mode and serves endpoint 0 on the thread that serves the
data; nor is `gadget.Gadget`, which cannot cap the speed and cannot clean up after another process.

Order matters to the kernel: the controller is let go before the files are closed, the files
are closed before the filesystem is unmounted, the filesystem before configfs forgets the function.
"""

import contextlib
import logging
import os
import subprocess
from pathlib import Path

from functionfs.functionfs import ALL_CTRL_RECIP, CONFIG0_SETUP

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.backends.base import Backend, Replica
from gadgetip.gadget.configfs import ConfigfsGadget, require_configfs
from gadgetip.gadget.ffs_descriptors import filler_blob, function_blob, strings_blob
from gadgetip.gadget.plan import Plan

log = logging.getLogger(__name__)

RUN_DIRECTORY = Path("/run/gadgetip")
MAIN, FILLER = "f", "x"


class FunctionFsBackend(Backend):
    """See `gadgetip.gadget.backends.base.Backend`."""

    name = "functionfs"

    def __init__(self, udc: str) -> None:
        super().__init__(udc)
        self._gadget = ConfigfsGadget(udc)
        self._files: list[int] = []

    def check(self) -> None:
        """Check for root, configfs, libcomposite and FunctionFS, loading what can be loaded."""
        if os.geteuid() != 0:
            raise PrerequisiteError("building a gadget needs root: try again with sudo")
        for module in ("libcomposite", "usb_f_fs"):
            _load(module)
        require_configfs()

    def clean(self) -> None:
        """Remove our own debris of this controller."""
        if self._gadget.exists or any(m.exists() for m in self._mount_points()):
            log.info("removing what an earlier attachment to %s left behind", self.udc)
            self.remove()

    def build(self, plan: Plan) -> Replica:
        """Make the gadget, mount FunctionFS, write the descriptors, open the files."""
        instances = [self._instance(MAIN)]
        if plan.fillers:
            instances.insert(0, self._instance(FILLER))
        self._gadget.make(plan.identity, plan.speed, plan.configuration_value, instances)
        if plan.fillers:
            self._mount(FILLER)
            self._open_ep0(FILLER, filler_blob(plan.fillers), strings_blob({}))
        mount_point = self._mount(MAIN)
        ep0 = self._open_ep0(
            MAIN,
            function_blob(plan.descriptors, ALL_CTRL_RECIP | CONFIG0_SETUP),
            strings_blob(plan.interface_strings),
        )
        self._gadget.link(plan.configuration_value, instances)
        endpoints = {
            route.address: self._open(mount_point / f"ep{position}", os.O_NONBLOCK)
            for position, route in enumerate(plan.routes[plan.speed], 1)
        }
        return Replica(udc=self.udc, ep0=ep0, endpoints=endpoints)

    def bind(self) -> None:
        """Show the replica to the host."""
        self._gadget.bind()

    def remove(self) -> None:
        """Unplug and remove everything, in the order that the kernel needs."""
        with contextlib.suppress(OSError):
            self._gadget.unbind()
        while self._files:
            with contextlib.suppress(OSError):
                os.close(self._files.pop())
        try:
            for mount_point in self._mount_points():
                _unmount(mount_point)
            self._gadget.remove()
        except OSError as error:
            raise GadgetipError(
                f"the old gadget {self._gadget.path} cannot be removed ({error.strerror}): "
                "is another process still using its files?"
            ) from None

    def _instance(self, role: str) -> str:
        return f"{self.udc}.{role}"

    def _mount_points(self) -> list[Path]:
        return [RUN_DIRECTORY / self._instance(role) for role in (MAIN, FILLER)]

    def _mount(self, role: str) -> Path:
        instance = self._instance(role)
        mount_point = RUN_DIRECTORY / instance
        mount_point.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "functionfs", instance, str(mount_point))
        return mount_point

    def _open_ep0(self, role: str, descriptors: bytes, strings: bytes) -> int:
        ep0 = self._open(RUN_DIRECTORY / self._instance(role) / "ep0")
        try:
            os.write(ep0, descriptors)
            os.write(ep0, strings)
        except OSError as error:
            raise GadgetipError(
                f"FunctionFS refused the descriptors ({error.strerror}); the kernel log has details"
            ) from None
        return ep0

    def _open(self, path: Path, flags: int = 0) -> int:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags)
        self._files.append(file)
        return file


def _load(module: str) -> None:
    """Best effort: where the module is built in, or modprobe is missing, the checks decide."""
    with contextlib.suppress(OSError):
        subprocess.run(["modprobe", "-q", module], check=False, capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise GadgetipError(f"{' '.join(command)}: {reason}")


def _unmount(mount_point: Path) -> None:
    if mount_point.is_mount():
        # Lazily: with a file still open somewhere, the rest must be removed all the same.
        _run("umount", "--lazy", str(mount_point))
    with contextlib.suppress(OSError):
        mount_point.rmdir()
