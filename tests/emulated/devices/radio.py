"""A Bluetooth stick (Core specification 5.4, volume 4, part B): events, ACL, and SCO settings."""

from gadgetip.usb import SetupPacket, Speed
from tests.emulated.descriptors import BULK, INTERRUPT, configuration, device, endpoint, interface
from tests.emulated.device import STALL, Answer, EmulatedDevice
from tests.emulated.endpoints import Echo, InQueue, Isochronous

BLUETOOTH = (0xE0, 0x01, 0x01)
SCO_SIZES = (0, 9, 17, 25, 33, 49)


class Bluetooth(EmulatedDevice):
    """Every HCI command is answered Command Complete, success."""

    def class_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """An HCI command to the device."""
        events = self.endpoints[0x81]
        assert isinstance(events, InQueue)
        if setup.bmRequestType != 0x20 or len(data) < 3:
            return STALL
        events.push(bytes([0x0E, 4, 1, data[0], data[1], 0]))
        return b""


def bluetooth() -> EmulatedDevice:
    """A Bluetooth stick with six SCO settings; ACL data is echoed."""
    return Bluetooth(
        descriptor=device(0x1209, 0x000E, triple=BLUETOOTH),
        configurations=[
            configuration(
                interface(
                    0,
                    BLUETOOTH,
                    endpoint(0x81, INTERRUPT, 16, 1),
                    endpoint(0x02, BULK, 64),
                    endpoint(0x82, BULK, 64),
                ),
                *(
                    interface(
                        1,
                        BLUETOOTH,
                        endpoint(0x03, 1, size, 1),
                        endpoint(0x83, 1, size, 1),
                        alternate=alternate,
                    )
                    for alternate, size in enumerate(SCO_SIZES)
                ),
                attributes=0xE0,
            )
        ],
        strings={1: "gadgetip", 2: "Bluetooth", 3: "BT-0001"},
        speed=Speed.FULL,
        endpoints={
            0x81: InQueue(),
            0x82: InQueue(),
            0x02: Echo(0x82),
            0x03: Isochronous(),
            0x83: Isochronous(),
        },
    )
