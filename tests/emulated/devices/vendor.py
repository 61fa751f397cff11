"""Devices that only their own driver understands: vendor classes, vendor requests."""

import struct

from gadgetip.usb import Direction, SetupPacket, Speed
from tests.emulated.descriptors import (
    BULK,
    INTERRUPT,
    configuration,
    device,
    endpoint,
    interface,
    specific,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice
from tests.emulated.endpoints import Echo, InQueue, Reporter, Sink, Source

VENDOR = (0xFF, 0x00, 0x00)
HALT, STALL_AFTER, PUSH, KEEP = 0x01, 0x02, 0x03, 0x04
TOTALS, KEPT = 0x10, 0x14


def bulk_pair(number: int = 0, alternate: int = 0, *, size: int = 512) -> bytes:
    """A vendor interface with 0x01 and 0x81."""
    return interface(
        number, VENDOR, endpoint(0x01, BULK, size), endpoint(0x81, BULK, size), alternate=alternate
    )


class BulkEcho(EmulatedDevice):
    """Echoes 0x01 to 0x81, and takes orders by vendor requests.

    HALT         OUT, wIndex an endpoint address: halt it now
    STALL_AFTER  OUT, wValue bytes: 0x01 halts when that many more have come
    PUSH         OUT, wLength bytes: to be read from 0x82 (interrupt)
    KEEP, KEPT   OUT, IN: bytes that are remembered
    TOTALS       IN: u32 of bytes and u32 of packets taken at 0x01, little-endian
    """

    kept = b""

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """Obey."""
        out, notify = self.endpoints[0x01], self.endpoints[0x82]
        assert isinstance(out, Sink)
        assert isinstance(notify, InQueue)
        if setup.direction is Direction.IN:
            if setup.bRequest == KEPT:
                return self.kept
            totals = struct.pack("<II", out.total & 0xFFFFFFFF, len(out.packets))
            return totals if setup.bRequest == TOTALS else STALL
        if setup.bRequest == HALT and setup.wIndex in self.endpoints:
            self.endpoints[setup.wIndex].halt()
        elif setup.bRequest == STALL_AFTER:
            out.stall_after = out.total + setup.wValue
        elif setup.bRequest == PUSH:
            notify.push(data)
        elif setup.bRequest == KEEP:
            self.kept = data
        else:
            return STALL
        return b""


def bulk_echo() -> EmulatedDevice:
    """A vendor device that echoes bulk packets, and stalls when it is told to."""
    body = interface(
        0,
        VENDOR,
        endpoint(0x01, BULK, 512),
        endpoint(0x81, BULK, 512),
        endpoint(0x82, INTERRUPT, 64, 4),
    )
    return BulkEcho(
        descriptor=device(0x1209, 0x0007),
        configurations=[configuration(body)],
        strings={1: "gadgetip", 2: "Bulk echo", 3: "ECHO-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81), 0x82: InQueue()},
    )


def stalls_after_bytes() -> EmulatedDevice:
    """A vendor device whose bulk endpoints stall once, after 10,000 bytes each."""
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0008),
        configurations=[configuration(bulk_pair())],
        strings={1: "gadgetip", 2: "Stalls after bytes", 3: "STALL-0001"},
        endpoints={0x81: Source(stall_after=10_000), 0x01: Sink(stall_after=10_000)},
    )


class NeverAnswersVendor(EmulatedDevice):
    """Vendor requests wait for ever."""

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """Say nothing."""
        return None


def never_answers_vendor() -> EmulatedDevice:
    """A vendor device that leaves every vendor request without an answer."""
    return NeverAnswersVendor(
        descriptor=device(0x1209, 0x0009),
        configurations=[configuration(bulk_pair())],
        strings={1: "gadgetip", 2: "Never answers", 3: "MUTE-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


class WinUsb(EmulatedDevice):
    """Microsoft OS descriptors 1.0: string 0xEE, and two vendor requests behind it."""

    CODE = 0x20

    def get_string(self, index: int, langid: int) -> Answer:
        """0xEE has no language."""
        if index == 0xEE:
            return b"\x12\x03" + "MSFT100".encode("utf-16-le") + bytes([self.CODE, 0])
        return super().get_string(index, langid)

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """The extended compat ID (40 bytes) and the extended properties."""
        if setup.bRequest != self.CODE or setup.direction is Direction.OUT:
            return STALL
        if setup.wIndex == 0x0004:
            return COMPAT_ID
        return extended_properties() if setup.wIndex == 0x0005 else STALL


COMPAT_ID = (
    struct.pack("<IHHB7x", 40, 0x0100, 0x0004, 1) + bytes([0, 1]) + b"WINUSB\0\0" + bytes(14)
)


def extended_properties() -> bytes:
    """DeviceInterfaceGUID, one REG_SZ."""
    name = "DeviceInterfaceGUID\0".encode("utf-16-le")
    value = "{ecceff35-146c-4ff3-acd9-8f992d09acdd}\0".encode("utf-16-le")
    section = struct.pack("<IIH", 14 + len(name) + len(value), 1, len(name)) + name
    section += struct.pack("<I", len(value)) + value
    return struct.pack("<IHHH", 10 + len(section), 0x0100, 0x0005, 1) + section


def winusb() -> EmulatedDevice:
    """A vendor device with Microsoft OS 1.0 descriptors (string 0xEE, WINUSB)."""
    return WinUsb(
        descriptor=device(0x1209, 0x000A),
        configurations=[configuration(bulk_pair())],
        strings={1: "gadgetip", 2: "WinUSB", 3: "MSFT-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


def pad_report(number: int) -> bytes:
    """20 bytes: the left stick goes round."""
    return b"\x00\x14" + bytes(4) + struct.pack("<hh", number * 97 % 32768, 0) + bytes(10)


class XboxPad(EmulatedDevice):
    """What xpad asks of it by vendor request (drivers/input/joystick/xpad.c)."""

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """A serial number of its own, and a report on demand."""
        if setup.bmRequestType == 0xC1 and setup.bRequest == 0x01:
            return pad_report(0)
        if setup.bmRequestType == 0xC0 and setup.bRequest == 0x01:
            return bytes(4)
        return STALL


def xbox_pad() -> EmulatedDevice:
    """An Xbox-style pad: a descriptor of type 0x21 with 17 bytes in a vendor interface."""
    strange = bytes.fromhex("00 01 01 25 81 14 00 00 00 00 13 01 08 00 00")
    return XboxPad(
        descriptor=device(0x045E, 0x028E, triple=(0xFF, 0xFF, 0xFF), bcd_device=0x0114),
        configurations=[
            configuration(
                interface(
                    0,
                    (0xFF, 0x5D, 0x01),
                    specific(0x21, strange),
                    endpoint(0x81, INTERRUPT, 32, 4),
                    endpoint(0x01, INTERRUPT, 32, 8),
                ),
                attributes=0xA0,
                max_power=250,
            )
        ],
        strings={1: "gadgetip", 2: "Controller", 3: "PAD-0001"},
        speed=Speed.FULL,
        endpoints={0x81: Reporter(pad_report, period_s=0.02), 0x01: Sink()},
    )
