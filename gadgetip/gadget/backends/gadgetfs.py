"""GadgetFS: the backend for what FunctionFS cannot describe.

The replica's descriptors are written in one piece to the file of the controller, which binds the
gadget: from that moment the host sees it. Endpoint files appear then, named after the controller's
endpoints; opening one and writing its descriptors enables the endpoint, closing disables it. The
gadget lives as long as that first file is open.

GadgetFS binds to the first controller that has no driver and cannot be told which. So every other
free controller is parked meanwhile: bound to a gadget that never connects (`Parking`). The system
has one GadgetFS, which a lock file guards.

Two modules can provide it (drivers/usb/gadget/legacy/inode.c). The distribution's ends at 256
bytes, for configurations and for control requests; `board/dkms/` builds the same source with 4096
under another name, whose version tells the limit.
"""

import contextlib
import errno
import fcntl
import logging
import os
import re
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.backends.base import Backend, Replica
from gadgetip.gadget.backends.parking import Parking
from gadgetip.gadget.backends.system_calls import (
    RUN_DIRECTORY,
    load_module,
    mount,
    require_root,
    unload_module,
    unmount,
)
from gadgetip.gadget.capabilities import Capabilities, Form
from gadgetip.gadget.gadgetfs_events import GadgetFsEvents
from gadgetip.gadget.planned import EndpointKey, Plan, PlannedConfiguration
from gadgetip.gadget.udc import SYSFS_UDC, current_speed
from gadgetip.pump import EndpointRoute
from gadgetip.usb import Speed

log = logging.getLogger(__name__)

STOCK_MODULE, REBUILT_MODULE = "gadgetfs", "gadgetip_gadgetfs"
SYSFS_MODULES = Path("/sys/module")
FILESYSTEMS = Path("/proc/filesystems")
MOUNTS = Path("/proc/mounts")
STOCK_LIMIT = 256
DRIVER = "USB Gadget filesystem"
"""What `function` of a controller says that GadgetFS drives."""

MOUNT_POINT = RUN_DIRECTORY / "gadgetfs"
LOCK = RUN_DIRECTORY / "gadgetfs.lock"
ORPHAN_LIMIT_S = 3.0
ORPHAN_POLL_S = 0.05
REOPEN_LIMIT_S = 1.0
REOPEN_PAUSE_S = 0.001
CONFIGURATION_TAG = struct.pack("=I", 0)
ENDPOINT_TAG = struct.pack("=I", 1)
_RBUF = re.compile(r"rbuf(\d+)")

GADGETFS = Capabilities(
    name="gadgetfs",
    form=Form.RAW,
    max_speed=Speed.HIGH,
    max_configurations=1,
    max_configuration_bytes=STOCK_LIMIT,
    max_control_bytes=STOCK_LIMIT,
    remote_wakeup=False,
    exclusive=True,
    remedy="build the larger module from board/dkms to go beyond that",
)


class GadgetFsEndpoints:
    """Opening an endpoint file enables the endpoint, closing it disables it."""

    def __init__(self, udc: str, planned: PlannedConfiguration) -> None:
        self._udc = udc
        self._names: dict[EndpointKey, str] = planned.endpoint_files
        self._descriptors = planned.endpoint_descriptors

    def choose(self, configuration: int) -> None:
        """There is one configuration."""

    def open(self, route: EndpointRoute) -> int:
        """Enable the endpoint at the speed of the moment; raises OSError."""
        key = (route.interface, route.alternate, route.address)
        descriptors = self._descriptors[key]
        if current_speed(self._udc) is Speed.HIGH:
            wanted = descriptors[Speed.FULL] + descriptors[Speed.HIGH]
        else:
            wanted = descriptors[Speed.FULL]
        file = self._open(MOUNT_POINT / self._names[key])
        try:
            os.write(file, ENDPOINT_TAG + wanted)
        except OSError:
            os.close(file)
            raise
        return file

    def close(self, route: EndpointRoute, file: int) -> None:  # noqa: ARG002 (the file says it)
        """Disable the endpoint."""
        os.close(file)

    @staticmethod
    def _open(path: Path) -> int:
        """Open; the file of a moment ago may be in use until its last request is put away."""
        deadline = time.monotonic() + REOPEN_LIMIT_S
        while True:
            try:
                return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(REOPEN_PAUSE_S)


