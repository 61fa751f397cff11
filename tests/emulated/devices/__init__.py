"""Well-behaved devices by name; odd, but such as one may buy.

Each is a function without arguments whose docstring's first line says what it is.
"""

from collections.abc import Callable

from tests.emulated.device import EmulatedDevice
from tests.emulated.devices.audio import headset, usb_midi
from tests.emulated.devices.composite import composite, two_configurations
from tests.emulated.devices.hid import keyboard, long_report_descriptor, low_speed_mouse
from tests.emulated.devices.radio import bluetooth
from tests.emulated.devices.serial import cdc_acm, ftdi
from tests.emulated.devices.settings import (
    alternate_setting_five,
    four_settings_one_address,
    interface_gaps,
)
from tests.emulated.devices.vendor import (
    bulk_echo,
    never_answers_vendor,
    stalls_after_bytes,
    winusb,
    xbox_pad,
)
from tests.emulated.devices.video import webcam
from tests.emulated.devices.wording import (
    long_strings,
    no_strings,
    not_bcd,
    string_everywhere,
    two_languages,
)

DEVICES: dict[str, Callable[[], EmulatedDevice]] = {
    "cdc-acm": cdc_acm,
    "ftdi": ftdi,
    "usb-midi": usb_midi,
    "headset": headset,
    "keyboard": keyboard,
    "low-speed-mouse": low_speed_mouse,
    "long-report-descriptor": long_report_descriptor,
    "xbox-pad": xbox_pad,
    "bulk-echo": bulk_echo,
    "stalls-after-bytes": stalls_after_bytes,
    "never-answers-vendor": never_answers_vendor,
    "winusb": winusb,
    "bluetooth": bluetooth,
    "webcam": webcam,
    "composite": composite,
    "two-configurations": two_configurations,
    "four-settings-one-address": four_settings_one_address,
    "alternate-setting-five": alternate_setting_five,
    "interface-gaps": interface_gaps,
    "two-languages": two_languages,
    "long-strings": long_strings,
    "no-strings": no_strings,
    "string-everywhere": string_everywhere,
    "not-bcd": not_bcd,
}


def make_device(name: str) -> EmulatedDevice:
    """A new device of this name."""
    return DEVICES[name]()
