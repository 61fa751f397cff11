"""A class other than the device's own, where the profile wants one.

The interface descriptors are written over in the tree, before anything is planned from it: what a
backend can carry depends on the class that the kernel and the host see. The shapers do not: how
bytes have to be cut is the device's protocol, whatever the host takes it for, which is why the
device's own classes are kept beside the tree (`gadgetip.gadget.shaping`).
"""

from collections.abc import Mapping
from dataclasses import replace

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.profiles import Profile
from gadgetip.usb import AlternateSetting, Configuration, DeviceTree, class_code

ClassTriple = tuple[int, int, int]
OwnClasses = Mapping[tuple[int, int], ClassTriple]
"""The device's own class by interface and alternate setting."""


def own_classes(configuration: Configuration) -> OwnClasses:
    """The class of each setting, as it stands here."""
    return {
        (setting.interface, setting.alternate): setting.descriptor.class_triple
        for setting in configuration.settings
    }


def override_classes(tree: DeviceTree, profile: Profile, deviations: list[Deviation]) -> DeviceTree:
    """The tree with the classes that the profile asks for; what changes is listed."""
    if all(wish.class_triple is None for wish in profile.interfaces):
        return tree
    changed = []
    for configuration in tree.configurations:
        settings = [_changed(setting, profile, deviations) for setting in configuration.settings]
        unchanged = settings == list(configuration.settings)
        changed.append(configuration if unchanged else configuration.with_settings(settings))
    return replace(tree, configurations=tuple(changed))


def _changed(
    setting: AlternateSetting, profile: Profile, deviations: list[Deviation]
) -> AlternateSetting:
    wish = profile.interface(setting.interface)
    own = setting.descriptor.class_triple
    if wish is None or wish.class_triple is None or wish.class_triple == own:
        return setting
    wanted = wish.class_triple
    deviations.append(
        Deviation(
            Severity.INFO,
            f"interface {setting.interface}",
            f"class {class_code(*wanted)} instead of {class_code(*own)}, as the profile asks",
        )
    )
    device_class, subclass, protocol = wanted
    descriptor = setting.descriptor.replace(
        bInterfaceClass=device_class, bInterfaceSubClass=subclass, bInterfaceProtocol=protocol
    )
    return replace(setting, descriptor=descriptor)
