"""How fast a device signals.

The numbers are those of the kernel's `enum usb_device_speed`: USB/IP puts them on the wire as
they are. Their order is the order of the speeds, so `<` compares speeds. The kernel also *names*
speeds, in two vocabularies that must not be mixed:

* controllers and gadgets say "high-speed" (`/sys/class/udc/*/current_speed` and `maximum_speed`,
  configfs `max_speed`);
* a device below `/sys/bus/usb/devices` says "480", its signalling rate in Mbit/s.
"""

from enum import IntEnum

from gadgetip.errors import GadgetipError, RemoteProtocolError


class Speed(IntEnum):
    """The speed of a USB link; the value is the number on the USB/IP wire."""

    UNKNOWN = 0
    LOW = 1
    FULL = 2
    HIGH = 3
    WIRELESS = 4
    SUPER = 5
    SUPER_PLUS = 6

    @property
    def kernel_name(self) -> str:
        """The name in `/sys/class/udc/*/current_speed` and in configfs."""
        return _KERNEL_NAMES[self]

    @property
    def mbps_text(self) -> str:
        """The signalling rate for people, "480 Mbit/s"."""
        rate = _RATES.get(self)
        return f"{rate} Mbit/s" if rate else "unknown speed"

    @classmethod
    def from_wire(cls, number: int) -> "Speed":
        """The speed that a USB/IP peer names by this number."""
        try:
            return cls(number)
        except ValueError:
            raise RemoteProtocolError(
                f"speed {number}: USB/IP knows 0 (unknown) to 6 (super-speed-plus)"
            ) from None

    @classmethod
    def from_kernel_name(cls, name: str) -> "Speed":
        """The speed that a controller, a gadget or a profile calls by this name."""
        for speed, known in _KERNEL_NAMES.items():
            if name.strip() == known:
                return speed
        raise GadgetipError(f"{name!r} is no speed; known are {', '.join(_KERNEL_NAMES.values())}")

    @classmethod
    def from_sysfs(cls, rate: str) -> "Speed":
        """The speed of a device whose sysfs `speed` file says this.

        A rate that a newer kernel may invent is above everything here ("20000" is two lanes of
        super-speed-plus); a word is "unknown", which the kernel also writes.
        """
        known = {text: speed for speed, text in _RATES.items() if speed is not cls.WIRELESS}
        rate = rate.strip()
        if rate in known:
            return known[rate]
        beyond = rate.isascii() and rate.isdecimal() and int(rate) > 10000
        return cls.SUPER_PLUS if beyond else cls.UNKNOWN


_KERNEL_NAMES = {
    Speed.UNKNOWN: "UNKNOWN",
    Speed.LOW: "low-speed",
    Speed.FULL: "full-speed",
    Speed.HIGH: "high-speed",
    Speed.WIRELESS: "wireless",
    Speed.SUPER: "super-speed",
    Speed.SUPER_PLUS: "super-speed-plus",
}

_RATES = {
    Speed.LOW: "1.5",
    Speed.FULL: "12",
    Speed.HIGH: "480",
    Speed.WIRELESS: "480",
    Speed.SUPER: "5000",
    Speed.SUPER_PLUS: "10000",
}
