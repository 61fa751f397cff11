"""Transfers that are used again carry their own data, wherever it lies.

libusb is there, but what is submitted goes to no device: it is looked at, and ended by the test.
"""

import ctypes
import random
from typing import Any

from gadgetip.server.userspace.library import load
from gadgetip.server.userspace.transfers import SETUP_BYTES, TransferPool
from gadgetip.server.userspace.urb import KEPT_BYTES, Urb
from gadgetip.usb import SetupPacket, TransferType
from gadgetip.wire import IsoPacketDescriptor


class NoDevice:
    """libusb, but for submitting."""

    def __init__(self) -> None:
        self._libusb = load()
        self.submitted: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._libusb, name)

    def libusb_submit_transfer(self, pointer: Any) -> int:
        self.submitted.append(pointer.contents)
        return 0

    def end(self, data: bytes = b"", at: int = 0) -> bytes:
        """End the oldest transfer after the device sent `data`; what it pointed at before."""
        fields = self.submitted.pop(0)
        seen = ctypes.string_at(fields.buffer, fields.length)
        if data:
            ctypes.memmove(fields.buffer + at, data, len(data))
        fields.status = 0
        fields.actual_length = len(data) if data else fields.length
        fields.callback(ctypes.pointer(fields))
        return seen


def test_data_of_every_size_again_and_again() -> None:
    libusb = NoDevice()
    pool = TransferPool(libusb, None)
    chance = random.Random(1)
    for seqnum in range(300):
        size = chance.choice((0, 1, 31, 512, 513, 4096, 70_000))
        noise = chance.randbytes(size)
        if chance.random() < 0.5:
            urb = Urb(seqnum, 0x02, TransferType.BULK, size, noise)
            urb.add_zero_packet = chance.random() < 0.5
            assert pool.submit(urb) == 0
            assert bool(libusb.submitted[0].flags) is urb.add_zero_packet
            assert libusb.end() == noise
        else:
            urb = Urb(seqnum, 0x81, TransferType.BULK, size + 1)
            assert pool.submit(urb) == 0
            libusb.end(noise or b"\0")
        assert pool.take_finished() == [urb]
        assert urb.status == 0
        if urb.address & 0x80:
            assert bytes(urb.received) == (noise or b"\0")
        pool.recycle([urb])
    pool.close()


def test_control_both_ways() -> None:
    libusb = NoDevice()
    pool = TransferPool(libusb, None)
    urb = Urb(1, 0x00, TransferType.CONTROL, 7, b"1234567")
    urb.setup = SetupPacket(0x21, 0x20, 0, 0, 7).pack()
    pool.submit(urb)
    assert libusb.submitted[0].endpoint == 0
    assert libusb.end() == urb.setup + b"1234567"
    pool.recycle(pool.take_finished())
    urb = Urb(2, 0x80, TransferType.CONTROL, 18)
    urb.setup = SetupPacket.get_descriptor(1, length=18).pack()
    pool.submit(urb)
    libusb.end(b"\x12\x01", at=SETUP_BYTES)
    assert [bytes(each.received) for each in pool.take_finished()] == [b"\x12\x01"]
    pool.close()


def test_isochronous_gaps_are_closed() -> None:
    libusb = NoDevice()
    pool = TransferPool(libusb, None)
    packets = (IsoPacketDescriptor(0, 3), IsoPacketDescriptor(8, 4))
    urb = Urb(1, 0x05, TransferType.ISOCHRONOUS, 12, b"abc.....defg")
    urb.packets = packets
    pool.submit(urb)
    assert libusb.end() == b"abcdefg"
    pool.recycle(pool.take_finished())
    urb = Urb(2, 0x84, TransferType.ISOCHRONOUS, 12)
    urb.packets = packets
    pool.submit(urb)
    fields = libusb.submitted[0]
    described = (type(fields.iso_packet_desc) * 2).from_address(
        ctypes.addressof(fields) + type(fields).iso_packet_desc.offset
    )
    assert [each.length for each in described] == [3, 4]
    described[0].actual_length, described[0].status = 2, 0
    described[1].actual_length, described[1].status = 4, 0
    libusb.end(b"xy-wxyz")
    (ended,) = pool.take_finished()
    assert (bytes(ended.received), ended.actual_length) == (b"xywxyz", 6)
    assert [each.actual_length for each in ended.packets] == [2, 4]
    pool.close()


def test_what_is_kept_is_bounded() -> None:
    libusb = NoDevice()
    pool = TransferPool(libusb, None)
    urbs = [Urb(number, 0x81, TransferType.BULK, 1 << 20) for number in range(6)]
    for urb in urbs:
        pool.submit(urb)
    for _ in urbs:
        libusb.end(b"x")
    pool.recycle(pool.take_finished())
    assert pool.kept_bytes <= KEPT_BYTES
    pool.close()
