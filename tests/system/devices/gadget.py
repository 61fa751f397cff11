"""A kernel gadget, built in configfs from data and plugged into one of the cables.

A `Description` says what the device is; a `Gadget` is one on a controller while its context lasts.
Directories and links are made in the order in which they are described, because the kernel counts
in that order: endpoints are given out as functions were linked, and configurations are offered as
their directories were made.

Removing needs no memory of what was made. Every directory and link below the gadget is tried, again
and again until nothing more goes: the kernel refuses what is still in use and what it made itself.
So a test that died half-way is cleaned up by the next one that uses the controller.
"""

import contextlib
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.system.host import wait_for_device
from tests.system.waiting import wait_for

GADGETS = Path("/sys/kernel/config/usb_gadget")
LANGUAGE = "0x409"
NODE_LIMIT_S = 10.0

# The class of devices whose functions group their interfaces by IADs (USB 2.0 ECN, IAD).
INTERFACE_ASSOCIATION = (0xEF, 0x02, 0x01)


@dataclass(frozen=True)
class Link:
    """A symbolic link between two items of one function; the target is relative to the function."""

    target: str


@dataclass(frozen=True)
class Function:
    """One function: the kernel's name of it, and what is written into its attributes.

    Attributes are paths below the function's directory; directories on the way are made. None makes
    only the directory, a `Link` a link.
    """

    kind: str
    attributes: Mapping[str, str | bytes | int | Link | None] = field(default_factory=dict)
    instance: str = "0"

    @property
    def directory(self) -> str:
        """Its name in configfs."""
        return f"{self.kind}.{self.instance}"


@dataclass(frozen=True)
class Configuration:
    """One configuration; `power_ma` is what MaxPower says."""

    functions: tuple[Function, ...]
    value: int = 1
    name: str | None = None
    attributes: int = 0x80
    power_ma: int = 100


@dataclass(frozen=True)
class Description:
    """A whole device. Strings that are None do not exist on it, where the kernel allows that."""

    configurations: tuple[Configuration, ...]
    idVendor: int
    idProduct: int
    bcdDevice: int = 0x0100
    device_class: tuple[int, int, int] = (0, 0, 0)
    manufacturer: str | None = "Bench"
    product: str | None = "Device"
    serial: str | None = "0123456789"
    speed: str = "high-speed"

    @property
    def functions(self) -> tuple[Function, ...]:
        """The functions of all configurations, each once, in the order of their making."""
        return tuple({f.directory: f for c in self.configurations for f in c.functions}.values())


