"""The plan for a backend that takes the configuration byte for byte: GadgetFS.

Descriptors are the device's own, every one, and whatever the kernel does not answer by itself is
asked of the device. What remains to be decided is what the kernel writes over, the bytes at the
other speed that a gadget has to describe, which of the controller's endpoints stands behind each
address, and whether it all fits.
"""

from collections.abc import Sequence
from dataclasses import replace

from gadgetip.gadget.allocation import allocate_by_address
from gadgetip.gadget.capabilities import Capabilities
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.identity import SELF_POWERED, attributes
from gadgetip.gadget.planned import EndpointKey, PlannedConfiguration
from gadgetip.gadget.settings import KeptSettings
from gadgetip.gadget.shaping import RouteMaker
from gadgetip.gadget.speed_conversion import endpoint_at, endpoint_wish
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    DescriptorType,
    DeviceClass,
    DeviceTree,
    Endpoint,
    EndpointDescriptor,
    Speed,
    TransferType,
    build_configuration,
)

MILLIAMPERES_A_UNIT = 2
MAX_POWER_UNITS = 250
BCD_USB = 0x0200
_HID_REPORT_LENGTH = slice(7, 9)


def plan_raw(
    tree: DeviceTree,
    kept: KeptSettings,
    speeds: Sequence[Speed],
    model: UdcModel,
    capabilities: Capabilities,
    make_routes: RouteMaker,
    deviations: list[Deviation],
) -> PlannedConfiguration:
    """Plan one configuration; refusals are among the deviations."""
    configuration = _with_header(tree, kept.configuration, speeds[-1], capabilities, deviations)
    trees = {speed: _at_speed(configuration, tree.speed, speed) for speed in speeds}
    data = {speed: build_configuration(each) for speed, each in trees.items()}
    _refuse_what_cannot_be(configuration, capabilities, deviations)
    _check_limits(configuration, data, capabilities, deviations)
    return PlannedConfiguration(
        value=configuration.value,
        bmAttributes=configuration.descriptor.bmAttributes,
        max_power_ma=configuration.descriptor.max_power_ma(Speed.HIGH),
        descriptors={
            speed: tuple(d for at, d in each.descriptors() if at) for speed, each in trees.items()
        },
        data=data,
        routes={speed: make_routes(kept.settings, None, speed) for speed in speeds},
        interfaces=kept.numbers,
        frozen=kept.frozen,
        refused_settings=kept.refused,
        endpoint_files=_endpoint_files(tree, kept, speeds, model, deviations),
        endpoint_descriptors=_endpoint_descriptors(trees),
    )


def _with_header(
    tree: DeviceTree,
    configuration: Configuration,
    speed: Speed,
    capabilities: Capabilities,
    deviations: list[Deviation],
) -> Configuration:
    own = configuration.descriptor
    shown = attributes(
        configuration,
        wakeup=capabilities.remote_wakeup,
        why_not=f"{capabilities.name} refuses it, so the replica does not claim it",
        deviations=deviations,
    )
    if shown & SELF_POWERED:
        deviations.append(
            Deviation(
                Severity.INFO,
                "device status",
                f"GET_STATUS says bus-powered: {capabilities.name} has no way to say otherwise",
            )
        )
    units = own.bMaxPower
    if tree.speed >= Speed.SUPER > speed:
        wanted = own.max_power_ma(tree.speed)
        units = min(wanted // MILLIAMPERES_A_UNIT, MAX_POWER_UNITS)
        if units * MILLIAMPERES_A_UNIT != wanted:
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    "bMaxPower",
                    f"the replica says {units * MILLIAMPERES_A_UNIT} mA, the device {wanted} mA",
                )
            )
    elif units > MAX_POWER_UNITS:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "bMaxPower",
                f"{units * MILLIAMPERES_A_UNIT} mA is more than a port gives: "
                "a host may leave the replica unconfigured",
            )
        )
    return replace(configuration, descriptor=own.replace(bmAttributes=shown, bMaxPower=units))


def _at_speed(configuration: Configuration, from_speed: Speed, to_speed: Speed) -> Configuration:
    """The configuration as it has to be at another speed; at the device's own, every byte."""

    def endpoint(each: Endpoint) -> Endpoint:
        companion = each.companion if to_speed in {from_speed, Speed.SUPER} else None
        return replace(
            each, descriptor=endpoint_at(each, from_speed, to_speed), companion=companion
        )

    def setting(each: AlternateSetting) -> AlternateSetting:
        return replace(each, endpoints=tuple(map(endpoint, each.endpoints)))

    changed = tuple(map(setting, configuration.settings))
    if changed == configuration.settings:
        return configuration
    return configuration.with_settings(changed)


