"""The control requests that a stub must not simply pass on.

Four requests change what this machine's own USB stack knows of the device: its data toggles,
alternate settings, configuration, address. Passed on as bytes they would leave the two of
different minds, so they are done by this machine's stack instead, as in the kernel's stub
(drivers/usb/usbip/stub_rx.c: tweak_special_requests). The fourth is no request that a device
knows: it is how a client asks for a reset of the port.
"""

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from gadgetip.usb import Feature, HubFeature, StandardRequest

_LAYOUT: Final = struct.Struct("<BBHHH")


@dataclass(frozen=True, slots=True)
class ClearHalt:
    """CLEAR_FEATURE(ENDPOINT_HALT)."""

    address: int


@dataclass(frozen=True, slots=True)
class SetInterface:
    """SET_INTERFACE."""

    interface: int
    alternate: int


@dataclass(frozen=True, slots=True)
class SetConfiguration:
    """SET_CONFIGURATION."""

    value: int


@dataclass(frozen=True, slots=True)
class ResetPort:
    """SET_FEATURE(PORT_RESET), a hub's request, sent to a device that is none."""


Special: TypeAlias = ClearHalt | SetInterface | SetConfiguration | ResetPort

_CLEAR_HALT: Final = (0x02, int(StandardRequest.CLEAR_FEATURE))
_SET_INTERFACE: Final = (0x01, int(StandardRequest.SET_INTERFACE))
_SET_CONFIGURATION: Final = (0x00, int(StandardRequest.SET_CONFIGURATION))
_PORT_FEATURE: Final = (0x23, int(StandardRequest.SET_FEATURE))

_CANDIDATES: Final = frozenset((_CLEAR_HALT, _SET_INTERFACE, _SET_CONFIGURATION, _PORT_FEATURE))


def special_request(setup: bytes) -> Special | None:
    """What the stub has to do itself for this setup packet of eight bytes; None: pass it on."""
    request = (setup[0], setup[1])
    if request not in _CANDIDATES:
        return None
    _, _, value, index, _ = _LAYOUT.unpack(setup)
    if request == _CLEAR_HALT and value == Feature.ENDPOINT_HALT:
        return ClearHalt(index & 0x8F)
    if request == _SET_INTERFACE:
        return SetInterface(index, value)
    if request == _SET_CONFIGURATION:
        return SetConfiguration(value)
    if request == _PORT_FEATURE and value == HubFeature.PORT_RESET:
        return ResetPort()
    return None
