"""Serial ports: the class's (CDC PSTN 1.2, ACM) and the vendor's that everybody knows (FTDI)."""

from typing import TYPE_CHECKING

from gadgetip.usb import Direction, SetupPacket, Speed
from tests.emulated.descriptors import (
    BULK,
    INTERRUPT,
    configuration,
    device,
    endpoint,
    interface,
    le16,
    specific,
)
from tests.emulated.device import STALL, Answer, EmulatedDevice, Function
from tests.emulated.endpoints import DeviceEndpoint, Echo, InQueue, Sink

if TYPE_CHECKING:
    import asyncio

CS_INTERFACE = 0x24
SEND_ENCAPSULATED, GET_ENCAPSULATED = 0x00, 0x01
SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE, SEND_BREAK = 0x20, 0x21, 0x22, 0x23


class Acm(Function):
    """An ACM function that echoes; DTR is answered with a SERIAL_STATE notification.

    `line_coding` is what SET_LINE_CODING wrote (7 bytes), `line_state` bit 0 is DTR, bit 1 RTS.
    """

    def __init__(self, first: int = 0, notify: int = 0x82, out: int = 0x03, into: int = 0x81):
        self.interfaces = (first, first + 1)
        self.notify, self.out, self.into = notify, out, into
        self.line_coding = bytes.fromhex("80 25 00 00 00 00 08")  # 9600 8N1
        self.line_state = 0
        self.breaks: list[int] = []
        self.bulk_size = 512

    def descriptors(self) -> bytes:
        """Interfaces CDC control and CDC data."""
        first, second = self.interfaces
        return interface(
            first,
            (0x02, 0x02, 0x01),
            specific(CS_INTERFACE, 0x00, le16(0x0110)),
            specific(CS_INTERFACE, 0x01, 0x00, second),
            specific(CS_INTERFACE, 0x02, 0x06),
            specific(CS_INTERFACE, 0x06, first, second),
            endpoint(self.notify, INTERRUPT, 16, 9),
        ) + interface(
            second,
            (0x0A, 0x00, 0x00),
            endpoint(self.out, BULK, self.bulk_size),
            endpoint(self.into, BULK, self.bulk_size),
        )

    def endpoints(self) -> dict[int, DeviceEndpoint]:
        """What is written is read again."""
        return {self.notify: InQueue(), self.into: InQueue(), self.out: Echo(self.into)}

    def request(self, setup: SetupPacket, data: bytes) -> Answer:
        """The class's requests."""
        if setup.bRequest == SET_LINE_CODING and len(data) == 7:
            self.line_coding = data
        elif setup.bRequest == GET_LINE_CODING:
            return self.line_coding
        elif setup.bRequest == SET_CONTROL_LINE_STATE:
            self.line_state = setup.wValue
            self._notify_state()
        elif setup.bRequest == SEND_BREAK:
            self.breaks.append(setup.wValue)
        else:
            return STALL
        return b""

    def _notify_state(self) -> None:
        """SERIAL_STATE: carrier and ready follow DTR."""
        endpoint = self.device.endpoints[self.notify]
        assert isinstance(endpoint, InQueue)
        if endpoint.enabled:
            state = 0b11 if self.line_state & 1 else 0
            endpoint.push(bytes([0xA1, 0x20, 0, 0, self.interfaces[0], 0, 2, 0]) + le16(state))


def cdc_acm() -> EmulatedDevice:
    """A CDC-ACM serial port that echoes."""
    function = Acm()
    return EmulatedDevice(
        descriptor=device(0x1209, 0x0001, triple=(2, 0, 0)),
        configurations=[configuration(function.descriptors())],
        strings={1: "gadgetip", 2: "CDC-ACM", 3: "ACM-0001"},
        functions=[function],
    )


class FtdiIn(InQueue):
    """Bulk IN: every packet begins with two status bytes, and one comes at each latency tick."""

    def __init__(self) -> None:
        super().__init__()
        self.latency_s = 0.016
        self.unread = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The latency timer runs while the port is configured."""
        self._timer = self.loop.call_later(self.latency_s, self._tick)

    def end(self) -> None:
        """And ends with it."""
        super().end()
        self.unread.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def came(self, data: bytes) -> None:
        """The line has given bytes; full packets leave at once."""
        self.unread += data
        room = self.max_packet - 2
        while len(self.unread) >= room:
            self._send(room)

    def _tick(self) -> None:
        if not self.waiting:
            self._send(min(len(self.unread), self.max_packet - 2))
        self.begin()

    def _send(self, size: int) -> None:
        data = bytes(self.unread[:size])
        del self.unread[:size]
        self.push_packet(b"\x01\x60" + data)


class FtdiOut(Sink):
    """Bulk OUT, wired to the other end."""

    def work(self) -> None:
        """Take while the other end has room."""
        if len(self.other.waiting) > 4096:
            if self.urbs:
                self.loop.call_later(0.005, self.work)
            return
        super().work()

    @property
    def other(self) -> FtdiIn:
        """The IN endpoint."""
        other = self.device.endpoints[0x81]
        assert isinstance(other, FtdiIn)
        return other

    def take(self, packet: bytes) -> None:
        """Looped back."""
        super().take(packet)
        self.other.came(packet)


class Ftdi(EmulatedDevice):
    """An FT232R: vendor requests as drivers/usb/serial/ftdi_sio.h names them."""

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """Take every setting; give modem status, latency and an empty EEPROM."""
        if setup.direction is Direction.OUT:
            if setup.bRequest == 0x09:  # SET_LATENCY_TIMER, ms
                endpoint = self.endpoints[0x81]
                assert isinstance(endpoint, FtdiIn)
                endpoint.latency_s = max(setup.wValue, 1) / 1000
            return b"" if setup.bRequest <= 0x0B else STALL
        if setup.bRequest == 0x05:  # GET_MODEM_STATUS
            return b"\x01\x60"
        if setup.bRequest == 0x0A:  # GET_LATENCY_TIMER
            endpoint = self.endpoints[0x81]
            assert isinstance(endpoint, FtdiIn)
            return bytes([round(endpoint.latency_s * 1000) & 0xFF])
        return b"\xff\xff" if setup.bRequest == 0x90 else STALL  # READ_EEPROM


def ftdi() -> EmulatedDevice:
    """An FTDI-like serial port whose line is looped back; two status bytes in each packet."""
    return Ftdi(
        descriptor=device(0x0403, 0x6001, bcd_device=0x0600, max_packet0=8),
        configurations=[
            configuration(
                interface(
                    0,
                    (0xFF, 0xFF, 0xFF),
                    endpoint(0x81, BULK, 64),
                    endpoint(0x02, BULK, 64),
                    text=2,
                ),
                attributes=0xA0,
                max_power=45,
            )
        ],
        strings={1: "FTDI", 2: "FT232R USB UART", 3: "A6008isP"},
        speed=Speed.FULL,
        endpoints={0x81: FtdiIn(), 0x02: FtdiOut()},
    )
