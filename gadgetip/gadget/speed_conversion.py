"""One endpoint at another speed.

A controller may end up at a lower speed than the device has, and a gadget that runs at high speed
has to describe itself at full speed too. Packet sizes and intervals do not carry over:

    bulk        64 at full, 512 at high, 1024 at SuperSpeed, nothing else (USB 2.0, 5.8.3)
    interrupt   up to 64 at full, 1024 from high speed on (5.7.3)
    bInterval   milliseconds below high speed, 2^(bInterval-1) microframes from there on (9.6.6)
"""

import math

from gadgetip.gadget.fifo import EndpointWish
from gadgetip.usb import Endpoint, EndpointDescriptor, Speed, TransferType

MICROFRAMES_PER_MS = 8
_BULK_PACKET = {Speed.FULL: 64, Speed.HIGH: 512, Speed.SUPER: 1024}
_INTERRUPT_PACKET = {Speed.FULL: 64, Speed.HIGH: 1024, Speed.SUPER: 1024}


def endpoint_at(endpoint: Endpoint, from_speed: Speed, to_speed: Speed) -> EndpointDescriptor:
    """The descriptor of an endpoint as it has to be at `to_speed`."""
    descriptor = endpoint.descriptor
    source, target = _family(from_speed), _family(to_speed)
    if source is target and from_speed is not Speed.LOW:
        return descriptor
    if descriptor.transfer_type is TransferType.BULK:
        return descriptor.replace(wMaxPacketSize=_BULK_PACKET[target])
    packet = min(descriptor.max_packet, _INTERRUPT_PACKET[target])
    return descriptor.replace(
        wMaxPacketSize=packet, bInterval=_interval(descriptor.bInterval, source, target)
    )


def endpoint_wish(endpoint: Endpoint, from_speed: Speed, to_speed: Speed) -> EndpointWish:
    """What an endpoint needs of the controller at `to_speed`."""
    descriptor = endpoint_at(endpoint, from_speed, to_speed)
    return EndpointWish(
        endpoint.address,
        descriptor.transfer_type,
        descriptor.max_packet,
        descriptor.transactions_per_microframe,
    )


def urb_interval(descriptor: EndpointDescriptor, speed: Speed) -> int:
    """The interval that a host's kernel puts into a URB (include/linux/usb.h, usb_fill_int_urb).

    Milliseconds below high speed, microframes from there on; 0 for bulk.
    """
    if descriptor.transfer_type in {TransferType.BULK, TransferType.CONTROL}:
        return 0
    if _family(speed) is Speed.FULL and descriptor.transfer_type is TransferType.INTERRUPT:
        return max(descriptor.bInterval, 1)
    return 1 << (min(max(descriptor.bInterval, 1), 16) - 1)


def _family(speed: Speed) -> Speed:
    if speed >= Speed.SUPER:
        return Speed.SUPER
    return Speed.HIGH if speed >= Speed.HIGH else Speed.FULL


def _interval(value: int, source: Speed, target: Speed) -> int:
    if (source is Speed.FULL) == (target is Speed.FULL):
        return value
    if target is Speed.FULL:
        microframes = 1 << (min(max(value, 1), 16) - 1)
        return min(max(microframes // MICROFRAMES_PER_MS, 1), 255)
    return 1 + int(math.log2(max(value, 1) * MICROFRAMES_PER_MS))
