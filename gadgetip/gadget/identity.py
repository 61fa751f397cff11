"""Who the replica says it is: ids, versions, strings, power.

Everything is the device's own where the kernel lets it be. Where the kernel writes a field by
itself, the difference is listed as a deviation.
"""

from collections.abc import Iterable, Sequence
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
BCD_USB_WITH_BOS = 0x0201
MAX_PACKET0_SUPERSPEED = 512
MAX_STRING_BYTES = 126
MAX_LANGUAGES = 2
MAX_POWER_MA = 500
MAX_POWER_SUPERSPEED_MA = 896
DEFAULT_POWER_MA = 2
SELF_POWERED = 0x40
REMOTE_WAKEUP = 0x20
RESERVED_ATTRIBUTES = 0x9F
DEVICE_STRINGS = ("manufacturer", "product", "serialnumber")


@dataclass(frozen=True, slots=True)
class Identity:
    """The values of configfs's attributes, by configfs's names.

    `strings` maps a language to the device's strings; `ms_os_vendor_code` is None without a
    Microsoft OS 1.0 descriptor.
    """

    idVendor: int
    idProduct: int
    bcdDevice: int
    bcdUSB: int
    bDeviceClass: int
    bDeviceSubClass: int
    bDeviceProtocol: int
    strings: dict[int, dict[str, str]] = field(default_factory=dict)
    ms_os_vendor_code: int | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """The strings of one configuration, as the kernel is given them.

    `configuration` maps a language to the configuration's, `interfaces` to those of its interfaces
    and associations, in the order of their indices; `numbers` maps the device's index of one of
    these to its place in that order, from 1.
    """

    configuration: dict[int, str]
    interfaces: dict[int, tuple[str, ...]]
    numbers: dict[int, int]


class KernelStrings:
    """String indices as the kernel gives them: device, then each configuration and its function."""

    def __init__(
        self, tree: DeviceTree, speed: Speed, model: UdcModel, deviations: list[Deviation]
    ) -> None:
        device = tree.device
        self._tree = tree
        self._deviations = deviations
        self._languages = _languages(tree, deviations)
        strings = {
            lang: _device_strings(tree, own_lang, deviations)
            for lang, own_lang in self._languages.items()
        }
        strings = {lang: texts for lang, texts in strings.items() if texts}
        self.identity = Identity(
            idVendor=device.idVendor,
            idProduct=device.idProduct,
            bcdDevice=_bcd(device.bcdDevice, deviations),
            bcdUSB=_bcd_usb(device.bcdUSB, speed, model, deviations),
            bDeviceClass=device.bDeviceClass,
            bDeviceSubClass=device.bDeviceSubClass,
            bDeviceProtocol=device.bDeviceProtocol,
            strings=strings,
            ms_os_vendor_code=tree.ms_os_vendor_code,
        )
        self._used = len(DEVICE_STRINGS) if strings else 0
        self._note_device_indices()
        note_what_the_kernel_sets(tree, speed, model, deviations)
        if model.max_speed < Speed.SUPER:
            note_missing_bos(tree, deviations)
        elif tree.bos or device.bcdUSB >= BCD_USB_WITH_BOS:
            # composite.c:1875: at any speed, where the controller could do SuperSpeed.
            deviations.append(Deviation(Severity.INFO, "BOS descriptor", "the kernel's own"))

    def texts_of(self, configuration: Configuration, settings: Sequence[AlternateSetting]) -> Texts:
        """The strings of the next configuration; indices that differ are noted."""
        index = configuration.descriptor.iConfiguration
        own = {
            lang: _fitted(text, "iConfiguration", self._deviations)
            for lang, own_lang in self._languages.items()
            if index and (text := self._tree.strings.get(index, own_lang))
        }
        wanted = sorted(
            {s.descriptor.iInterface for s in settings}
            | {association.iFunction for association in configuration.associations}
        )
        known = [
            i
            for i in wanted
            if i and any(self._tree.strings.get(i, lang) for lang in self._languages.values())
        ]
        numbers = {index: position for position, index in enumerate(known, 1)}
        interfaces = {
            lang: tuple(
                _fitted(self._tree.strings.get(i, own_lang) or "", "iInterface", self._deviations)
                for i in known
            )
            for lang, own_lang in self._languages.items()
            if known
        }
        self._used += bool(own)
        self._note_index("iConfiguration", "", index, self._used if own else 0)
        for setting in settings:
            self._note_function_index(
                f"interface {setting.interface}", setting.descriptor.iInterface, numbers
            )
        for association in configuration.associations:
            self._note_function_index(
                f"interface association {association.bFirstInterface}",
                association.iFunction,
                numbers,
            )
        self._used += len(known)
        return Texts(own, interfaces, numbers)

    def _note_function_index(self, subject: str, index: int, numbers: dict[int, int]) -> None:
        field_name = "iFunction " if "association" in subject else "iInterface "
        shown = self._used + numbers[index] if index in numbers else 0
        self._note_index(subject, f"{field_name}is ", index, shown)

    def _note_index(self, subject: str, field_name: str, own: int, shown: int) -> None:
        if own != shown:
            self._deviations.append(
                Deviation(
                    Severity.INFO, subject, f"{field_name}string index {shown} instead of {own}"
                )
            )

    def _note_device_indices(self) -> None:
        device = self._tree.device
        named = {name for texts in self.identity.strings.values() for name in texts}
        own = (device.iManufacturer, device.iProduct, device.iSerialNumber)
        fields = ("iManufacturer", "iProduct", "iSerialNumber")
        for position, (name, index) in enumerate(zip(fields, own, strict=True), 1):
            shown = position if self._used else 0
            if index != shown:
                empty = (
                    ", an empty string" if shown and DEVICE_STRINGS[shown - 1] not in named else ""
                )
                self._deviations.append(
                    Deviation(
                        Severity.INFO, name, f"string index {shown} instead of {index}{empty}"
                    )
                )


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
        reason = f"the kernel writes 0x{shown:04x} for 0x{value:04x}"
        if value < BCD_USB_WITH_BOS <= shown:
            reason += " and makes a BOS descriptor"
        deviations.append(Deviation(Severity.INFO, "bcdUSB", reason))
    return BCD_USB


