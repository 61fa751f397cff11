"""Audio 1.0: a MIDI cable without audio, and a headset with isochronous streams and buttons."""

from gadgetip.usb import SetupPacket, Speed
from tests.emulated.descriptors import (
    BULK,
    ISO_ADAPTIVE,
    ISO_ASYNC,
    configuration,
    device,
    endpoint,
    interface,
    le16,
    specific,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice, Function
from tests.emulated.devices.hid import CONSUMER_REPORTS, Hid
from tests.emulated.endpoints import DeviceEndpoint, Echo, InQueue, Isochronous

CS_INTERFACE, CS_ENDPOINT = 0x24, 0x25
CONTROL, STREAMING, MIDI = (1, 1, 0), (1, 2, 0), (1, 3, 0)
AUDIO_EXTRA = bytes(2)
"""bRefresh and bSynchAddress: audio 1.0 endpoints have 9 bytes."""


def usb_midi() -> EmulatedDevice:
    """A USB MIDI interface (MIDI 1.0, appendix B) that echoes."""
    jacks = (
        specific(CS_INTERFACE, 0x02, 1, 1, 0)
        + specific(CS_INTERFACE, 0x02, 2, 2, 0)
        + specific(CS_INTERFACE, 0x03, 1, 3, 1, 2, 1, 0)
        + specific(CS_INTERFACE, 0x03, 2, 4, 1, 1, 1, 0)
    )
    streaming = (
        jacks
        + endpoint(0x01, BULK, 512, extra=AUDIO_EXTRA)
        + specific(CS_ENDPOINT, 1, 1, 1)
        + endpoint(0x81, BULK, 512, extra=AUDIO_EXTRA)
        + specific(CS_ENDPOINT, 1, 1, 3)
    )
    header = specific(CS_INTERFACE, 0x01, le16(0x0100), le16(7 + len(streaming)))
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0005),
        configurations=[
            configuration(
                interface(0, CONTROL, specific(CS_INTERFACE, 1, le16(0x100), le16(9), 1, 1)),
                interface(1, MIDI, header, streaming),
            )
        ],
        strings={1: "gadgetip", 2: "MIDI", 3: "MIDI-0001"},
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


class AudioControl(Function):
    """Volume and mute of a headset's feature units, by (entity and control); any rate is taken."""

    interfaces = (0, 1, 2)

    def __init__(self) -> None:
        self.values: dict[tuple[int, int], bytes] = {}

    def descriptors(self) -> bytes:
        """Terminals and units, and two streams, each with a setting without and one with data."""
        units = (
            specific(CS_INTERFACE, 0x02, 1, le16(0x0101), 0, 2, le16(3), 0, 0)
            + specific(CS_INTERFACE, 0x06, 2, 1, 1, 0x01, 0x02, 0x02, 0)
            + specific(CS_INTERFACE, 0x03, 3, le16(0x0302), 0, 2, 0)
            + specific(CS_INTERFACE, 0x02, 4, le16(0x0201), 0, 1, le16(0), 0, 0)
            + specific(CS_INTERFACE, 0x06, 5, 4, 1, 0x03, 0x00, 0)
            + specific(CS_INTERFACE, 0x03, 6, le16(0x0101), 0, 5, 0)
        )
        header = specific(CS_INTERFACE, 0x01, le16(0x0100), le16(10 + len(units)), 2, 1, 2)
        return (
            interface(0, CONTROL, header, units)
            + self._stream(1, 0x01, ISO_ADAPTIVE, 192, link=1, channels=2)
            + self._stream(2, 0x82, ISO_ASYNC, 96, link=6, channels=1)
        )

    def _stream(
        self, number: int, address: int, kind: int, size: int, *, link: int, channels: int
    ) -> bytes:
        return interface(number, STREAMING) + interface(
            number,
            STREAMING,
            specific(CS_INTERFACE, 0x01, link, 1, le16(1)),
            specific(CS_INTERFACE, 0x02, 1, channels, 2, 16, 1, (48000).to_bytes(3, "little")),
            endpoint(address, kind, size, 1, extra=AUDIO_EXTRA),
            specific(CS_ENDPOINT, 0x01, 0x01, 0, le16(0)),
            alternate=1,
        )

    def endpoints(self) -> dict[int, DeviceEndpoint]:
        """Both streams at one packet a millisecond."""
        return {0x01: Isochronous(), 0x82: Isochronous()}

    def request(self, setup: SetupPacket, data: bytes) -> Answer:
        """SET and GET of CUR, MIN, MAX, RES (audio 1.0 §5.2.1); wIndex has the entity's number."""
        key = setup.wIndex, setup.wValue
        if setup.bRequest == 0x01:
            self.values[key] = data
            return b""
        default = {0x81: bytes(2), 0x82: b"\x00\xc0", 0x83: b"\x00\x00", 0x84: b"\x00\x01"}
        if setup.bRequest not in default:
            return STALL
        if setup.bRequest == 0x81 and key in self.values:
            return self.values[key]
        return default[setup.bRequest]


def headset() -> EmulatedDevice:
    """A headset: audio 1.0 with two isochronous streams, and HID buttons."""
    control = AudioControl()
    buttons = Hid(
        CONSUMER_REPORTS,
        lambda number: bytes([number % 2]),
        number=3,
        address=0x83,
        max_packet=1,
        period_s=0.1,
    )
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0006, max_packet0=64),
        configurations=[configuration(control.descriptors(), buttons.descriptors())],
        strings={1: "gadgetip", 2: "Headset", 3: "HS-0001"},
        speed=Speed.FULL,
        functions=[control, buttons],
    )
