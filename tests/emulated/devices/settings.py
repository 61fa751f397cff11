"""Alternate settings and interface numbers that are legal and that gadget functions never have."""

from gadgetip.usb import Direction, SetupPacket
from tests.emulated.descriptors import (
    BULK,
    INTERRUPT,
    configuration,
    device,
    endpoint,
    interface,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice
from tests.emulated.devices.vendor import VENDOR, bulk_pair
from tests.emulated.endpoints import Echo, InQueue, Reporter

SIZES = (16, 64, 512, 1024)
"""wMaxPacketSize of 0x81 in the settings 0 to 3."""


class FourSettings(EmulatedDevice):
    """Reports tell the setting; so does a vendor IN request."""

    def report(self, number: int) -> bytes:
        """As long as the setting's packet, full of its number."""
        alternate = self.alternates.get(0, 0)
        return bytes([alternate]) * SIZES[alternate]

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """The setting that is chosen."""
        return bytes([self.alternates.get(0, 0)]) if setup.direction is Direction.IN else STALL


def four_settings_one_address() -> EmulatedDevice:
    """Four alternate settings, each with endpoint 0x81 at another packet size."""
    made = FourSettings(
        descriptor=device(0x1209, 0x000B),
        configurations=[
            configuration(
                *(
                    interface(
                        0,
                        VENDOR,
                        endpoint(0x81, INTERRUPT, size, 4),
                        endpoint(0x01, BULK, 512),
                        alternate=alternate,
                    )
                    for alternate, size in enumerate(SIZES)
                )
            )
        ],
        strings={1: "gadgetip", 2: "Four settings", 3: "ALT4-0001"},
        endpoints={0x81: Reporter(lambda number: made.report(number), period_s=0.02)},  # noqa: PLW0108 (made later)
    )
    return made


def alternate_setting_five() -> EmulatedDevice:
    """An interface whose alternate settings are numbered 0 and 5; 5 has the endpoints."""
    return EmulatedDevice(
        descriptor=device(0x1209, 0x000C),
        configurations=[configuration(interface(0, VENDOR), bulk_pair(alternate=5))],
        strings={1: "gadgetip", 2: "Alternate setting 5", 3: "ALT5-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


class InterfaceGaps(EmulatedDevice):
    """A vendor IN request to an interface gives that interface's number."""

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """The low byte of wIndex, if there is such an interface."""
        number = setup.wIndex & 0xFF
        if setup.direction is Direction.OUT or (setup.recipient == 1 and number not in {0, 2, 5}):
            return STALL
        return bytes([number])


def interface_gaps() -> EmulatedDevice:
    """Three interfaces, numbered 0, 2 and 5."""
    return InterfaceGaps(
        descriptor=device(0x1209, 0x000D),
        configurations=[
            configuration(
                *(
                    interface(number, VENDOR, endpoint(0x81 + position, INTERRUPT, 8, 4))
                    for position, number in enumerate((0, 2, 5))
                )
            )
        ],
        strings={1: "gadgetip", 2: "Interface gaps", 3: "GAPS-0001"},
        endpoints={
            0x81 + position: Reporter(lambda n, at=number: bytes([at]) * 8, period_s=0.05)  # type: ignore[misc]
            for position, number in enumerate((0, 2, 5))
        },
    )
