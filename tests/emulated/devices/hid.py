"""Human interface devices (HID 1.11): report descriptors, boot protocol, LEDs."""

from collections.abc import Callable

from gadgetip.usb import SetupPacket, Speed, StandardRequest
from tests.emulated.descriptors import (
    INTERRUPT,
    configuration,
    device,
    endpoint,
    interface,
    le16,
    specific,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice, Function
from tests.emulated.endpoints import DeviceEndpoint, Reporter

HID, HID_REPORT = 0x21, 0x22
GET_REPORT, GET_IDLE, GET_PROTOCOL = 0x01, 0x02, 0x03
SET_REPORT, SET_IDLE, SET_PROTOCOL = 0x09, 0x0A, 0x0B

KEYBOARD_REPORTS = bytes.fromhex(
    "05 01 09 06 a1 01 05 07 19 e0 29 e7 15 00 25 01 75 01 95 08 81 02 95 01 75 08 81 03"
    "95 05 75 01 05 08 19 01 29 05 91 02 95 01 75 03 91 03"
    "95 06 75 08 15 00 25 65 05 07 19 00 29 65 81 00 c0"
)
MOUSE_REPORTS = bytes.fromhex(
    "05 01 09 02 a1 01 09 01 a1 00 05 09 19 01 29 03 15 00 25 01 95 03 75 01 81 02"
    "95 01 75 05 81 03 05 01 09 30 09 31 09 38 15 81 25 7f 75 08 95 03 81 06 c0 c0"
)
CONSUMER_REPORTS = bytes.fromhex(
    "05 0c 09 01 a1 01 15 00 25 01 75 01 95 04 09 e9 09 ea 09 e2 09 cd 81 02 95 04 81 03 c0"
)


class Hid(Function):
    """One HID interface; `report` makes the n-th input report, every `period_s` seconds.

    `written` are the reports that the host set, as (wValue, data).
    """

    def __init__(
        self,
        report_descriptor: bytes,
        report: Callable[[int], bytes],
        *,
        number: int = 0,
        address: int = 0x81,
        max_packet: int = 8,
        interval: int = 10,
        period_s: float = 0.05,
        boot: int = 0,
    ) -> None:
        self.interfaces = (number,)
        self.report_descriptor = report_descriptor
        self.address, self.max_packet, self.interval = address, max_packet, interval
        self.boot = boot
        self.reporter = Reporter(report, period_s=period_s)
        self.written: list[tuple[int, bytes]] = []
        self.idle = 0
        self.protocol = 1

    def hid_descriptor(self) -> bytes:
        """The class descriptor (HID 1.11 §6.2.1)."""
        size = le16(len(self.report_descriptor))
        return specific(HID, le16(0x0111), 0, 1, HID_REPORT, size)

    def descriptors(self) -> bytes:
        """The interface."""
        return interface(
            self.interfaces[0],
            (0x03, 1 if self.boot else 0, self.boot),
            self.hid_descriptor(),
            endpoint(self.address, INTERRUPT, self.max_packet, self.interval),
        )

    def endpoints(self) -> dict[int, DeviceEndpoint]:
        """The input reports."""
        return {self.address: self.reporter}

    def request(self, setup: SetupPacket, data: bytes) -> Answer:
        """The class's requests, and the descriptors that only an interface gives."""
        if setup.type == 0:
            if setup.bRequest != StandardRequest.GET_DESCRIPTOR:
                return STALL
            kinds = {HID: self.hid_descriptor(), HID_REPORT: self.report_descriptor}
            return kinds.get(setup.wValue >> 8, STALL)
        if setup.bRequest == SET_REPORT:
            self.written.append((setup.wValue, data))
        elif setup.bRequest == SET_IDLE:
            self.idle = setup.wValue >> 8
        elif setup.bRequest == SET_PROTOCOL:
            self.protocol = setup.wValue
        elif setup.bRequest == GET_REPORT:
            return self.reporter.report(self.reporter.made)
        elif setup.bRequest == GET_IDLE:
            return bytes([self.idle])
        elif setup.bRequest == GET_PROTOCOL:
            return bytes([self.protocol])
        else:
            return STALL
        return b""


def scroll_lock(number: int) -> bytes:
    """A key that hurts nobody, pressed and released in turn."""
    return bytes([0, 0, 0 if number % 2 else 0x47, 0, 0, 0, 0, 0])


def circle(number: int) -> bytes:
    """A mouse that goes round in a small square."""
    x, y = ((1, 0), (0, 1), (-1, 0), (0, -1))[number % 4]
    return bytes([0, x & 0xFF, y & 0xFF, 0])


def make_keyboard(**options: float) -> Hid:
    """A boot keyboard's function."""
    return Hid(KEYBOARD_REPORTS, scroll_lock, boot=1, **options)  # type: ignore[arg-type]


def keyboard() -> EmulatedDevice:
    """A boot keyboard with LEDs, that presses scroll lock twenty times a second."""
    function = make_keyboard()
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0002, max_packet0=8),
        configurations=[configuration(function.descriptors(), attributes=0xA0)],
        strings={1: "gadgetip", 2: "Keyboard", 3: "KBD-0001"},
        speed=Speed.FULL,
        functions=[function],
    )


def low_speed_mouse() -> EmulatedDevice:
    """A low-speed mouse without a serial number."""
    function = Hid(MOUSE_REPORTS, circle, boot=2, max_packet=4)
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0003, max_packet0=8, strings=(1, 2, 0), bcd_usb=0x0110),
        configurations=[configuration(function.descriptors(), attributes=0xA0)],
        strings={1: "gadgetip", 2: "Low-speed mouse"},
        speed=Speed.LOW,
        functions=[function],
    )


def long_report_descriptor() -> EmulatedDevice:
    """A HID device whose report descriptor has 700 bytes: thirty vendor reports."""
    function = Hid(
        long_reports(),
        lambda number: bytes([number % 30 + 1]) + number.to_bytes(7, "big"),
        max_packet=64,
        interval=4,
    )
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0004),
        configurations=[configuration(function.descriptors())],
        strings={1: "gadgetip", 2: "Long report descriptor", 3: "LRD-0001"},
        functions=[function],
    )


def long_reports() -> bytes:
    """Exactly 700 bytes: collections of 23, and usage pages that nothing uses."""
    blocks = [
        bytes.fromhex("06 00 ff 09 01 a1 01 85")
        + bytes([number])
        + bytes.fromhex("15 00 26 ff 00 75 08 95 07 09 02 81 02 c0")
        for number in range(1, 31)
    ]
    data = b"".join(blocks)
    return b"\x05\x01" * ((700 - len(data)) // 2) + data