class GadgetFsBackend(Backend):
    """See `gadgetip.gadget.backends.base.Backend`."""

    name = GADGETFS.name

    def __init__(self, udc: str) -> None:
        super().__init__(udc)
        self._parking = Parking()
        self._ep0 = -1
        self._lock = -1
        self._blob = b""

    @classmethod
    def declared(cls) -> Capabilities:
        """With the limit of the module that this machine has."""
        return with_limit(limit_here())

    @classmethod
    def capabilities(cls) -> Capabilities:
        """Find the module that is loaded, or load the larger one, or the distribution's."""
        require_root()
        _load()
        able = with_limit(_limit())
        if not _is_known():
            return able.without("this kernel has no GadgetFS (CONFIG_USB_GADGETFS)")
        if holder := _holder():
            return able.without(f"in use by {holder}: a system has one such replica")
        return able

    def clean(self) -> None:
        """Remove our own debris, if nobody alive has it."""
        if _holder():
            return
        try:
            self._take_lock()  # or another one would begin under our hands
        except PrerequisiteError:
            return
        try:
            self._parking.clean()
            with contextlib.suppress(GadgetipError):
                unmount(MOUNT_POINT)
        finally:
            os.close(self._lock)
            self._lock = -1

    def build(self, plan: Plan, worker_uid: int) -> Replica:
        """Take the lock, park the other controllers and mount GadgetFS."""
        self._take_lock()
        planned = plan.configurations[0]
        self._blob = (
            CONFIGURATION_TAG
            + b"".join(planned.data[speed] for speed in sorted(planned.data))
            + plan.device_descriptor
        )
        self._parking.park_all_but(self.udc)
        self._give_files_to(worker_uid)
        mount("gadgetfs", "gadgetfs", MOUNT_POINT)
        controller = next(iter(MOUNT_POINT.iterdir()))
        self._ep0 = os.open(controller, os.O_RDWR | os.O_CLOEXEC)
        return Replica(
            self.udc,
            (GadgetFsEvents(self._ep0),),
            GadgetFsEndpoints(self.udc, planned),
            frozenset({self._ep0, self._lock}),
        )

    def bind(self) -> None:
        """Write the descriptors, which binds, and see that it is the right controller."""
        try:
            os.write(self._ep0, self._blob)
        except OSError as error:
            raise GadgetipError(
                f"the kernel would not bind the replica to {self.udc}: {error.strerror} "
                "(the kernel log has details)"
            ) from None
        finally:
            self._parking.leave()
            self._give_files_to(0)
        if (SYSFS_UDC / self.udc / "function").read_text().strip() != DRIVER:
            raise GadgetipError(
                f"GadgetFS bound another controller than {self.udc}: one became free meanwhile"
            )

    def remove(self) -> None:
        """Unplug: close the controller's file, which is the last when the worker is gone."""
        if self._ep0 >= 0:
            os.close(self._ep0)
            self._ep0 = -1
        self._parking.leave()
        if self._lock >= 0:
            self._give_files_to(0)
            unmount(MOUNT_POINT)
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> None:
        RUN_DIRECTORY.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise PrerequisiteError("GadgetFS was taken by another gadgetip just now") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)

    @staticmethod
    def _give_files_to(uid: int) -> None:
        """The owner of the files that GadgetFS makes from here on."""
        for module in (REBUILT_MODULE, STOCK_MODULE):
            parameter = SYSFS_MODULES / module / "parameters/default_uid"
            if parameter.exists():
                parameter.write_text(str(uid))


def _load() -> None:
    """Load the larger module where there is one, also in the place of an idle smaller one."""
    if (SYSFS_MODULES / REBUILT_MODULE).is_dir():
        return
    is_better = limit_of(_installed()) > STOCK_LIMIT
    if _is_known() and not (is_better and not _holder() and unload_module(STOCK_MODULE)):
        return
    if not load_module(REBUILT_MODULE):
        load_module(STOCK_MODULE)


def with_limit(limit: int) -> Capabilities:
    """GadgetFS whose module ends at `limit` bytes."""
    return replace(
        GADGETFS,
        max_configuration_bytes=limit,
        max_control_bytes=limit,
        remedy=GADGETFS.remedy if limit == STOCK_LIMIT else "",
    )


def limit_here() -> int:
    """The limit of the module that this machine has loaded, or would load."""
    if (SYSFS_MODULES / STOCK_MODULE).is_dir() or (SYSFS_MODULES / REBUILT_MODULE).is_dir():
        return _limit()
    return limit_of(_installed())


def _installed() -> str:
    """The version of the larger module that is installed, empty without one."""
    try:
        return subprocess.run(
            ["modinfo", "-F", "version", REBUILT_MODULE],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    except OSError:
        return ""


def _limit() -> int:
    try:
        return limit_of((SYSFS_MODULES / REBUILT_MODULE / "version").read_text())
    except OSError:
        return STOCK_LIMIT


def limit_of(version: str) -> int:
    """The limit that a module's version names, in bytes; the distribution's names none."""
    match = _RBUF.search(version)
    return int(match[1]) if match else STOCK_LIMIT


def _is_known() -> bool:
    return any(line.split()[-1:] == ["gadgetfs"] for line in FILESYSTEMS.read_text().splitlines())


def _holder() -> str:
    """Who has GadgetFS now, in words; empty when nobody has.

    A worker whose keeper was killed needs a moment to notice, and is waited for.
    """
    deadline = time.monotonic() + ORPHAN_LIMIT_S
    while (keeper := _lock_holder()) is not None:
        if keeper and Path(f"/proc/{keeper}").exists():
            return f"another gadgetip (process {keeper})"
        if time.monotonic() >= deadline:
            return "another gadgetip"
        time.sleep(ORPHAN_POLL_S)
    for line in MOUNTS.read_text().splitlines():
        fields = line.split()
        if fields[2:3] == ["gadgetfs"] and fields[1] != str(MOUNT_POINT):
            return f"what is mounted on {fields[1]}"
    return ""


def _lock_holder() -> str | None:
    """The process that took the lock, None when it is free."""
    try:
        file = os.open(LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(file, 32, 0).decode("ascii", "replace").strip()
    finally:
        os.close(file)
    return None
