"""The plan: everything about a replica that can be decided before anything is touched.

`make_plan` is a pure function of what the device says of itself and of the controller's model. It
decides backend, speed, identity, descriptors at every speed, endpoint addresses and shapers, and
it lists every difference that the host will see. A plan with a deviation of severity `refused` is
never built.

How the kernel numbers things decides much of it (drivers/usb/gadget/configfs.c, composite.c,
function/f_fs.c): device strings become 1, 2, 3 as soon as there is one of them, the configuration's
comes next, then the function's; bcdUSB and bMaxPacketSize0 are the kernel's own; interfaces are
numbered in the order in which they appear.
"""

from dataclasses import dataclass, field, replace

from gadgetip.errors import RefusedError
from gadgetip.gadget.descriptor_rules import (
    AddressSearch,
    keep_first_settings,
    refuse_what_cannot_be_built,
)
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.identity import Identity, decide_identity
from gadgetip.gadget.shaping import routes_of
from gadgetip.gadget.speed_conversion import endpoint_at
from gadgetip.gadget.steering import EndpointRequest
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import (
    AlternateSetting,
    Descriptor,
    DeviceTree,
    Endpoint,
    InterfaceAssociationDescriptor,
    Speed,
    TransferType,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built, and what will differ.

    `descriptors` are the interfaces' and endpoints' descriptors, in order, for each speed at which
    the replica may run; `routes` are the endpoints' ways for each of these speeds. `interfaces`
    are the device's interface numbers in the order in which the replica numbers its own.
    """

    backend: str
    speed: Speed
    configuration_value: int
    identity: Identity
    descriptors: dict[Speed, tuple[Descriptor, ...]]
    routes: dict[Speed, tuple[EndpointRoute, ...]]
    interfaces: tuple[int, ...]
    fillers: tuple[EndpointRequest, ...] = ()
    interface_strings: dict[int, tuple[str, ...]] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()

    def with_severity(self, severity: Severity) -> tuple[Deviation, ...]:
        """The deviations of one severity."""
        return tuple(d for d in self.deviations if d.severity is severity)

    @property
    def refusals(self) -> tuple[Deviation, ...]:
        """Why this replica is not built; empty when it can be."""
        return self.with_severity(Severity.REFUSED)


def make_plan(tree: DeviceTree, udc_speed: Speed, model: UdcModel) -> Plan:
    """Decide how `tree` is rebuilt on a controller of this model that can run at `udc_speed`.

    Raises `RefusedError` for a device that has nothing to rebuild.
    """
    if not tree.configurations:
        raise RefusedError("the device has no configuration: there is nothing to rebuild")
    if tree.speed in {Speed.UNKNOWN, Speed.WIRELESS}:
        tree = replace(tree, speed=Speed.HIGH)
    deviations: list[Deviation] = []
    configuration = tree.configurations[0]
    settings = keep_first_settings(tree, deviations)
    speed = _choose_speed(tree, udc_speed, model, deviations)
    refuse_what_cannot_be_built(configuration, settings, deviations)
    endpoints = [endpoint for setting in settings for endpoint in setting.endpoints]
    search = AddressSearch(model, _requests(endpoints, tree.speed), may_fill=speed < Speed.SUPER)
    deviations.extend(search.deviations)
    identity, interface_strings, string_map = decide_identity(
        tree, configuration, settings, speed, model, deviations
    )
    speeds = _speeds_up_to(speed)
    refused = any(d.severity is Severity.REFUSED for d in deviations)
    plan = Plan(
        backend="functionfs",
        speed=speed,
        configuration_value=configuration.value,
        identity=identity,
        descriptors={}
        if refused
        else {
            each: tuple(_function_descriptors(tree, settings, string_map, each)) for each in speeds
        },
        routes={}
        if refused
        else {
            each: tuple(
                route
                for setting in settings
                for route in routes_of(setting, search.addresses, tree.speed, each)
            )
            for each in speeds
        },
        interfaces=tuple(setting.interface for setting in settings),
        fillers=search.fillers,
        interface_strings=interface_strings,
        deviations=tuple(deviations),
    )
    return _refuse_opaque_routes(plan)


def _choose_speed(
    tree: DeviceTree, udc_speed: Speed, model: UdcModel, deviations: list[Deviation]
) -> Speed:
    wanted = tree.speed
    if udc_speed is Speed.UNKNOWN:
        udc_speed = Speed.HIGH
    if wanted is Speed.LOW:
        deviations.append(
            Deviation(Severity.INFO, "speed", "a low-speed device becomes full-speed")
        )
        wanted = Speed.FULL
    if wanted < Speed.HIGH and not model.caps_below_high and udc_speed >= Speed.HIGH:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "speed",
                f"{model.name} cannot be capped below high speed: the replica is high-speed",
            )
        )
        return Speed.HIGH
    speed = min(wanted, udc_speed, Speed.SUPER)
    if speed < wanted:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "speed",
                f"{speed.mbps_text} instead of the device's {wanted.mbps_text}: "
                "the controller can do no more",
            )
        )
    return speed


def _speeds_up_to(speed: Speed) -> tuple[Speed, ...]:
    """The speeds to describe: full speed always, for a host port may know nothing else."""
    return tuple(each for each in (Speed.FULL, Speed.HIGH, Speed.SUPER) if each <= speed)


def _requests(endpoints: list[Endpoint], device_speed: Speed) -> list[tuple[int, EndpointRequest]]:
    """What the kernel looks at: the full-speed descriptors, the first that it binds."""
    return [
        (
            endpoint.address,
            EndpointRequest(
                endpoint.descriptor.direction,
                endpoint.descriptor.transfer_type,
                endpoint_at(endpoint, device_speed, Speed.FULL).max_packet,
            ),
        )
        for endpoint in endpoints
        if endpoint.descriptor.transfer_type is not TransferType.ISOCHRONOUS
    ]


def _function_descriptors(
    tree: DeviceTree, settings: list[AlternateSetting], string_map: dict[int, int], at: Speed
) -> list[Descriptor]:
    out = _associations(tree.configurations[0].leading, string_map)
    for setting in settings:
        interface = setting.descriptor
        out.extend(_associations(setting.leading, string_map))
        out.append(interface.replace(iInterface=string_map.get(interface.iInterface, 0)))
        out.extend(setting.extra)
        for endpoint in setting.endpoints:
            out.append(endpoint_at(endpoint, tree.speed, at))
            if at is Speed.SUPER and endpoint.companion is not None:
                out.append(endpoint.companion)
            out.extend(endpoint.extra)
    return out


def _associations(
    descriptors: tuple[Descriptor, ...], string_map: dict[int, int]
) -> list[Descriptor]:
    return [
        descriptor.replace(iFunction=string_map.get(descriptor.iFunction, 0))
        for descriptor in descriptors
        if isinstance(descriptor, InterfaceAssociationDescriptor)
    ]


def _refuse_opaque_routes(plan: Plan) -> Plan:
    """Packet by packet is transparent only where packets have the same size on both wires."""
    opaque = [
        Deviation(
            Severity.REFUSED,
            f"endpoint 0x{route.address:02x}",
            f"its packets are {route.device_max_packet} bytes at the device and "
            f"{route.host_max_packet} at the host, and nothing tells where its transfers end",
        )
        for route in plan.routes.get(plan.speed, ())
        if route.shaping is not Shaping.BOT and route.device_max_packet != route.host_max_packet
    ]
    if not opaque:
        return plan
    return replace(plan, deviations=(*plan.deviations, *opaque))
