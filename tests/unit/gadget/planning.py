"""Plans for tests: the backends with their limits, and words for what a plan says."""

from dataclasses import replace

from gadgetip.gadget import Capabilities, Plan, PlannedConfiguration, Severity, make_plan
from gadgetip.gadget.backends.functionfs import FUNCTIONFS
from gadgetip.gadget.backends.gadgetfs import GADGETFS, with_limit
from gadgetip.gadget.udc_models import DUMMY_HCD, UDC_MODELS, UdcModel
from gadgetip.profiles import (
    GENERIC,
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    Profile,
)
from gadgetip.usb import DeviceTree, Speed

STOCK = (FUNCTIONFS, GADGETFS)
"""What a distribution's kernel has."""

REBUILT = (FUNCTIONFS, with_limit(4096))
"""The same with the larger GadgetFS."""

KNOWN_MODELS = tuple(replace(model, assumed="") for model in UDC_MODELS)
"""The controllers, as if nothing of them had to be assumed."""


def known(model: UdcModel) -> UdcModel:
    """The model of a controller that is known to be just so."""
    return replace(model, assumed="")


def plan(
    tree: DeviceTree,
    model: UdcModel = DUMMY_HCD,
    backends: tuple[Capabilities, ...] = STOCK,
    *,
    profile: Profile = GENERIC,
    udc_speed: Speed = Speed.UNKNOWN,
) -> Plan:
    """The plan for a controller of which everything is known."""
    return make_plan(tree, known(model), backends, profile=profile, udc_speed=udc_speed)


def functionfs(
    tree: DeviceTree, model: UdcModel = DUMMY_HCD, *, udc_speed: Speed = Speed.UNKNOWN
) -> Plan:
    """The plan for FunctionFS alone."""
    return plan(tree, model, (FUNCTIONFS,), udc_speed=udc_speed)


def gadgetfs(
    tree: DeviceTree, model: UdcModel = DUMMY_HCD, *, udc_speed: Speed = Speed.UNKNOWN
) -> Plan:
    """The plan for the larger GadgetFS alone."""
    return plan(tree, model, REBUILT[1:], udc_speed=udc_speed)


def wishing(
    *interfaces: InterfaceWish,
    endpoints: tuple[EndpointWish, ...] = (),
    identity: IdentityWishes | None = None,
    backend: str = "auto",
    max_speed: Speed | None = None,
) -> Profile:
    """A profile with these wishes."""
    wishes = GadgetWishes(backend, max_speed=max_speed, identity=identity or IdentityWishes())
    return Profile("test", gadget=wishes, interfaces=interfaces, endpoints=endpoints)


def texts(made: Plan, severity: Severity) -> list[str]:
    """The deviations of one severity, a line for each."""
    return [str(deviation) for deviation in made.with_severity(severity)]


def only(made: Plan) -> PlannedConfiguration:
    """The one configuration of a plan."""
    (planned,) = made.configurations
    return planned


def data(made: Plan, speed: Speed) -> bytes:
    """What stands behind the header of the one configuration."""
    return b"".join(descriptor.data for descriptor in only(made).descriptors[speed])


def sizes(made: Plan, speed: Speed) -> list[tuple[int, int, int]]:
    """Each endpoint's address and packet sizes, at the device and at the host."""
    return [(r.address, r.device_max_packet, r.host_max_packet) for r in only(made).routes[speed]]
