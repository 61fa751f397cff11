"""An identity other than the device's own, where the profile wants one.

Ids and numbers are written over in the tree, before anything is planned from it. So are the
texts; a backend that passes string requests on to the device answers these by itself, which is
why they are returned beside the tree, by index and language.
"""

from dataclasses import replace

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.profiles import IdentityWishes
from gadgetip.usb import US_ENGLISH, Configuration, DeviceTree, Speed, StringTable, printable
from gadgetip.usb.inference import string_indices

_TEXTS = (
    ("manufacturer", "iManufacturer"),
    ("product", "iProduct"),
    ("serialnumber", "iSerialNumber"),
)
_NUMBERS = ("idVendor", "idProduct", "bcdDevice")
_UNIT_MA = 2


def override_identity(
    tree: DeviceTree, wishes: IdentityWishes, deviations: list[Deviation]
) -> tuple[DeviceTree, dict[tuple[int, int], str]]:
    """The tree as the profile wants it, and the texts that are not the device's."""
    fields: dict[str, int] = {}
    for name in _NUMBERS:
        value = getattr(wishes, name)
        if value is not None:
            fields[name] = value
            deviations.append(_asked(name, f"0x{value:04x}"))
    texts = dict(tree.strings.texts)
    own: dict[tuple[int, int], str] = {}
    langids = tree.strings.langids or (US_ENGLISH,)
    used = {index for index, _ in texts} | set(string_indices(tree))
    for name, index_field in _TEXTS:
        text = getattr(wishes, name)
        if text is None:
            continue
        index = getattr(tree.device, index_field)
        if not index:
            index = next((each for each in range(1, 256) if each not in used), 0)
            if not index:
                deviations.append(
                    Deviation(Severity.DEGRADED, name, "all 255 string indices are taken")
                )
                continue
            used.add(index)
            fields[index_field] = index
        for langid in langids:
            texts[index, langid] = own[index, langid] = text
        deviations.append(_asked(name, f'"{printable(text)}"'))
    if fields:
        tree = replace(tree, device=tree.device.replace(**fields))
    if own:
        tree = replace(tree, strings=StringTable(langids, texts))
    if wishes.max_power_ma is not None:
        deviations.append(_asked("bMaxPower", f"{wishes.max_power_ma} mA"))
        tree = replace(
            tree,
            configurations=tuple(
                _powered(each, wishes.max_power_ma, tree.speed) for each in tree.configurations
            ),
        )
    return tree, own


def _powered(configuration: Configuration, milliamperes: int, speed: Speed) -> Configuration:
    unit = 8 if speed >= Speed.SUPER else _UNIT_MA
    units = min(milliamperes // unit, 0xFF)
    return replace(configuration, descriptor=configuration.descriptor.replace(bMaxPower=units))


def _asked(subject: str, value: str) -> Deviation:
    return Deviation(Severity.INFO, subject, f"{value}, as the profile asks")
