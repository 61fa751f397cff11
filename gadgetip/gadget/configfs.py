"""Gadgets in configfs: made in one order, removed in the reverse one.

A gadget is a tree of directories, attributes and links (Documentation/usb/gadget_configfs.rst).
Nothing in it may be removed before what was made after it, and the controller is always let go
first. `ConfigfsGadget` knows its tree by its name alone, so that a process which never saw it
being made can remove what a crash has left behind.
"""

import contextlib
import errno
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.planned import Plan, PlannedConfiguration
from gadgetip.gadget.udc import CONFIGFS_GADGETS

log = logging.getLogger(__name__)

GADGET_PREFIX = "gadgetip."
CONFIGFS_ROOT = Path("/sys/kernel/config")
FUNCTION_TYPE = "ffs"
MS_OS_SIGNATURE = "MSFT100"
"""The kernel answers string 0xEE with it; the vendor requests behind it, with no configuration
linked to os_desc, go to the function like any other (composite.c, `composite_setup`)."""


class ConfigfsGadget:
    """The gadget that gadgetip makes for one controller."""

    def __init__(self, udc: str) -> None:
        self.udc = udc
        self.path = CONFIGFS_GADGETS / f"{GADGET_PREFIX}{udc}"

    @property
    def exists(self) -> bool:
        """Whether the tree is there, from us or from a process that died."""
        return self.path.is_dir()

    @property
    def is_bound(self) -> bool:
        """Whether the host sees it. A gadget whose files were closed is let go by the kernel."""
        try:
            return bool((self.path / "UDC").read_text().strip())
        except OSError:
            return False

    def make(self, plan: Plan, instances: Mapping[int, Sequence[str]]) -> None:
        """Make the tree up to the functions, which are not linked yet.

        `instances` are the function instances of each configuration, by its value.
        """
        identity = plan.identity
        self.path.mkdir()
        for attribute in (
            "idVendor",
            "idProduct",
            "bcdDevice",
            "bcdUSB",
            "bDeviceClass",
            "bDeviceSubClass",
            "bDeviceProtocol",
        ):
            self._write(self.path / attribute, f"0x{getattr(identity, attribute):x}")
        self._write(self.path / "max_speed", plan.speed.kernel_name)
        for language, texts in identity.strings.items():
            directory = self.path / "strings" / f"0x{language:x}"
            directory.mkdir()
            for name, text in texts.items():
                self._write(directory / name, text)
        if identity.ms_os_vendor_code is not None:
            self._write(self.path / "os_desc/b_vendor_code", f"0x{identity.ms_os_vendor_code:x}")
            self._write(self.path / "os_desc/qw_sign", MS_OS_SIGNATURE)
            self._write(self.path / "os_desc/use", "1")
        for planned in plan.configurations:
            self._make_configuration(planned)
            for instance in instances[planned.value]:
                self._make_function(instance)

    def _make_configuration(self, planned: PlannedConfiguration) -> None:
        configuration = self._configuration(planned.value)
        configuration.mkdir()
        self._write(configuration / "bmAttributes", f"0x{planned.bmAttributes:x}")
        self._write(configuration / "MaxPower", str(planned.max_power_ma))
        for language, text in planned.strings.items():
            directory = configuration / "strings" / f"0x{language:x}"
            directory.mkdir()
            self._write(directory / "configuration", text)

    def _make_function(self, instance: str) -> None:
        try:
            self._function(instance).mkdir()
        except FileNotFoundError:
            # The kernel asks for the module at this moment; the filesystem, too, is known
            # only once there is a function.
            raise PrerequisiteError(
                "this kernel has no FunctionFS (CONFIG_USB_CONFIGFS_F_FS): modprobe usb_f_fs"
            ) from None

    def link(self, configuration_value: int, instances: Sequence[str]) -> None:
        """Put the functions into the configuration; the kernel binds them in this order."""
        for instance in instances:
            function = self._function(instance)
            (self._configuration(configuration_value) / function.name).symlink_to(function)

    def bind(self) -> None:
        """Give the gadget its controller: from here on the host sees it."""
        try:
            self._write(self.path / "UDC", self.udc)
        except OSError as error:
            raise GadgetipError(
                f"the kernel would not bind the replica to {self.udc}: {_bind_reason(error)}"
            ) from None

    def unbind(self) -> None:
        """Take the gadget from its controller: the host sees an unplug."""
        if self.is_bound:
            with contextlib.suppress(OSError):
                self._write(self.path / "UDC", "\n")

    def remove(self) -> None:
        """Remove the whole tree, whatever of it is there."""
        if not self.exists:
            return
        self.unbind()
        for configuration in _children(self.path / "configs"):
            for entry in _children(configuration):
                if entry.is_symlink():
                    entry.unlink()
            _remove_directories(configuration / "strings")
            configuration.rmdir()
        _remove_directories(self.path / "functions")
        _remove_directories(self.path / "strings")
        self.path.rmdir()

    def _configuration(self, value: int) -> Path:
        return self.path / "configs" / f"replica.{value}"

    def _function(self, instance: str) -> Path:
        return self.path / "functions" / f"{FUNCTION_TYPE}.{instance}"

    @staticmethod
    def _write(path: Path, value: str) -> None:
        log.debug("%s = %r", path, value)
        path.write_text(value, encoding="utf-8")


def require_configfs() -> None:
    """Check that gadgets can be made here; raises `PrerequisiteError` that says what to do."""
    if CONFIGFS_GADGETS.is_dir():
        return
    if not CONFIGFS_ROOT.is_dir() or not any(CONFIGFS_ROOT.iterdir()):
        mounted = any(
            line.split()[1:3] == [str(CONFIGFS_ROOT), "configfs"]
            for line in Path("/proc/mounts").read_text().splitlines()
        )
        if not mounted:
            raise PrerequisiteError(
                f"configfs is not mounted: mount -t configfs none {CONFIGFS_ROOT}"
            )
    raise PrerequisiteError("the kernel module libcomposite is not loaded: modprobe libcomposite")


def _bind_reason(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "something else drives it, or it refused the endpoints (the kernel log has details)"
    if error.errno == errno.ENODEV:
        return "it is gone, or a function was not ready (the kernel log has details)"
    return f"{error.strerror or error} (the kernel log has details)"


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _remove_directories(parent: Path) -> None:
    for child in _children(parent):
        if child.is_dir():
            child.rmdir()
