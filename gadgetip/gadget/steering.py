"""Making the kernel choose the endpoint addresses that the device has.

FunctionFS does not let its user choose: for each endpoint descriptor, in order, the kernel takes
the first unclaimed endpoint of the controller that fits, and that endpoint's number is what the
host sees (drivers/usb/gadget/epautoconf.c, `usb_ep_autoconfig_ss`). The choice can be steered: a
*filler* function, linked first, claims endpoints before the real one does. It has only
SuperSpeed descriptors and no interface, so that up to high speed nothing of it reaches the host.

`steer` simulates the kernel, filler by filler. What a filler claims depends only on what is free,
so different orders of fillers meet in the same states; each state is looked at once, and a
controller has a few hundred of them at most.

On a controller whose endpoints have no numbers of their own (dummy_hcd's generic ones) the kernel
counts from 1, beside fixed ones that have these numbers already. Two endpoints of one address are
no device that a host accepts, so such a choice is taken only if there is no other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gadgetip.gadget.udc_models import UdcEndpoint, UdcModel
from gadgetip.usb import Direction, Speed, TransferType

MAX_FILLERS_EACH = 14
"""Fillers of each direction: one endpoint of fifteen is left, and both together fit a function."""

FILLER_MAX_PACKET = 8
"""Fits every endpoint. No filler is ever enabled, so nobody minds that bulk has 1024 there."""

_HIGHEST_NUMBER = 15
_FULL_SPEED_LIMIT = {TransferType.INTERRUPT: 64, TransferType.ISOCHRONOUS: 1023}


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """What the kernel looks at when it picks an endpoint for a descriptor.

    It looks at one speed alone. `largest_packet` is the largest wMaxPacketSize, in bytes, of all
    speeds at which the replica may run; what the kernel picks should have room for it. 0 stands for
    `max_packet`.
    """

    direction: Direction
    transfer_type: TransferType
    max_packet: int
    largest_packet: int = 0


class Claim(NamedTuple):
    """The endpoint of the controller that one request gets, and the address that this gives it."""

    endpoint: UdcEndpoint
    address: int


@dataclass(frozen=True, slots=True)
class Steering:
    """The outcome: what to burn first, and what each real endpoint then gets.

    `addresses` and `endpoints` are in the order of the requests, with None where the controller has
    no endpoint left. Two equal addresses mean that there is no way to a working replica.
    """

    fillers: tuple[EndpointRequest, ...]
    addresses: tuple[int | None, ...]
    endpoints: tuple[UdcEndpoint | None, ...] = ()


class _State(NamedTuple):
    """What autoconfiguration has done so far: a bit for each claimed endpoint, and its counters."""

    claimed: int = 0
    counted_in: int = 0
    counted_out: int = 0


class _Autoconfiguration:
    """The kernel's choice for one controller, step by step."""

    def __init__(self, model: UdcModel) -> None:
        self._model = model
        self._fitting: dict[EndpointRequest, tuple[int, ...]] = {}

    def claim(self, state: _State, request: EndpointRequest) -> tuple[_State, Claim | None]:
        """What a request gets in this state, and the state behind it."""
        if request not in self._fitting:
            self._fitting[request] = tuple(_fitting(self._model, request))
        for index in self._fitting[request]:
            if state.claimed >> index & 1:
                continue
            endpoint = self._model.endpoints[index]
            number = endpoint.number
            if number is None:
                state, number = _count(state, request.direction)
                if number > _HIGHEST_NUMBER:
                    return state, None
            address = number | (0x80 if request.direction is Direction.IN else 0)
            return state._replace(claimed=state.claimed | 1 << index), Claim(endpoint, address)
        return state, None

    def claims(
        self, state: _State, requests: Iterable[EndpointRequest]
    ) -> Iterator[tuple[_State, Claim | None]]:
        """What each request gets, one after the other."""
        for request in requests:
            state, claim = self.claim(state, request)
            yield state, claim


def claim_endpoints(model: UdcModel, requests: Iterable[EndpointRequest]) -> list[Claim | None]:
    """What the kernel gives to each request, in order; None where nothing is left that fits."""
    return [claim for _, claim in _Autoconfiguration(model).claims(_State(), requests)]


def autoconfigure(model: UdcModel, requests: Iterable[EndpointRequest]) -> list[int | None]:
    """The bEndpointAddress that the kernel gives to each request, in order."""
    return [claim and claim.address for claim in claim_endpoints(model, requests)]


