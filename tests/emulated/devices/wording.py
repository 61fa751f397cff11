"""Names: languages, lengths, none at all, and numbers that are no decimal digits."""

from typing import ClassVar

from gadgetip.usb import build_string_descriptor
from tests.emulated.descriptors import configuration, device
from tests.emulated.device import STALL, Answer, EmulatedDevice
from tests.emulated.devices.vendor import bulk_pair
from tests.emulated.endpoints import Echo, InQueue

US_ENGLISH, GERMAN = 0x0409, 0x0407
LONGEST = 126
"""UTF-16 code units that fit a string descriptor."""


class TwoLanguages(EmulatedDevice):
    """German has its own words, and one that English lacks."""

    german: ClassVar = {1: "Gerätebau", 2: "Zwei Sprachen", 4: "nur auf Deutsch"}

    def get_string(self, index: int, langid: int) -> Answer:
        """Each language's own text."""
        if index and langid == GERMAN and index in self.german:
            return build_string_descriptor(self.german[index])
        return super().get_string(index, langid)


def two_languages() -> EmulatedDevice:
    """A vendor device whose strings are English and German."""
    return TwoLanguages(
        descriptor=device(0x1209, 0x0012),
        configurations=[configuration(bulk_pair(), text=4)],
        strings={1: "Device works", 2: "Two languages", 3: "LANG-0001"},
        languages=(US_ENGLISH, GERMAN),
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


def long_strings() -> EmulatedDevice:
    """A vendor device whose strings have 126 code units, some of them surrogate pairs."""
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0013),
        configurations=[configuration(bulk_pair())],
        strings={1: "M" * LONGEST, 2: "\U0001f50c" * (LONGEST // 2), 3: "0123456789" * 12},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


class NoStrings(EmulatedDevice):
    """Indices without strings behind them."""

    def get_string(self, index: int, langid: int) -> Answer:
        """Not even the languages."""
        return STALL


def no_strings() -> EmulatedDevice:
    """A vendor device that names strings and gives none, not even the languages."""
    return NoStrings(
        descriptor=device(0x1209, 0x0014),
        configurations=[configuration(bulk_pair())],
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


class StringEverywhere(EmulatedDevice):
    """Strings that no descriptor names."""

    def get_string(self, index: int, langid: int) -> Answer:
        """Any index in any language."""
        if index == 0:
            return super().get_string(index, langid)
        return build_string_descriptor(f"string {index} in 0x{langid:04x}")


def string_everywhere() -> EmulatedDevice:
    """A vendor device that has a string of every index in every language."""
    return StringEverywhere(
        descriptor=device(0x1209, 0x0015, strings=(1, 2, 255)),
        configurations=[configuration(bulk_pair())],
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


def not_bcd() -> EmulatedDevice:
    """A vendor device whose bcdDevice is 0x1A2F, which is no decimal number."""
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0016, bcd_device=0x1A2F),
        configurations=[configuration(bulk_pair())],
        strings={1: "gadgetip", 2: "Not BCD", 3: "BCD-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )
