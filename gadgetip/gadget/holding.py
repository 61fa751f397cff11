"""What may be held while the link to the server is lost: the host keeps its device, and waits.

The device is reset when it is imported anew, and forgets what its host told it. So the host's
picture stays true only for classes of which it is known what they forget, what may be repeated and
what has to be said to the host. Those are few; everything else is unplugged, unless its owner
knows better and says so in a profile of his own.
"""

from collections.abc import Iterable

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.planned import Holdable, HoldPlan, PlannedConfiguration
from gadgetip.profiles import LinkWishes
from gadgetip.pump import Shaping
from gadgetip.usb import (
    BULK_ONLY_TRANSPORT,
    AlternateSetting,
    Configuration,
    DeviceClass,
    DeviceTree,
)

SERIAL_MAKERS = {
    0x0403: "FTDI",
    0x10C4: "Silicon Labs CP210x",
    0x067B: "Prolific PL2303",
    0x1A86: "WCH CH34x",
}
"""idVendor of serial adapters whose settings are known (drivers/usb/serial)."""

_ACM = 0x02
_BOOT_PROTOCOLS = frozenset({1, 2})
"""bInterfaceProtocol of keyboard and mouse (HID 1.11, 4.3)."""


def plan_hold(
    tree: DeviceTree,
    planned: Iterable[PlannedConfiguration],
    wishes: LinkWishes,
    deviations: list[Deviation],
) -> HoldPlan | None:
    """How the replica of `tree` is held; None where a lost link unplugs it.

    `tree` is the device as it is, whatever the replica says it is. Where the profile wishes
    otherwise, a deviation says why.
    """
    if wishes.on_loss != "hold":
        return None
    kinds: dict[int, Holdable] = {}
    for each in planned:
        configuration = next(c for c in tree.configurations if c.value == each.value)
        for number in each.interfaces:
            kind = _kind(tree, configuration, configuration.interfaces[number][0])
            # What differs between configurations is known by its number no more.
            kinds[number] = kind if kinds.get(number, kind) is kind else Holdable.OTHER
        for routes in each.routes.values():
            for route in routes:
                if kinds.get(route.interface) is Holdable.STORAGE and (
                    route.shaping is not Shaping.BOT
                ):
                    kinds[route.interface] = Holdable.OTHER
    others = sorted(number for number, kind in kinds.items() if kind is Holdable.OTHER)
    if others:
        which = f"interface{'s' * (len(others) > 1)} {', '.join(map(str, others))}"
        if not wishes.insists:
            _say(deviations, f"a lost link unplugs it: {which} cannot be held")
            return None
        _say(deviations, f"held, as the profile insists: {which} may lose or double what moves")
    return HoldPlan(wishes.hold_s, kinds, tree.device.idVendor, wishes)


def _kind(tree: DeviceTree, configuration: Configuration, setting: AlternateSetting) -> Holdable:
    device_class, subclass, protocol = setting.descriptor.class_triple
    if device_class == DeviceClass.MASS_STORAGE and protocol == BULK_ONLY_TRANSPORT:
        return Holdable.STORAGE
    if device_class == DeviceClass.HID and _has_boot_device(configuration):
        return Holdable.INPUT
    if device_class == DeviceClass.COMMUNICATIONS and subclass == _ACM:
        return Holdable.SERIAL
    if device_class == DeviceClass.CDC_DATA and _is_all_acm(configuration):
        return Holdable.SERIAL
    if device_class == DeviceClass.VENDOR_SPECIFIC and tree.device.idVendor in SERIAL_MAKERS:
        return Holdable.SERIAL
    return Holdable.OTHER


def _has_boot_device(configuration: Configuration) -> bool:
    triples = [setting.descriptor.class_triple for setting in configuration.settings]
    return any(
        each[0] == DeviceClass.HID and each[1] == 1 and each[2] in _BOOT_PROTOCOLS
        for each in triples
    )


def _is_all_acm(configuration: Configuration) -> bool:
    """Whether every communications interface is a serial port, so that the data is one's too."""
    subclasses = {
        setting.descriptor.bInterfaceSubClass
        for setting in configuration.settings
        if setting.descriptor.bInterfaceClass == DeviceClass.COMMUNICATIONS
    }
    return subclasses == {_ACM}


def _say(deviations: list[Deviation], reason: str) -> None:
    deviations.append(Deviation(Severity.DEGRADED, "hold", reason))
