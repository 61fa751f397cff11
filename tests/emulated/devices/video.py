"""A webcam (UVC 1.1) for the length of its configuration: 1500 bytes, most of them frames."""

from gadgetip.usb import SetupPacket
from tests.emulated.descriptors import (
    INTERRUPT,
    ISO_ASYNC,
    association,
    configuration,
    device,
    endpoint,
    interface,
    le16,
    specific,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice, Function
from tests.emulated.endpoints import DeviceEndpoint, InQueue, Isochronous

CS_INTERFACE, CS_ENDPOINT = 0x24, 0x25
TOTAL_BYTES = 1500
SIZES = (128, 512, 1024, 0x0B00, 0x1400)  # the last two: 2 x 768 and 3 x 1024 a microframe
FRAMES = ((160, 120), (320, 240), (640, 480), (800, 600), (1280, 720), (1920, 1080)) * 5
PROBE_BYTES = 34


def frame(number: int, width: int, height: int, intervals: int) -> bytes:
    """An uncompressed frame descriptor (UVC uncompressed payload, table 3-2)."""
    size = width * height * 2
    rates = [333333 * (1 + each) for each in range(intervals)]
    numbers = (size * 8 * 5, size * 8 * 30, size, rates[0])
    return specific(
        CS_INTERFACE,
        0x05,
        number,
        0,
        le16(width),
        le16(height),
        b"".join(each.to_bytes(8, "little")[:4] for each in numbers),
        intervals,
        b"".join(each.to_bytes(4, "little") for each in rates),
    )


class Video(Function):
    """Video control and streaming; what was probed or committed is given back."""

    interfaces = (0, 1)

    def __init__(self) -> None:
        self.values: dict[tuple[int, int], bytes] = {}

    def descriptors(self) -> bytes:
        """As many frames as it takes, and a last descriptor that fills up."""
        units = specific(CS_INTERFACE, 0x02, 1, le16(0x0201), 0, 0, bytes(6), 3, bytes(3))
        units += specific(CS_INTERFACE, 0x05, 2, 1, le16(0), 2, 0x7F, 0x01, 0)
        units += specific(CS_INTERFACE, 0x03, 3, le16(0x0101), 0, 2, 0)
        control = interface(
            0,
            (0x0E, 0x01, 0x00),
            specific(CS_INTERFACE, 0x01, le16(0x0110), le16(13 + len(units)), bytes(4), 1, 1),
            units,
            endpoint(0x82, INTERRUPT, 16, 6),
            specific(CS_ENDPOINT, 0x03, le16(16)),
        )
        settings = b"".join(
            interface(1, STREAMING, endpoint(0x81, ISO_ASYNC, size, 1), alternate=number)
            for number, size in enumerate(SIZES, 1)
        )
        grouped = association(0, 2, (0x0E, 0x03, 0x00), text=2)
        guid = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
        formats = specific(CS_INTERFACE, 0x04, 1, 0, guid, 16, 1, 0, 0, 0, 0)
        room = TOTAL_BYTES - 9 - len(grouped + control + settings + formats) - 9 - 14
        frames: list[bytes] = []
        for width, height in FRAMES:
            each = frame(len(frames) + 1, width, height, 5)
            if room < len(each) + 3:
                break
            frames.append(each)
            room -= len(each)
        formats = formats[:4] + bytes([len(frames)]) + formats[5:]
        body = formats + b"".join(frames) + specific(CS_INTERFACE, 0x7F, bytes(room - 3))
        header = specific(CS_INTERFACE, 0x01, 1, le16(14 + len(body)), 0x81, 0, 3, 0, 0, 0, 1, 0)
        return grouped + control + interface(1, STREAMING, header, body) + settings

    def endpoints(self) -> dict[int, DeviceEndpoint]:
        """Status, and the stream at eight packets a millisecond."""
        return {0x82: InQueue(), 0x81: Isochronous(period_s=0.000125)}

    def request(self, setup: SetupPacket, data: bytes) -> Answer:
        """SET_CUR and the GETs, by (entity and interface, selector)."""
        key = setup.wIndex, setup.wValue
        if setup.bRequest == 0x01:
            self.values[key] = data
            return b""
        if setup.bRequest == 0x85:  # GET_LEN
            return le16(PROBE_BYTES)
        if setup.bRequest == 0x86:  # GET_INFO: both get and set
            return b"\x03"
        known = 0x81 <= setup.bRequest <= 0x87
        return self.values.get(key, bytes(PROBE_BYTES)) if known else STALL


STREAMING = (0x0E, 0x02, 0x00)


def webcam() -> EmulatedDevice:
    """A UVC-like camera with a configuration of 1500 bytes and five isochronous settings."""
    function = Video()
    return EmulatedDevice(
        descriptor=device(0x1209, 0x000F, triple=(0xEF, 0x02, 0x01)),
        configurations=[configuration(function.descriptors(), max_power=250)],
        strings={1: "gadgetip", 2: "Webcam", 3: "CAM-0001"},
        functions=[function],
    )
