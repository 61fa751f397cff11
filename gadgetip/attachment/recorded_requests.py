"""The requests by which a host has set a device up, kept for the day on which it forgets them.

A device that is imported anew has been reset: a serial adapter runs at its default rate again, a
keyboard's lights are out. The host does not know, so what it had asked for is asked once more. Only
requests that *set* something are kept, and of each setting the last one, in the sequence in which
these were made: settings may overlap, and the last one counts. One that *does* something (a purge,
a break) is not repeated.

What a setting is, is in tables: of the HID and CDC specifications for their classes, of Linux's
drivers (drivers/usb/serial) for the adapters of known makers. Requests that none of them knows are
not kept.
"""

from collections.abc import Mapping
from dataclasses import replace

from gadgetip.gadget import Holdable
from gadgetip.usb import Direction, Recipient, RequestType, SetupPacket

_Key = tuple[int, ...]

# HID 1.11, 7.2
_SET_REPORT, _SET_IDLE, _SET_PROTOCOL = 0x09, 0x0A, 0x0B
_OUTPUT_REPORT = 2

# CDC PSTN 1.2, table 13
_SET_COMM_FEATURE, _SET_LINE_CODING, _SET_CONTROL_LINE_STATE = 0x02, 0x20, 0x22

_FTDI, _CP210X, _PL2303, _CH34X = 0x0403, 0x10C4, 0x067B, 0x1A86

_ONE_VALUE: dict[int, frozenset[int]] = {
    # ftdi_sio.h: flow control, baud rate, data characteristics, event and error characters,
    # latency timer, bit mode
    _FTDI: frozenset({0x02, 0x03, 0x04, 0x06, 0x07, 0x09, 0x0B}),
    # cp210x.c: IFC_ENABLE, SET_BAUDDIV, SET_LINE_CTL, SET_FLOW, EMBED_EVENTS, SET_CHARS,
    # SET_BAUDRATE
    _CP210X: frozenset({0x00, 0x01, 0x03, 0x13, 0x15, 0x19, 0x1E}),
    # ch341.c: serial initialisation, modem control
    _CH34X: frozenset({0xA1, 0xA4}),
}
"""Vendor requests that each set one thing."""

_MASKED: dict[int, int] = {_FTDI: 0x01, _CP210X: 0x07}
"""Those that set DTR and RTS: the high byte of wValue is the mask of the bits in the low one."""

_REGISTERS: dict[int, frozenset[int]] = {
    # pl2303.c: vendor write, of the older chips and of the HXN
    _PL2303: frozenset({0x01, 0x80}),
    # ch341.c: write registers
    _CH34X: frozenset({0x9A}),
}
"""Those that write registers: wValue says which."""

_RESETS: dict[int, frozenset[tuple[int, int]]] = {
    # pl2303.c, pl2303_open: reset of the data pipes, of the older chips and of the HXN
    _PL2303: frozenset({(0x01, 8), (0x01, 9), (0x80, 7)}),
}
"""Registers (request, wValue) that throw data away when they are written."""

MAX_RECORDED = 256
MAX_DATA_BYTES = 4096


class RecordedRequests:
    """The settings of one device; `interfaces` says what each is, `maker` is its idVendor."""

    def __init__(self, interfaces: Mapping[int, Holdable], maker: int) -> None:
        self._interfaces = interfaces
        self._maker = maker
        self._ports = sum(kind is Holdable.SERIAL for kind in interfaces.values())
        self._settings: dict[_Key, tuple[SetupPacket, bytes]] = {}

    def note(self, setup: SetupPacket, data: bytes) -> None:
        """The device has taken a request of the host's."""
        key = self._key(setup)
        if key is None or len(data) > MAX_DATA_BYTES:
            return
        before = self._settings.pop(key, None)
        if before is None and len(self._settings) >= MAX_RECORDED:
            return
        if before is not None and self._is_masked(setup):
            setup = replace(setup, wValue=_merged(before[0].wValue, setup.wValue))
        self._settings[key] = (setup, data)

    def is_setting(self, setup: SetupPacket) -> bool:
        """Whether a request sets something, so that it may be made twice."""
        return self._key(setup) is not None

    def all(self) -> tuple[tuple[SetupPacket, bytes], ...]:
        """What has to be asked again, in order."""
        return tuple(self._settings.values())

    def forget(self) -> None:
        """The host has configured the device anew: it begins from nothing, too."""
        self._settings.clear()

    def _key(self, setup: SetupPacket) -> _Key | None:
        """Which setting a request makes; None for one that makes none that is known."""
        if setup.direction is not Direction.OUT:
            return None
        if setup.type is RequestType.CLASS and setup.recipient is Recipient.INTERFACE:
            kind = self._interfaces.get(setup.wIndex & 0xFF)
            if kind is Holdable.INPUT:
                return _hid_key(setup)
            if kind is Holdable.SERIAL:
                return _line_key(setup)
            return None
        if setup.type is RequestType.VENDOR and self._ports:
            return self._adapter_key(setup)
        return None

    def _adapter_key(self, setup: SetupPacket) -> _Key | None:
        maker, request = self._maker, setup.bRequest
        # A chip with one port uses wIndex for more bits of the value.
        port = setup.wIndex & 0xFF if self._ports > 1 else 0
        if request in _ONE_VALUE.get(maker, ()) or self._is_masked(setup):
            return (setup.bmRequestType, request, port)
        resets = (request, setup.wValue) in _RESETS.get(maker, ())
        if request in _REGISTERS.get(maker, ()) and not resets:
            return (setup.bmRequestType, request, setup.wValue)
        return None

    def _is_masked(self, setup: SetupPacket) -> bool:
        return setup.type is RequestType.VENDOR and setup.bRequest == _MASKED.get(self._maker)


def _hid_key(setup: SetupPacket) -> _Key | None:
    if setup.bRequest == _SET_REPORT:
        is_output = setup.wValue >> 8 == _OUTPUT_REPORT
        return (_SET_REPORT, setup.wIndex, setup.wValue) if is_output else None
    if setup.bRequest == _SET_IDLE:
        return (_SET_IDLE, setup.wIndex, setup.wValue & 0xFF)
    return (_SET_PROTOCOL, setup.wIndex) if setup.bRequest == _SET_PROTOCOL else None


def _line_key(setup: SetupPacket) -> _Key | None:
    if setup.bRequest == _SET_COMM_FEATURE:
        return (_SET_COMM_FEATURE, setup.wIndex, setup.wValue)
    if setup.bRequest in {_SET_LINE_CODING, _SET_CONTROL_LINE_STATE}:
        return (setup.bRequest, setup.wIndex)
    return None


def _merged(before: int, value: int) -> int:
    """Two values with masks, one after the other, as one."""
    mask = value >> 8
    bits = before & ~mask & 0xFF | value & mask
    return (before >> 8 | mask) << 8 | bits
