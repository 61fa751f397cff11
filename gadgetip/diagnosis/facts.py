"""The facts that findings are made of, as values: what was read, and nothing that was concluded.

`gathering` and its neighbours read them from a live machine; a test writes them down.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from gadgetip.diagnosis.kernel_texts import Overlay


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """The kernel's modules; names in the kernel's spelling.

    `directory` says whether /lib/modules has one of the running kernel. `present` are those that
    /sys/module shows, which are loaded ones and built-in ones.
    """

    loaded: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    installed: frozenset[str] = frozenset()
    builtin: frozenset[str] = frozenset()
    directory: bool = True

    def is_here(self, name: str) -> bool:
        """Whether the module works now: loaded, or a part of the kernel."""
        return name in self.loaded or name in self.present or name in self.builtin

    def can_be_loaded(self, name: str) -> bool:
        """Whether it is installed for the running kernel."""
        return name in self.installed


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """`now` and `released` in seconds of the epoch; `synchronised` as the kernel says, or None."""

    now: float
    released: float
    synchronised: bool | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is up; `power_save` of a wireless one, None where not known."""

    name: str
    wireless: bool = False
    power_save: bool | None = None


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """`addresses` are this machine's, the loopback's and link-local ones left out."""

    addresses: tuple[str, ...] = ()
    default_routes: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()


class Reach(StrEnum):
    """How far the way to a server was."""

    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    NOT_USBIP = "no USB/IP"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server that was asked: `offers` in words, one each device; `reason` if it failed."""

    host: str
    reach: Reach
    offers: tuple[str, ...] = ()
    reason: str = ""
    answered_s: float = 0.0
    by_argument: bool = True
    """Asked for at the command line; else the configuration names it."""


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """The file that lists the attachments; `fault` is why it cannot be read."""

    path: str
    exists: bool = False
    servers: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What every role needs to know."""

    release: str
    root: bool = True
    modules: ModuleFacts = field(default_factory=ModuleFacts)
    clock: ClockFacts = field(default_factory=lambda: ClockFacts(1.0, 0.0))
    network: NetworkFacts = field(default_factory=NetworkFacts)
    configuration: ConfigurationFacts = field(default_factory=lambda: ConfigurationFacts(""))
    servers: tuple[ServerFacts, ...] = ()
    memory_available_kib: int | None = None
    libaio: str = ""
    """Why the library libaio cannot be used; empty if it can."""
    native_pump: str = ""
    """Why the native pump cannot be used ("is not built"); empty if it can."""


@dataclass(frozen=True, slots=True)
class UdcFacts:
    """One controller; `owner` is None when it is free, `model` gadgetip's name for its kind."""

    name: str
    model: str
    state: str
    current_speed: str
    maximum_speed: str
    owner: str | None = None
    assumed: str = ""


@dataclass(frozen=True, slots=True)
class DualRole:
    """A controller of the device tree that can be host or device: where, and its `dr_mode`."""

    path: str
    dr_mode: str
    driver: str = ""


@dataclass(frozen=True, slots=True)
class RaspberryFacts:
    """A Raspberry Pi: its name, its config.txt (None if none was found) and what that asks for."""

    model: str
    config_path: str | None = None
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What a machine with a device controller needs to know."""

    udcs: tuple[UdcFacts, ...] = ()
    configfs_supported: bool = True
    configfs_mounted: bool = True
    gadget_directory: bool = True
    other_gadgets: tuple[str, ...] = ()
    """Gadgets in configfs that others made: "name on UDC", "name, bound to nothing"."""
    own_gadgets: tuple[str, ...] = ()
    own_mounts: tuple[str, ...] = ()
    held_locks: tuple[str, ...] = ()
    """Controllers whose lock a gadgetip that lives has."""
    raspberry: RaspberryFacts | None = None
    dual_role: tuple[DualRole, ...] = ()
    gadgetfs_limit: int | None = None
    """The larger module's limit in bytes where it is loaded or installed, else None."""
    aio_used: int | None = None
    aio_max: int | None = None
    worker_user: bool = True
    module_loading: bool = True
    """Whether `modprobe` is there."""


@dataclass(frozen=True, slots=True)
class StubDevice:
    """A device that usbip-host has: its bus id, and `usbip_status` (1 free, 2 in use, 3 error)."""

    busid: str
    id: str
    status: int | None


@dataclass(frozen=True, slots=True)
class ServingFacts:
    """What a machine that exports devices needs to know."""

    usb: bool = True
    """Whether the kernel has USB at all."""
    devices: int = 0
    sysfs_writable: bool = True
    libusb: str = ""
    usbfs_memory_mb: int | None = None
    stubs: tuple[StubDevice, ...] = ()
    known_busids: int = 0
    policy_path: str = ""
    policy_exists: bool = False
    policy_fault: str = ""
    listen: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    """Those of `listen` that others can reach."""
    port: int = 3240
    rules: int = 0
    marks: int = 0
    marks_fault: str = ""
    serving_pid: int | None = None
    port_taken: bool = False
    stock_daemon: bool = False
    """Whether a process of the name `usbipd` runs."""
    netlink: str = ""
    """Why the kernel's news of devices cannot be heard; empty if it can."""
    firewall: tuple[str, ...] = ()
    """Firewalls that seem to be active."""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One port of vhci_hcd that is not free."""

    number: int
    state: str
    remembered: str = ""
    """From where, if a record says so."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What a machine that attaches devices to itself needs to know."""

    loaded: bool = False
    ports: int = 0
    free: int = 0
    taken: tuple[PortFacts, ...] = ()
    stale_records: tuple[str, ...] = ()