def attributes(
    configuration: Configuration,
    *,
    wakeup: bool,
    why_not: str,
    deviations: list[Deviation],
) -> int:
    """bmAttributes; remote wakeup is claimed only where it can be signalled.

    A host that believes in it puts a keyboard to sleep for ever.
    """
    own = configuration.descriptor.bmAttributes
    shown = 0x80 | own & SELF_POWERED
    if configuration.descriptor.remote_wakeup:
        if wakeup:
            shown |= REMOTE_WAKEUP
        else:
            deviations.append(Deviation(Severity.DEGRADED, "remote wakeup", why_not))
    if own & RESERVED_ATTRIBUTES != 0x80:
        deviations.append(
            Deviation(
                Severity.INFO,
                "bmAttributes",
                f"reserved bits are as the specification has them: 0x{shown:02x} for 0x{own:02x}",
            )
        )
    return shown


def power(
    tree: DeviceTree, configuration: Configuration, speed: Speed, deviations: list[Deviation]
) -> int:
    """MaxPower in mA, as configfs takes it: 0 is not possible on a bus-powered device."""
    wanted = configuration.descriptor.max_power_ma(tree.speed)
    limit = MAX_POWER_SUPERSPEED_MA if speed >= Speed.SUPER else MAX_POWER_MA
    shown = min(wanted, limit)
    if not shown and not configuration.descriptor.self_powered:
        shown = DEFAULT_POWER_MA
    if shown != wanted:
        severity = Severity.DEGRADED if wanted > limit else Severity.INFO
        deviations.append(
            Deviation(severity, "bMaxPower", f"the replica says {shown} mA, the device {wanted} mA")
        )
    return shown


def note_what_the_kernel_sets(
    tree: DeviceTree, speed: Speed, model: UdcModel, deviations: list[Deviation]
) -> None:
    """List the fields that no backend can give."""
    at_superspeed = speed >= Speed.SUPER
    shown = MAX_PACKET0_SUPERSPEED if at_superspeed else model.max_packet0
    # From SuperSpeed to less it cannot be the same, which the lower speed says.
    if at_superspeed == (tree.speed >= Speed.SUPER) and tree.device.max_packet0 != shown:
        deviations.append(
            Deviation(
                Severity.INFO,
                "bMaxPacketSize0",
                f"the controller's {shown} instead of {tree.device.max_packet0}",
            )
        )


def note_missing_bos(tree: DeviceTree, deviations: list[Deviation]) -> None:
    """Say that the device has a BOS and the replica none."""
    if tree.bos:
        deviations.append(
            Deviation(Severity.INFO, "BOS descriptor", "the kernel makes none at this speed")
        )
