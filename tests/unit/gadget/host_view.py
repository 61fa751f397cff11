"""What a host reads from a replica: the kernel's part and the plan's, as bytes.

The kernel composes some of it by rules that are written down here once more, from its sources and
apart from the plan: drivers/usb/gadget/composite.c, configfs.c and function/f_fs.c for FunctionFS,
legacy/inode.c for GadgetFS. `unnamed_differences` then compares field by field with the device.
"""

from collections.abc import Iterator
from dataclasses import replace

from gadgetip.gadget import Plan, PlannedConfiguration
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    ConfigurationDescriptor,
    Descriptor,
    DescriptorType,
    DeviceDescriptor,
    DeviceTree,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    Speed,
    parse_configuration,
)

Difference = tuple[str, str]
"""The subject that a deviation about it has, and what differs."""


def device_descriptor(plan: Plan, model: UdcModel) -> DeviceDescriptor:
    """The device descriptor that the host reads."""
    if plan.backend == "gadgetfs":
        shown = DeviceDescriptor.unpack(plan.device_descriptor)
        return shown.replace(bcdUSB=0x0200, bMaxPacketSize0=model.max_packet0)
    identity = plan.identity
    bcd_usb, packet0 = 0x0200, model.max_packet0
    if model.max_speed >= Speed.SUPER:
        at_superspeed = plan.speed >= Speed.SUPER
        bcd_usb = 0x0320 if at_superspeed else 0x0210
        packet0 = 9 if at_superspeed else packet0
    first = 1 if identity.strings else 0
    return DeviceDescriptor.new(
        bcdUSB=bcd_usb,
        bDeviceClass=identity.bDeviceClass,
        bDeviceSubClass=identity.bDeviceSubClass,
        bDeviceProtocol=identity.bDeviceProtocol,
        bMaxPacketSize0=packet0,
        idVendor=identity.idVendor,
        idProduct=identity.idProduct,
        bcdDevice=identity.bcdDevice,
        iManufacturer=first,
        iProduct=2 * first,
        iSerialNumber=3 * first,
        bNumConfigurations=len(plan.configurations),
    )


def configurations(plan: Plan) -> dict[int, bytes]:
    """The configurations that the host reads at the plan's speed, by value."""
    if plan.backend == "gadgetfs":
        return {each.value: each.data[plan.speed] for each in plan.configurations}
    used = 3 if plan.identity.strings else 0
    shown = {}
    for each in plan.configurations:
        used += bool(each.strings)
        own_index = used if each.strings else 0
        body = b"".join(_rewritten(each, d, used, plan).data for d in each.descriptors[plan.speed])
        used += max(map(len, each.interface_strings.values()), default=0)
        unit = 8 if plan.speed >= Speed.SUPER else 2
        header = ConfigurationDescriptor.new(
            wTotalLength=9 + len(body),
            bNumInterfaces=len(each.interfaces),
            bConfigurationValue=each.value,
            iConfiguration=own_index,
            bmAttributes=each.bmAttributes,
            bMaxPower=each.max_power_ma // unit,
        )
        shown[each.value] = header.data + body
    return shown


def _rewritten(
    planned: PlannedConfiguration, descriptor: Descriptor, used: int, plan: Plan
) -> Descriptor:
    """A descriptor as f_fs.c, `__ffs_func_bind_do_nums`, leaves it."""
    if isinstance(descriptor, InterfaceDescriptor) and descriptor.iInterface:
        return descriptor.replace(iInterface=used + descriptor.iInterface)
    if isinstance(descriptor, InterfaceAssociationDescriptor) and descriptor.iFunction:
        return descriptor.replace(iFunction=used + descriptor.iFunction)
    if isinstance(descriptor, EndpointDescriptor):
        (host,) = {
            route.host_address
            for route in planned.routes[plan.speed]
            if route.address == descriptor.bEndpointAddress
        }
        return descriptor.replace(bEndpointAddress=host)
    return descriptor


def unnamed_differences(tree: DeviceTree, plan: Plan, model: UdcModel) -> list[Difference]:
    """What the host reads otherwise than from the device, and no deviation of the plan tells."""
    if tree.speed in {Speed.UNKNOWN, Speed.WIRELESS}:
        tree = replace(tree, speed=Speed.HIGH)  # as the plan takes it
    subjects = {deviation.subject for deviation in plan.deviations}
    return [each for each in _differences(tree, plan, model) if each[0] not in subjects]


def _differences(tree: DeviceTree, plan: Plan, model: UdcModel) -> Iterator[Difference]:
    own, shown = tree.device, device_descriptor(plan, model)
    for name in DeviceDescriptor.FIELDS:
        before, after = getattr(own, name), getattr(shown, name)
        if before != after and not (name == "bMaxPacketSize0" and _speed_changed(tree, plan)):
            subject = {"bNumConfigurations": "configurations"}.get(name, name)
            yield subject, f"{name}: {before} becomes {after}"
    for value, data in configurations(plan).items():
        before_all = tree.configuration(value)
        yield from _configuration_differences(tree, plan, before_all, parse_configuration(data))
    if len(plan.configurations) < len(tree.configurations):
        yield "configurations", "there are fewer"


def _speed_changed(tree: DeviceTree, plan: Plan) -> bool:
    return min(tree.speed, Speed.SUPER) is not plan.speed