def _refuse_what_cannot_be(
    configuration: Configuration, capabilities: Capabilities, deviations: list[Deviation]
) -> None:
    """As drivers/usb/gadget/legacy/inode.c, `is_valid_config`."""
    header = configuration.descriptor
    if header.bLength != header.SIZE:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                "configuration",
                f"its own descriptor has {header.bLength} bytes, {capabilities.name} takes "
                f"{header.SIZE}",
            )
        )
    deviations.extend(
        Deviation(
            Severity.REFUSED,
            f"endpoint 0x{endpoint.address:02x}",
            "a control endpoint other than 0 cannot be rebuilt",
        )
        for setting in configuration.settings
        for endpoint in setting.endpoints
        if endpoint.descriptor.transfer_type is TransferType.CONTROL
    )


def _check_limits(
    configuration: Configuration,
    data: dict[Speed, bytes],
    capabilities: Capabilities,
    deviations: list[Deviation],
) -> None:
    longest = max(map(len, data.values()))
    remedy = f"; {capabilities.remedy}" if capabilities.remedy else ""
    if longest > capabilities.max_configuration_bytes:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                "configuration",
                f"it has {longest} bytes, {capabilities.name} takes "
                f"{capabilities.max_configuration_bytes}{remedy}",
            )
        )
    for setting in configuration.settings:
        length = _report_length(setting)
        if length > capabilities.max_control_bytes:
            deviations.append(
                Deviation(
                    Severity.REFUSED,
                    f"interface {setting.interface}",
                    f"its HID report descriptor has {length} bytes, {capabilities.name} "
                    f"carries {capabilities.max_control_bytes} a control request{remedy}",
                )
            )
    if capabilities.remedy:
        deviations.append(
            Deviation(
                Severity.INFO,
                "control requests",
                f"{capabilities.name} carries {capabilities.max_control_bytes} bytes of data: "
                f"more is cut on its way in and stalled on its way out{remedy}",
            )
        )


def _report_length(setting: AlternateSetting) -> int:
    """WDescriptorLength of a HID interface's report descriptor (HID 1.11, 6.2.1); 0 without."""
    if setting.descriptor.bInterfaceClass != DeviceClass.HID:
        return 0
    lengths = [
        int.from_bytes(each.data[_HID_REPORT_LENGTH], "little")
        for each in setting.find(DescriptorType.HID)
    ]
    return max(lengths, default=0)


def _endpoint_files(
    tree: DeviceTree,
    kept: KeptSettings,
    speeds: Sequence[Speed],
    model: UdcModel,
    deviations: list[Deviation],
) -> dict[EndpointKey, str]:
    """The controller's endpoint behind each address, for all settings that can be chosen."""
    interfaces = list(kept.configuration.interfaces.values())
    wanted = [
        [
            [
                endpoint_wish(endpoint, tree.speed, speeds[-1])
                for endpoint in setting.endpoints
                if endpoint.descriptor.transfer_type in {TransferType.BULK, TransferType.INTERRUPT}
            ]
            for setting in settings
        ]
        for settings in interfaces
    ]
    allocation = allocate_by_address(model, wanted, speeds[-1])
    deviations.extend(
        Deviation(Severity.REFUSED, "endpoints", problem) for problem in allocation.problems
    )
    return {
        (interfaces[i][s].interface, interfaces[i][s].alternate, address): name
        for (i, s, address), name in allocation.files.items()
    }


def _endpoint_descriptors(
    trees: dict[Speed, Configuration],
) -> dict[EndpointKey, dict[Speed, bytes]]:
    """The first seven bytes of each endpoint descriptor, which is all that opening one takes."""
    found: dict[EndpointKey, dict[Speed, bytes]] = {}
    for speed, tree in trees.items():
        for setting in tree.settings:
            for endpoint in setting.endpoints:
                key = (setting.interface, setting.alternate, endpoint.address)
                data = endpoint.descriptor.data[: EndpointDescriptor.SIZE]
                found.setdefault(key, {})[speed] = bytes((len(data),)) + data[1:]
    return found