class Gadget:
    """A device on a controller; plugged in while the context lasts.

    One that is not `visible` has no host of its own: usbip-vudc is served to the network.
    """

    def __init__(
        self, description: Description, udc: str, *, name: str = "", visible: bool = True
    ) -> None:
        self.description = description
        self.udc = udc
        self.id = f"{description.idVendor:04x}:{description.idProduct:04x}"
        self.visible = visible
        self.directory = GADGETS / (name or f"bench-{udc}")

    def __enter__(self) -> "Gadget":
        remove(self.directory)
        try:
            self._make()
            self.plug()
        except BaseException:
            remove(self.directory)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove(self.directory)

    def plug(self) -> None:
        """Put it into the server's port and wait until the server has configured it."""
        (self.directory / "UDC").write_text(self.udc)
        if self.visible:
            self.sysfs = wait_for_device(self.udc)
            self.busid = self.sysfs.name

    def unplug(self) -> None:
        """Take it out; nothing happens when it is out already."""
        with contextlib.suppress(OSError):
            (self.directory / "UDC").write_text("\n")

    def descriptors(self) -> bytes:
        """The raw descriptors as the server's kernel read them."""
        return (self.sysfs / "descriptors").read_bytes()

    def attribute(self, function: Function, name: str) -> str:
        """What an attribute of a function says now: its minor, its network interface, …"""
        return (self.directory / "functions" / function.directory / name).read_text().strip()

    def node(self, function: Function) -> Path:
        """The device's end of a HID or serial function in /dev, once it exists."""
        if function.kind == "hid":
            path = Path("/dev/hidg" + self.attribute(function, "dev").partition(":")[2])
        else:
            path = Path("/dev/ttyGS" + self.attribute(function, "port_num"))
        return wait_for(
            lambda: path if path.exists() and stat.S_ISCHR(path.stat().st_mode) else None,
            f"{path}, the device's end of {function.directory}",
            NODE_LIMIT_S,
        )

    def _make(self) -> None:
        described, gadget = self.description, self.directory
        if not GADGETS.is_dir():
            subprocess.run(["modprobe", "libcomposite"], check=True)  # it loads functions itself
        gadget.mkdir()
        _write(gadget / "max_speed", described.speed)
        for name in ("idVendor", "idProduct", "bcdDevice"):
            _write(gadget / name, hex(getattr(described, name)))
        names = ("bDeviceClass", "bDeviceSubClass", "bDeviceProtocol")
        for name, value in zip(names, described.device_class, strict=True):
            _write(gadget / name, hex(value))
        strings = gadget / "strings" / LANGUAGE
        texts = {
            "manufacturer": described.manufacturer,
            "product": described.product,
            "serialnumber": described.serial,
        }
        if any(text is not None for text in texts.values()):
            strings.mkdir()
        for name, text in texts.items():
            if text is not None:
                _write(strings / name, text)
        for function in described.functions:
            self._make_function(function)
        for configuration in described.configurations:
            self._make_configuration(configuration)

    def _make_function(self, function: Function) -> None:
        directory = self.directory / "functions" / function.directory
        directory.mkdir()
        for name, value in function.attributes.items():
            path = directory / name
            if value is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(value, Link):
                path.symlink_to(directory / value.target)
            else:
                _write(path, value)

    def _make_configuration(self, configuration: Configuration) -> None:
        directory = self.directory / f"configs/c.{configuration.value}"
        directory.mkdir()
        _write(directory / "MaxPower", configuration.power_ma)
        _write(directory / "bmAttributes", hex(configuration.attributes))
        if configuration.name is not None:
            (directory / "strings" / LANGUAGE).mkdir()
            _write(directory / "strings" / LANGUAGE / "configuration", configuration.name)
        for function in configuration.functions:
            target = self.directory / "functions" / function.directory
            (directory / function.directory).symlink_to(target)


def remove(gadget: Path) -> None:
    """Unbind a gadget and remove its tree; nothing happens if there is none.

    Raises AssertionError with what is left if the kernel keeps a part of it.
    """
    if not gadget.is_dir():
        return
    with contextlib.suppress(OSError):
        (gadget / "UDC").write_text("\n")
    while gadget.is_dir():
        if not sum(_gone(path) for path in _deepest_first(gadget)):  # each of them is tried
            left = [str(path.relative_to(gadget)) for path in _deepest_first(gadget)]
            raise AssertionError(f"{gadget} cannot be removed: {left}")


def _deepest_first(gadget: Path) -> Iterator[Path]:
    """Every link, then every directory: a directory is in use while a link points to it."""
    links: list[Path] = []
    directories = [gadget]
    for parent, children, _ in os.walk(gadget):
        for child in children:
            path = Path(parent, child)
            (links if path.is_symlink() else directories).append(path)
    yield from links
    yield from sorted(directories, key=lambda path: len(path.parts), reverse=True)


def _gone(path: Path) -> bool:
    try:
        if path.is_symlink():
            path.unlink()
        else:
            path.rmdir()
    except OSError:  # in use, or the kernel's own, which goes with its parent
        return False
    return True


def _write(path: Path, value: str | bytes | int) -> None:
    """Write an attribute in one call, as configfs demands."""
    data = value if isinstance(value, bytes) else str(value).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise AssertionError(f"the kernel does not take {value!r} for {path}: {error}") from error