def steer(
    model: UdcModel,
    wanted: Sequence[tuple[int, EndpointRequest]],
    *,
    max_fillers: int = MAX_FILLERS_EACH,
) -> Steering:
    """Find the fewest fillers that give as many endpoints as possible their wanted address.

    `wanted` pairs each bEndpointAddress with what is asked for it, in descriptor order;
    `max_fillers` bounds the fillers of each direction. That every endpoint works comes first: that
    it exists, has an address of its own and room for the largest packet. The two directions are
    searched apart, for they hardly ever compete, and the whole is judged at the end.
    """
    simulation = _Autoconfiguration(model)
    fillers = [
        filler
        for direction in Direction
        for filler in _fillers(
            model, simulation, [w for w in wanted if w[1].direction is direction], max_fillers
        )
    ]
    best: tuple[int, ...] = ()
    steering = Steering((), ())
    for attempt in (fillers, []):
        state = _State()
        for filler in attempt:
            state, _ = simulation.claim(state, filler)
        claims = [claim for _, claim in simulation.claims(state, [r for _, r in wanted])]
        merit = _merit(wanted, claims)
        if not best or merit > best:
            best = merit
            steering = Steering(
                tuple(attempt),
                tuple(claim and claim.address for claim in claims),
                tuple(claim and claim.endpoint for claim in claims),
            )
    return steering


def _fillers(
    model: UdcModel,
    simulation: _Autoconfiguration,
    wanted: Sequence[tuple[int, EndpointRequest]],
    most: int,
) -> list[EndpointRequest]:
    """The fewest fillers that make one direction as right as it can be."""
    requests = [request for _, request in wanted]
    kinds = _filler_kinds(model, requests)
    perfect = (len(wanted),) * 3
    best: tuple[int, ...] = ()
    chosen: list[EndpointRequest] = []
    frontier: list[tuple[_State, list[EndpointRequest]]] = [(_State(), [])]
    seen = {_State()}
    for _ in range(most + 1):
        following: list[tuple[_State, list[EndpointRequest]]] = []
        for state, fillers in frontier:
            merit = _merit(wanted, [claim for _, claim in simulation.claims(state, requests)])
            if merit > best:
                best, chosen = merit, fillers
            if best == perfect:
                return chosen
            for kind in kinds:
                after, claim = simulation.claim(state, kind)
                if claim is not None and after not in seen:
                    seen.add(after)
                    following.append((after, [*fillers, kind]))
        frontier = following
    return chosen


def _filler_kinds(model: UdcModel, requests: Sequence[EndpointRequest]) -> list[EndpointRequest]:
    """What fillers may ask for, the plainest first.

    Each type of the requests, bulk and interrupt before isochronous, which makes a difference only
    where the driver picks such endpoints itself; and packets so large that smaller endpoints are
    passed over, where there are smaller ones.
    """
    if not requests:
        return []
    direction = requests[0].direction
    types = {request.transfer_type for request in requests}
    if TransferType.ISOCHRONOUS in types and not model.isochronous_in_from_the_end:
        types = types - {TransferType.ISOCHRONOUS} | {TransferType.BULK}
    types |= {TransferType.BULK} if TransferType.INTERRUPT in types else set()
    smallest = min((e.max_packet for e in model.endpoints if direction in e.directions), default=0)
    sizes = {request.max_packet for request in requests if request.max_packet > smallest}
    ordered = sorted(types, key=lambda each: (each is TransferType.ISOCHRONOUS, each))
    return [
        EndpointRequest(direction, transfer_type, size)
        for size in (FILLER_MAX_PACKET, *sorted(sizes))
        for transfer_type in ordered
    ]


def _merit(
    wanted: Sequence[tuple[int, EndpointRequest]], claims: Sequence[Claim | None]
) -> tuple[int, ...]:
    """How good a choice is: how many endpoints exist, work, have the address that they should."""
    existing = working = right = 0
    taken: set[int] = set()
    for (address, request), claim in zip(wanted, claims, strict=True):
        if claim is None:
            continue
        existing += 1
        right += claim.address == address
        working += (
            claim.address not in taken
            and max(request.max_packet, request.largest_packet) <= claim.endpoint.max_packet
        )
        taken.add(claim.address)
    return existing, working, right


def _count(state: _State, direction: Direction) -> tuple[_State, int]:
    """The kernel's own number for an endpoint that has none."""
    if direction is Direction.IN:
        number = state.counted_in + 1
        return state._replace(counted_in=number), number
    number = state.counted_out + 1
    return state._replace(counted_out=number), number


def _fitting(model: UdcModel, request: EndpointRequest) -> Iterator[int]:
    """Where the endpoints that a request could get stand in the model, the first choice first."""
    everywhere = range(len(model.endpoints))
    if (
        model.isochronous_in_from_the_end
        and request.transfer_type is TransferType.ISOCHRONOUS
        and request.direction is Direction.IN
    ):
        # chipidea/udc.c, `ci_udc_match_ep`: it looks at nothing but the direction.
        for index in reversed(everywhere):
            if Direction.IN in model.endpoints[index].directions:
                yield index
        return
    for index in everywhere:
        if _fits(model, model.endpoints[index], request):
            yield index


def _fits(model: UdcModel, endpoint: UdcEndpoint, request: EndpointRequest) -> bool:
    """As drivers/usb/gadget/udc/core.c, `usb_gadget_ep_match_desc`."""
    if request.direction not in endpoint.directions or request.max_packet > endpoint.max_packet:
        return False
    if model.max_speed < Speed.HIGH:
        limit = _FULL_SPEED_LIMIT.get(request.transfer_type)
        if limit is not None and request.max_packet > limit:
            return False
    return endpoint.takes(request.transfer_type)
