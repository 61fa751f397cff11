"""The plan as data: what will be built, and what will differ."""

from dataclasses import dataclass, field
from enum import StrEnum

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.identity import REMOTE_WAKEUP, Identity
from gadgetip.gadget.steering import EndpointRequest
from gadgetip.profiles import GENERIC, LinkWishes
from gadgetip.pump import EndpointRoute
from gadgetip.usb import Descriptor, Speed

EndpointKey = tuple[int, int, int]
"""The device's interface, alternate setting and bEndpointAddress: which endpoint is meant."""


@dataclass(frozen=True, slots=True)
class PlannedConfiguration:
    """One configuration of the replica.

    `descriptors` are what stands behind the configuration descriptor, `data` the whole, in bytes,
    for each speed at which the replica may run; `routes` are the ways of all endpoints that carry
    data, of every alternate setting, for each of these speeds. `interfaces` are the device's
    interface numbers in the order in which the replica numbers its own; `frozen` maps an interface
    to the device's alternate setting that the host sees as its only one. `refused_settings` are
    the (interface, alternate setting) that the host sees and cannot choose.

    A filler's endpoint may have the number of a real one that goes the other way, and would catch
    its class requests: `filler_addresses` are those endpoints of the device, 0 for none.

    `fillers` and `interface_strings` are for backends where the kernel composes the configuration,
    `endpoint_files` for those that open the controller's endpoints by name.
    """

    value: int
    bmAttributes: int
    max_power_ma: int
    descriptors: dict[Speed, tuple[Descriptor, ...]]
    data: dict[Speed, bytes]
    routes: dict[Speed, tuple[EndpointRoute, ...]]
    interfaces: tuple[int, ...]
    frozen: dict[int, int] = field(default_factory=dict)
    refused_settings: frozenset[tuple[int, int]] = frozenset()
    strings: dict[int, str] = field(default_factory=dict)
    fillers: tuple[EndpointRequest, ...] = ()
    filler_addresses: tuple[int, ...] = ()
    interface_strings: dict[int, tuple[str, ...]] = field(default_factory=dict)
    endpoint_files: dict[EndpointKey, str] = field(default_factory=dict)
    endpoint_descriptors: dict[EndpointKey, dict[Speed, bytes]] = field(default_factory=dict)

    def route(self, key: EndpointKey, speed: Speed) -> EndpointRoute | None:
        """The route of one of the device's endpoints, by the device's setting; None without one.

        A frozen setting is the host's setting 0, and the interface's others are not there.
        """
        interface, alternate, address = key
        frozen = self.frozen.get(interface)
        if frozen is not None:
            if alternate != frozen:
                return None
            alternate = 0
        for route in self.routes.get(speed, ()):
            if (route.interface, route.alternate, route.address) == (interface, alternate, address):
                return route
        return None


class Holdable(StrEnum):
    """What an interface is, as far as holding it is concerned."""

    STORAGE = "storage"
    """Mass storage, bulk-only."""
    INPUT = "input"
    """A keyboard or a mouse, and what belongs to it."""
    SERIAL = "serial"
    """CDC-ACM, and serial adapters of known makers."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """How long a lost link is survived, in seconds, and what each interface takes.

    `interfaces` are the device's own bInterfaceNumbers, of all configurations. `maker` is the
    device's idVendor, by which the settings of a serial adapter are told. `wishes` say how long to
    pause between two attempts to get the device back.
    """

    limit_s: float
    interfaces: dict[int, Holdable] = field(default_factory=dict)
    maker: int = 0
    wishes: LinkWishes = GENERIC.link


@dataclass(frozen=True, slots=True)
class Plan:
    """How a device is rebuilt.

    `profile` is the name of the profile that was asked. `own_strings` are texts, by index and
    language, that the replica answers instead of the device.
    `hold` is None where a lost link unplugs the replica.
    """

    backend: str
    model: str
    speed: Speed
    identity: Identity
    device_descriptor: bytes
    configurations: tuple[PlannedConfiguration, ...]
    deviations: tuple[Deviation, ...] = ()
    own_strings: dict[tuple[int, int], str] = field(default_factory=dict)
    profile: str = GENERIC.name
    forward_reset: bool = True
    control_limit_s: float = 5.0
    hold: HoldPlan | None = None

    @property
    def remote_wakeup(self) -> bool:
        """Whether a configuration says that the replica can wake the host up."""
        return any(each.bmAttributes & REMOTE_WAKEUP for each in self.configurations)

    def configuration(self, value: int) -> PlannedConfiguration | None:
        """The configuration that SET_CONFIGURATION calls `value`."""
        return next((each for each in self.configurations if each.value == value), None)

    def with_severity(self, severity: Severity) -> tuple[Deviation, ...]:
        """The deviations of one severity."""
        return tuple(d for d in self.deviations if d.severity is severity)

    @property
    def refusals(self) -> tuple[Deviation, ...]:
        """Why this replica is not built; empty when it can be."""
        return self.with_severity(Severity.REFUSED)

    @property
    def cost(self) -> tuple[int, int, int]:
        """How far the replica is from the device: refused, degraded, info; less is better."""
        order = (Severity.REFUSED, Severity.DEGRADED, Severity.INFO)
        refused, degraded, info = (len(self.with_severity(each)) for each in order)
        return refused, degraded, info
