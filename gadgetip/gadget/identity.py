"""Who the replica says it is: ids, versions, strings, power.

Everything is the device's own where the kernel lets it be. Where the kernel writes a field by
itself, the difference is listed as a deviation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.usb import (
    US_ENGLISH,
    AlternateSetting,
    Configuration,
    DeviceTree,
    Speed,
    printable,
)

BCD_USB = 0x0200
BCD_USB_SUPERSPEED = {Speed.SUPER: 0x0320}
BCD_USB_BELOW_SUPERSPEED = 0x0210
MAX_STRING_BYTES = 126
MAX_LANGUAGES = 2
MAX_POWER_MA = 500
MAX_POWER_SUPERSPEED_MA = 896
DEFAULT_POWER_MA = 2
SELF_POWERED = 0x40
DEVICE_STRINGS = ("manufacturer", "product", "serialnumber")


@dataclass(frozen=True, slots=True)
class Identity:
    """The values of configfs's attributes, by configfs's names.

    `strings` maps a language to the device's strings, `configuration_strings` a language to the
    configuration's.
    """

    idVendor: int
    idProduct: int
    bcdDevice: int
    bcdUSB: int
    bDeviceClass: int
    bDeviceSubClass: int
    bDeviceProtocol: int
    bmAttributes: int
    max_power_ma: int
    strings: dict[int, dict[str, str]] = field(default_factory=dict)
    configuration_strings: dict[int, str] = field(default_factory=dict)


def decide_identity(
    tree: DeviceTree,
    configuration: Configuration,
    settings: list[AlternateSetting],
    speed: Speed,
    model: UdcModel,
    deviations: list[Deviation],
) -> tuple[Identity, dict[int, tuple[str, ...]], dict[int, int]]:
    """The identity, the function's strings by language, and the map from iInterface to theirs."""
    device = tree.device
    languages = _languages(tree, deviations)
    strings = {
        lang: _device_strings(tree, own_lang, deviations) for lang, own_lang in languages.items()
    }
    strings = {lang: texts for lang, texts in strings.items() if texts}
    configuration_index = configuration.descriptor.iConfiguration
    configuration_strings = {
        lang: _fitted(text, "iConfiguration", deviations)
        for lang, own_lang in languages.items()
        if configuration_index and (text := tree.strings.get(configuration_index, own_lang))
    }
    interface_indices = sorted(
        {s.descriptor.iInterface for s in settings}
        | {association.iFunction for association in configuration.associations}
    )
    known = [
        i
        for i in interface_indices
        if i and any(tree.strings.get(i, own_lang) for own_lang in languages.values())
    ]
    string_map = {index: position for position, index in enumerate(known, 1)}
    interface_strings = {
        lang: tuple(
            _fitted(tree.strings.get(i, own_lang) or "", "iInterface", deviations) for i in known
        )
        for lang, own_lang in languages.items()
        if known
    }
    identity = Identity(
        idVendor=device.idVendor,
        idProduct=device.idProduct,
        bcdDevice=_bcd(device.bcdDevice, deviations),
        bcdUSB=_bcd_usb(device.bcdUSB, speed, model, deviations),
        bDeviceClass=device.bDeviceClass,
        bDeviceSubClass=device.bDeviceSubClass,
        bDeviceProtocol=device.bDeviceProtocol,
        bmAttributes=_attributes(configuration, deviations),
        max_power_ma=_power(tree, configuration, speed, deviations),
        strings=strings,
        configuration_strings=configuration_strings,
    )
    _note_string_indices(tree, identity, configuration, settings, string_map, deviations)
    _note_what_the_kernel_sets(tree, speed, model, deviations)
    return identity, interface_strings, string_map


def _languages(tree: DeviceTree, deviations: list[Deviation]) -> dict[int, int]:
    """The languages that the replica has, and for each the device's own from which it is told."""
    own = tree.strings.langids or (US_ENGLISH,)
    languages = {lang: lang for lang in own if _is_language(lang)}
    languages = dict(list(languages.items())[:MAX_LANGUAGES]) or {US_ENGLISH: own[0]}
    if tuple(languages) != own:
        deviations.append(
            Deviation(
                Severity.INFO,
                "languages",
                f"the kernel takes at most {MAX_LANGUAGES} that exist: "
                f"{_hex_list(languages)} instead of {_hex_list(own)}",
            )
        )
    return languages


def _is_language(lang: int) -> bool:
    """As drivers/usb/gadget/usbstring.c, `usb_validate_langid`."""
    primary, sub = lang & 0x3FF, lang >> 10
    return bool(sub) and (0 < primary < 0x62 or primary == 0xFF)


def _hex_list(languages: Iterable[int]) -> str:
    return ", ".join(f"0x{lang:04x}" for lang in languages)


def _device_strings(tree: DeviceTree, lang: int, deviations: list[Deviation]) -> dict[str, str]:
    device = tree.device
    indices = (device.iManufacturer, device.iProduct, device.iSerialNumber)
    return {
        name: _fitted(text, name, deviations)
        for name, index in zip(DEVICE_STRINGS, indices, strict=True)
        if index and (text := tree.strings.get(index, lang)) is not None
    }