def _configuration_differences(
    tree: DeviceTree, plan: Plan, own: Configuration, shown: Configuration
) -> Iterator[Difference]:
    before, after = own.descriptor, shown.descriptor
    if before.bLength != after.bLength:
        yield "configuration", "the header has another length"
    if before.iConfiguration != after.iConfiguration:
        yield "iConfiguration", f"{before.iConfiguration} becomes {after.iConfiguration}"
    if before.bmAttributes != after.bmAttributes:
        wakeup_only = before.bmAttributes & ~0x20 == after.bmAttributes
        subject = "remote wakeup" if wakeup_only else "bmAttributes"
        yield subject, f"{before.bmAttributes:#x} becomes {after.bmAttributes:#x}"
    if before.max_power_ma(tree.speed) != after.max_power_ma(plan.speed):
        yield "bMaxPower", f"{before.bMaxPower} becomes {after.bMaxPower}"
    planned = plan.configuration(own.value)
    assert planned is not None
    yield from _dropped(own, shown, planned)
    if any(d.bDescriptorType == DescriptorType.OTG for _, d in own.descriptors()):
        yield "OTG descriptor", "left out"
    kept = [each for each in own.settings if _is_kept(each, planned)]
    if len(kept) != len(shown.settings):
        yield "?", f"{len(kept)} settings become {len(shown.settings)}"
        return
    for mine, theirs in zip(kept, shown.settings, strict=True):
        yield from _compare(tree, plan, _inside(mine, tree, plan), list(_of_setting(theirs)))
    if len(kept) < len(own.settings):
        return  # associations were fitted to what is left
    leading = [own.leading, *(each.leading for each in own.settings)]
    for one, other in zip(
        leading, [shown.leading, *(each.leading for each in shown.settings)], strict=True
    ):
        before_it = [each for each in one if each.bDescriptorType != DescriptorType.OTG]
        if plan.backend == "functionfs" and one is own.leading:
            if any(not isinstance(each, InterfaceAssociationDescriptor) for each in before_it):
                yield "configuration", "a descriptor is left out"
            before_it = [d for d in before_it if isinstance(d, InterfaceAssociationDescriptor)]
        yield from _compare(tree, plan, before_it, list(other))


def _is_kept(setting: AlternateSetting, planned: PlannedConfiguration) -> bool:
    if setting.interface not in planned.interfaces:
        return False
    default = None if planned.data else 0
    chosen = planned.frozen.get(setting.interface, default)
    return chosen is None or setting.alternate == chosen


def _of_setting(setting: AlternateSetting) -> Iterator[Descriptor]:
    yield setting.descriptor
    yield from setting.extra
    for endpoint in setting.endpoints:
        yield from endpoint.descriptors()


def _inside(setting: AlternateSetting, tree: DeviceTree, plan: Plan) -> list[Descriptor]:
    """The device's own, without what has no place at the plan's speed."""
    slower = _speed_changed(tree, plan)
    companions = [endpoint.companion for endpoint in setting.endpoints if slower]
    return [
        each
        for each in _of_setting(setting)
        if each.bDescriptorType != DescriptorType.OTG
        and all(each is not companion for companion in companions)
    ]


def _compare(
    tree: DeviceTree, plan: Plan, own: list[Descriptor], shown: list[Descriptor]
) -> Iterator[Difference]:
    if len(own) != len(shown):
        yield "?", f"{own} become {shown}"
        return
    for one, other in zip(own, shown, strict=True):
        yield from _descriptor_differences(tree, plan, one, other)


def _dropped(
    own: Configuration, shown: Configuration, planned: PlannedConfiguration
) -> Iterator[Difference]:
    for number, settings in own.interfaces.items():
        if number not in planned.interfaces:
            yield f"interface {number}", "is not there"
            continue
        host_number = number
        if not planned.data:
            host_number = planned.interfaces.index(number)
        left = shown.interfaces[host_number]
        if len(left) < len(settings):
            yield f"interface {number}", "has fewer settings"
        if host_number != number:
            yield f"interface {number}", f"becomes {host_number}"


def _descriptor_differences(
    tree: DeviceTree, plan: Plan, own: Descriptor, shown: Descriptor
) -> Iterator[Difference]:
    if own.data == shown.data:
        return
    if type(own) is not type(shown) or own.bLength != shown.bLength:
        yield "?", f"{own!r} becomes {shown!r}"
        return
    subject = "?"
    if isinstance(own, InterfaceDescriptor):
        subject = f"interface {own.bInterfaceNumber}"
    elif isinstance(own, InterfaceAssociationDescriptor):
        subject = f"interface association {own.bFirstInterface}"
    elif isinstance(own, EndpointDescriptor):
        subject = f"endpoint 0x{own.bEndpointAddress:02x}"
    for name in type(own).FIELDS:
        before, after = getattr(own, name), getattr(shown, name)
        if before == after or name == "bInterfaceNumber":
            continue  # a new number was told already
        if name in {"bFirstInterface", "bInterfaceCount"} and plan.backend == "functionfs":
            continue  # they follow the interfaces, whose new numbers are told
        if isinstance(own, EndpointDescriptor) and name in {"wMaxPacketSize", "bInterval"}:
            yield "speed" if _speed_changed(tree, plan) else subject, f"{name}: {own!r}"
            continue
        yield subject, f"{name}: {before} becomes {after}"
