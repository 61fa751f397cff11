"""Several functions in one device, at once or one configuration at a time."""

from tests.emulated.descriptors import association, configuration, device
from tests.emulated.device import EmulatedDevice
from tests.emulated.devices.hid import MOUSE_REPORTS, Hid, circle, make_keyboard
from tests.emulated.devices.serial import Acm
from tests.emulated.devices.vendor import bulk_pair
from tests.emulated.endpoints import Echo, InQueue


def composite() -> EmulatedDevice:
    """Two CDC-ACM ports, a mouse and a vendor echo, joined by interface associations."""
    first = Acm(0, notify=0x82, out=0x02, into=0x83)
    mouse = Hid(MOUSE_REPORTS, circle, number=2, address=0x84, max_packet=8)
    second = Acm(3, notify=0x85, out=0x03, into=0x86)
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0010, triple=(0xEF, 0x02, 0x01)),
        configurations=[
            configuration(
                association(0, 2, (2, 2, 1), text=4),
                first.descriptors(),
                mouse.descriptors(),
                association(3, 2, (2, 2, 1), text=5),
                second.descriptors(),
                bulk_pair(5),
            )
        ],
        strings={1: "gadgetip", 2: "Composite", 3: "COMP-0001", 4: "Port A", 5: "Port B"},
        functions=[first, mouse, second],
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


def two_configurations() -> EmulatedDevice:
    """Configuration 1 is a vendor echo, configuration 2 a keyboard."""
    keyboard = make_keyboard()
    keyboard.address = 0x82
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0011, configurations=2),
        configurations=[
            configuration(bulk_pair(), value=1, text=4),
            configuration(keyboard.descriptors(), value=2, text=5, attributes=0xA0),
        ],
        strings={1: "gadgetip", 2: "Two ways", 3: "CONF-0001", 4: "Echo", 5: "Keyboard"},
        functions=[keyboard],
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )
