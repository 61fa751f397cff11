"""Making the kernel choose the endpoint addresses that the device has.

FunctionFS does not let its user choose: for each endpoint descriptor, in order, the kernel takes
the first unclaimed endpoint of the controller that fits, and that endpoint's number is what the
host sees (drivers/usb/gadget/epautoconf.c, `usb_ep_autoconfig_ss`). The choice can be steered: a
*filler* function, linked first, claims endpoints before the real one does. It has only
SuperSpeed descriptors and no interface, so that up to high speed nothing of it reaches the host.

`steer` tries small fillers, simulating the kernel, until the real endpoints come out right.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from gadgetip.gadget.udc_models import UdcEndpoint, UdcModel
from gadgetip.usb import Direction, TransferType

MAX_FILLERS_EACH = 8
FILLER_MAX_PACKET = 8
"""Fits every endpoint. No filler is ever enabled, so nobody minds that bulk has 1024 there."""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """What the kernel looks at when it picks an endpoint for a descriptor."""

    direction: Direction
    transfer_type: TransferType
    max_packet: int


@dataclass(frozen=True, slots=True)
class Steering:
    """The outcome: what to burn first, and the address that each real endpoint then gets.

    An address is None where the controller has no endpoint left.
    """

    fillers: tuple[EndpointRequest, ...]
    addresses: tuple[int | None, ...]


def autoconfigure(model: UdcModel, requests: Iterable[EndpointRequest]) -> list[int | None]:
    """The bEndpointAddress that the kernel gives to each request, in order."""
    free = list(model.endpoints)
    counted = {Direction.IN: 0, Direction.OUT: 0}
    addresses: list[int | None] = []
    for request in requests:
        chosen = next((endpoint for endpoint in free if _fits(endpoint, request)), None)
        if chosen is None:
            addresses.append(None)
            continue
        free.remove(chosen)
        number = chosen.number
        if number is None:
            counted[request.direction] += 1
            number = counted[request.direction]
        addresses.append(number | (0x80 if request.direction is Direction.IN else 0))
    return addresses


def steer(
    model: UdcModel,
    wanted: list[tuple[int, EndpointRequest]],
    *,
    max_fillers: int = MAX_FILLERS_EACH,
) -> Steering:
    """Find the fewest fillers that give every endpoint its wanted address.

    `wanted` pairs each bEndpointAddress with what is asked for it, in descriptor order;
    `max_fillers` bounds the fillers of each kind. The two directions are searched apart, for they
    hardly ever compete, and the whole is checked at the end. Where no filler helps, the plain
    choice of the kernel is returned, and the caller sees the difference.
    """
    requests = [request for _, request in wanted]
    fillers = [
        filler
        for direction in Direction
        for filler in _fillers(model, wanted, direction, max_fillers)
    ]
    got = autoconfigure(model, [*fillers, *requests])
    addresses = [address for address, _ in wanted]
    if None not in got and got[len(fillers) :] == addresses:
        return Steering(tuple(fillers), tuple(addresses))
    return Steering((), tuple(autoconfigure(model, requests)))


def _fillers(
    model: UdcModel,
    wanted: list[tuple[int, EndpointRequest]],
    direction: Direction,
    most: int,
) -> list[EndpointRequest]:
    """The fewest fillers that make one direction right; none where none do."""
    requests = [request for _, request in wanted if request.direction is direction]
    addresses = [address for address, request in wanted if request.direction is direction]
    kinds = sorted({request.transfer_type for request in requests})
    for amount in sorted(product(range(most + 1), repeat=len(kinds)), key=sum):
        fillers = [
            EndpointRequest(direction, transfer_type, FILLER_MAX_PACKET)
            for count, transfer_type in zip(amount, kinds, strict=True)
            for _ in range(count)
        ]
        got = autoconfigure(model, [*fillers, *requests])
        if None not in got and got[len(fillers) :] == addresses:
            return fillers
    return []


def _fits(endpoint: UdcEndpoint, request: EndpointRequest) -> bool:
    """As drivers/usb/gadget/udc/core.c, `usb_gadget_ep_match_desc`."""
    if request.direction not in endpoint.directions or request.max_packet > endpoint.max_packet:
        return False
    if request.transfer_type is TransferType.INTERRUPT:
        return bool(endpoint.types & {TransferType.INTERRUPT, TransferType.BULK})
    return request.transfer_type in endpoint.types