def _fitted(text: str, subject: str, deviations: list[Deviation]) -> str:
    """The text as configfs takes it: no line ends or halves of characters, 126 bytes of UTF-8."""
    clean = "".join(c for c in text if c.isprintable() or c == "\u00a0")
    encoded = clean.encode("utf-8")[:MAX_STRING_BYTES]
    fitted = encoded.decode("utf-8", "ignore")
    if fitted != text:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                subject,
                f'the kernel takes at most {MAX_STRING_BYTES} bytes of printable text: "{fitted}" '
                f'instead of "{printable(text)}"',
            )
        )
    return fitted


def _bcd(value: int, deviations: list[Deviation]) -> int:
    """The nearest value that configfs takes: every digit at most 9 (configfs.c, is_valid_bcd)."""
    digits = [min(value >> shift & 0xF, 9) for shift in (12, 8, 4, 0)]
    valid = digits[0] << 12 | digits[1] << 8 | digits[2] << 4 | digits[3]
    if valid != value:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "bcdDevice",
                f"0x{value:04x} is no decimal number, which the kernel insists on: 0x{valid:04x}",
            )
        )
    return valid


def _bcd_usb(value: int, speed: Speed, model: UdcModel, deviations: list[Deviation]) -> int:
    shown = BCD_USB
    if model.max_speed >= Speed.SUPER:
        shown = BCD_USB_SUPERSPEED.get(speed, BCD_USB_BELOW_SUPERSPEED)
    if shown != value:
        deviations.append(
            Deviation(Severity.INFO, "bcdUSB", f"the kernel writes 0x{shown:04x} for 0x{value:04x}")
        )
    return BCD_USB


def _attributes(configuration: Configuration, deviations: list[Deviation]) -> int:
    attributes = 0x80
    if configuration.descriptor.self_powered:
        attributes |= SELF_POWERED
    if configuration.descriptor.remote_wakeup:
        # A host that believes in it puts a keyboard to sleep for ever.
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "remote wakeup",
                "gadgetip does not signal it yet, so the replica does not claim it",
            )
        )
    return attributes


def _power(
    tree: DeviceTree, configuration: Configuration, speed: Speed, deviations: list[Deviation]
) -> int:
    wanted = configuration.descriptor.max_power_ma(tree.speed)
    limit = MAX_POWER_SUPERSPEED_MA if speed >= Speed.SUPER else MAX_POWER_MA
    shown = min(wanted, limit)
    if not shown and not configuration.descriptor.self_powered:
        shown = DEFAULT_POWER_MA
    if shown != wanted:
        deviations.append(
            Deviation(
                Severity.INFO, "bMaxPower", f"the replica says {shown} mA, the device {wanted} mA"
            )
        )
    return shown


def _note_string_indices(
    tree: DeviceTree,
    identity: Identity,
    configuration: Configuration,
    settings: list[AlternateSetting],
    string_map: dict[int, int],
    deviations: list[Deviation],
) -> None:
    """Predict the indices that the kernel gives, and list those that differ."""
    device = tree.device
    count = len(DEVICE_STRINGS) if identity.strings else 0
    named = {name for texts in identity.strings.values() for name in texts}
    fields = [
        ("iManufacturer", device.iManufacturer, min(count, 1), "manufacturer"),
        ("iProduct", device.iProduct, min(count, 2), "product"),
        ("iSerialNumber", device.iSerialNumber, min(count, 3), "serialnumber"),
    ]
    for name, own, shown, key in fields:
        if own != shown:
            empty = "" if key in named or not shown else ", an empty string"
            deviations.append(
                Deviation(Severity.INFO, name, f"string index {shown} instead of {own}{empty}")
            )
    following = count
    own = configuration.descriptor.iConfiguration
    shown = 0
    if identity.configuration_strings:
        following += 1
        shown = following
    if own != shown:
        deviations.append(
            Deviation(Severity.INFO, "iConfiguration", f"string index {shown} instead of {own}")
        )
    for setting in settings:
        own = setting.descriptor.iInterface
        shown = string_map[own] + following if own in string_map else 0
        if own != shown:
            deviations.append(
                Deviation(
                    Severity.INFO,
                    f"interface {setting.interface}",
                    f"iInterface is string index {shown} instead of {own}",
                )
            )


def _note_what_the_kernel_sets(
    tree: DeviceTree, speed: Speed, model: UdcModel, deviations: list[Deviation]
) -> None:
    if tree.speed < Speed.SUPER and tree.device.max_packet0 != model.max_packet0:
        deviations.append(
            Deviation(
                Severity.INFO,
                "bMaxPacketSize0",
                f"the controller's {model.max_packet0} instead of {tree.device.max_packet0}",
            )
        )
    if tree.bos and speed < Speed.SUPER:
        deviations.append(
            Deviation(Severity.INFO, "BOS descriptor", "the kernel makes none at this speed")
        )
