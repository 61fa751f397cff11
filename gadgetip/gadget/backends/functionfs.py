"""FunctionFS through configfs: the backend for whatever its descriptors allow.

One FunctionFS function a configuration carries all interfaces of it. Descriptors and strings are
written to its ep0 file once, in the structures of `functionfs`; then its endpoint files appear.
Where the plan needs fillers (`gadgetip.gadget.steering`), another function that has no interface
is linked before it.

Of `functionfs`, the `Function` class is not used: it asserts that endpoint numbers follow one
another, opens endpoint files in blocking mode and serves endpoint 0 on the thread that serves the
data; nor is `gadget.Gadget`, which cannot cap the speed and cannot clean up after another process.

Order matters to the kernel: the controller is let go before the files are closed, the files
are closed before the filesystem is unmounted, the filesystem before configfs forgets the function.
"""

import contextlib
import logging
import os
from pathlib import Path

from functionfs.functionfs import ALL_CTRL_RECIP, CONFIG0_SETUP

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.backends.base import Backend, Replica
from gadgetip.gadget.backends.system_calls import (
    RUN_DIRECTORY,
    load_module,
    mount,
    require_root,
    unmount,
)
from gadgetip.gadget.capabilities import Capabilities, Form
from gadgetip.gadget.configfs import ConfigfsGadget, require_configfs
from gadgetip.gadget.ffs_descriptors import filler_blob, function_blob, strings_blob
from gadgetip.gadget.host_events import FillerEvents, FunctionFsEvents
from gadgetip.gadget.planned import Plan, PlannedConfiguration
from gadgetip.gadget.udc import SYSFS_UDC
from gadgetip.pump import EndpointRoute
from gadgetip.usb import Speed

log = logging.getLogger(__name__)

FUNCTIONFS = Capabilities(
    name="functionfs",
    form=Form.FUNCTION,
    max_speed=Speed.SUPER,
    max_configurations=8,
    max_configuration_bytes=4096,
    max_control_bytes=4096,
    remote_wakeup=True,
)


class FunctionFsEndpoints:
    """Its endpoint files stay open from before the host sees them until the end.

    The kernel enables and disables them by itself; requests on a disabled one fail.
    """

    def __init__(self, files: dict[int, dict[int, int]]) -> None:
        self._files = files
        self._chosen = next(iter(files), 0)

    def choose(self, configuration: int) -> None:
        """See `gadgetip.gadget.backends.base.ReplicaEndpoints`."""
        self._chosen = configuration

    def open(self, route: EndpointRoute) -> int:
        """The file of this address in the chosen configuration."""
        return self._files[self._chosen][route.address]

    def close(self, route: EndpointRoute, file: int) -> None:
        """Nothing to do."""


class FunctionFsBackend(Backend):
    """See `gadgetip.gadget.backends.base.Backend`."""

    name = FUNCTIONFS.name

    def __init__(self, udc: str) -> None:
        super().__init__(udc)
        self._gadget = ConfigfsGadget(udc)
        self._files: list[int] = []

    @classmethod
    def declared(cls) -> Capabilities:
        """The same everywhere."""
        return FUNCTIONFS

    @classmethod
    def capabilities(cls) -> Capabilities:
        """Check for root, configfs, libcomposite and FunctionFS, loading what can be loaded."""
        require_root()
        for module in ("libcomposite", "usb_f_fs"):
            load_module(module)
        try:
            require_configfs()
        except PrerequisiteError as missing:
            return FUNCTIONFS.without(str(missing))
        return FUNCTIONFS

    def clean(self) -> None:
        """Remove our own debris of this controller."""
        if self._gadget.exists or self._mount_points():
            log.info("removing what an earlier attachment to %s left behind", self.udc)
            self.remove()

    def build(self, plan: Plan, worker_uid: int) -> Replica:  # noqa: ARG002 (files stay open)
        """Make the gadget, mount FunctionFS, write the descriptors, open the files."""
        instances = {each.value: self._instances(each) for each in plan.configurations}
        self._gadget.make(plan, instances)
        events: list[FunctionFsEvents] = []
        files: dict[int, dict[int, int]] = {}
        for each in plan.configurations:
            heard, files[each.value] = self._build_function(each, plan.speed)
            events.extend(heard)
        for value, names in instances.items():
            self._gadget.link(value, names)
        wakeup = None
        if plan.remote_wakeup:
            wakeup = self._open(SYSFS_UDC / self.udc / "srp", os.O_WRONLY)
        return Replica(
            self.udc, tuple(events), FunctionFsEndpoints(files), frozenset(self._files), wakeup
        )

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
                unmount(mount_point)
            self._gadget.remove()
        except OSError as error:
            raise GadgetipError(
                f"the old gadget {self._gadget.path} cannot be removed ({error.strerror}): "
                "is another process still using its files?"
            ) from None

    def _build_function(
        self, planned: PlannedConfiguration, speed: Speed
    ) -> tuple[list[FunctionFsEvents], dict[int, int]]:
        events: list[FunctionFsEvents] = []
        if planned.fillers:
            filler = self._instance("x", planned)
            mount("functionfs", filler, RUN_DIRECTORY / filler)
            ep0 = self._open_ep0(filler, filler_blob(planned.fillers), strings_blob({}))
            events.append(FillerEvents(ep0, planned.value, (), planned.filler_addresses))
        function = self._instance("c", planned)
        mount("functionfs", function, RUN_DIRECTORY / function)
        ep0 = self._open_ep0(
            function,
            function_blob(planned.descriptors, ALL_CTRL_RECIP | CONFIG0_SETUP),
            strings_blob(planned.interface_strings),
        )
        files = {
            route.address: self._open(
                RUN_DIRECTORY / function / f"ep{position}", os.O_RDWR | os.O_NONBLOCK
            )
            for position, route in enumerate(planned.routes[speed], 1)
        }
        events.append(FunctionFsEvents(ep0, planned.value, planned.interfaces, list(files)))
        return events, files

    def _instances(self, planned: PlannedConfiguration) -> list[str]:
        """Its function instances in the order in which the kernel is to bind them."""
        function = self._instance("c", planned)
        return [self._instance("x", planned), function] if planned.fillers else [function]

    def _instance(self, role: str, planned: PlannedConfiguration) -> str:
        return f"{self.udc}.{role}{planned.value}"

    def _mount_points(self) -> list[Path]:
        return [path for path in sorted(RUN_DIRECTORY.glob(f"{self.udc}.*")) if path.is_dir()]

    def _open_ep0(self, instance: str, descriptors: bytes, strings: bytes) -> int:
        ep0 = self._open(RUN_DIRECTORY / instance / "ep0", os.O_RDWR)
        try:
            os.write(ep0, descriptors)
            os.write(ep0, strings)
        except OSError as error:
            raise GadgetipError(
                f"FunctionFS refused the descriptors ({error.strerror}); the kernel log has details"
            ) from None
        return ep0

    def _open(self, path: Path, flags: int) -> int:
        file = os.open(path, os.O_CLOEXEC | flags)
        self._files.append(file)
        return file
