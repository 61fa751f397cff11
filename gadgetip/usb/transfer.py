"""The four kinds of pipe and the two ways through them (USB 2.0 §5.4 to §5.8).

The numbers are those of the descriptors: `TransferType` is bits 1..0 of an endpoint's
bmAttributes, `Direction` is bit 7 of its address and of a setup packet's bmRequestType, and also
the direction word of USB/IP. Directions are the host's: IN flows towards it.
"""

from enum import IntEnum


class TransferType(IntEnum):
    """How an endpoint moves data (USB 2.0 §9.6.6, bmAttributes bits 1..0)."""

    CONTROL = 0
    ISOCHRONOUS = 1
    BULK = 2
    INTERRUPT = 3


class Direction(IntEnum):
    """Which way data flows, as the host sees it."""

    OUT = 0
    IN = 1
