"""Endpoints for backends that open the controller's endpoints by name.

GadgetFS has a file for each endpoint of the controller, and its user picks one for each endpoint
of the device. The host sees the descriptor that the user writes, so the address is always the
device's; what is behind it must answer to that address. On real hardware that is the endpoint of
the same number and direction. dummy_hcd and usbip-vudc go by the descriptor with which a file was
opened, so there any capable file will do.

Alternate settings of one interface are never active together, so they can use the same file in
turn; an address that is in several of them always gets the same one. Interfaces are active
together.

Where a controller moves no isochronous data, an isochronous endpoint gets no file: the host can
choose its setting and gets no data, and the plan says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from gadgetip.gadget.fifo import (
    EndpointWish,
    endpoint_problem,
    shared_endpoint_problems,
    tx_fifo_problems,
)
from gadgetip.gadget.udc_models import UdcEndpoint, UdcModel
from gadgetip.usb import Direction, Speed, TransferType

__all__ = ["Allocation", "EndpointKey", "EndpointWish", "allocate_by_address"]

EndpointKey = tuple[int, int, int]
"""Index of the interface, index of its setting, bEndpointAddress."""

Settings = Sequence[Sequence[Sequence[EndpointWish]]]
"""Endpoints, by interface and then by setting."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Which file each endpoint has.

    `unserved` are isochronous endpoints without one: the controller moves no such data. `problems`
    are sentences; the files are complete if there are none.
    """

    files: dict[EndpointKey, str] = field(default_factory=dict)
    unserved: tuple[EndpointKey, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Slot:
    """What one file has to be, in one interface: the wishes that use it in turn."""

    interface: int
    wishes: list[tuple[EndpointKey, EndpointWish]] = field(default_factory=list)

    @property
    def first(self) -> EndpointWish:
        return self.wishes[0][1]

    @property
    def settings(self) -> set[int]:
        return {key[1] for key, _ in self.wishes}

    def fits(self, model: UdcModel, endpoint: UdcEndpoint, speed: Speed | None) -> bool:
        """Whether this endpoint of the controller can be all that is wished."""
        return not any(endpoint_problem(model, endpoint, w, speed) for _, w in self.wishes)

    def joins(self, other: "_Slot") -> bool:
        """Whether the two could use one file, one after the other."""
        return (
            self.interface == other.interface
            and self.first.direction is other.first.direction
            and self.first.transfer_type is other.first.transfer_type
            and not self.settings & other.settings
        )


def allocate_by_address(
    model: UdcModel, settings: Settings, speed: Speed | None = None
) -> Allocation:
    """The file of each endpoint of a configuration, or why there is none.

    `settings` are the endpoints of each setting of each interface, with their largest packets of
    all speeds at which the replica may run. With a `speed` it is also checked that the controller
    enables exactly these sizes at this speed.
    """
    unserved = tuple(
        key
        for key, wish in _walk(settings)
        if wish.transfer_type is TransferType.ISOCHRONOUS and not model.isochronous
    )
    slots = _slots(settings, frozenset(unserved))
    problems = list(_repeated(slots))
    if model.matches_by_descriptor:
        found = _match(model, slots, speed)
        if len(found) < len(slots):
            slots = _shared(slots)
            found = _match(model, slots, speed)
        problems.extend(_unmatched(model, slots, found, speed))
    else:
        found, missing = _by_number(model, slots, speed)
        problems.extend(missing)
    problems.extend(_collisions(slots, found))
    problems.extend(tx_fifo_problems(model, _most_at_once(settings)))
    files = {
        key: endpoint.name for index, endpoint in found.items() for key, _ in slots[index].wishes
    }
    return Allocation(files, unserved, tuple(dict.fromkeys(problems)))


def _walk(settings: Settings) -> Iterator[tuple[EndpointKey, EndpointWish]]:
    for interface, alternates in enumerate(settings):
        for setting, endpoints in enumerate(alternates):
            for wish in endpoints:
                yield (interface, setting, wish.address), wish


def _slots(settings: Settings, without: frozenset[EndpointKey]) -> list[_Slot]:
    """One slot for each address of each interface."""
    slots: dict[tuple[int, int], _Slot] = {}
    for key, wish in _walk(settings):
        if key not in without:
            slot = slots.setdefault((key[0], wish.address), _Slot(key[0]))
            slot.wishes.append((key, wish))
    return list(slots.values())


def _shared(slots: list[_Slot]) -> list[_Slot]:
    """The same with fewer slots: endpoints of settings that are never active together share."""
    shared: list[_Slot] = []
    for slot in slots:
        host = next((each for each in shared if each.joins(slot)), None)
        if host is None:
            shared.append(_Slot(slot.interface, list(slot.wishes)))
        else:
            host.wishes.extend(slot.wishes)
    return shared


def _repeated(slots: list[_Slot]) -> Iterator[str]:
    """Addresses that two interfaces have at the same time: no host can tell them apart."""
    owner: dict[int, int] = {}
    for slot in slots:
        if owner.setdefault(slot.first.address, slot.interface) != slot.interface:
            yield f"{slot.first} belongs to two interfaces at the same time"


def _by_number(
    model: UdcModel, slots: list[_Slot], speed: Speed | None
) -> tuple[dict[int, UdcEndpoint], list[str]]:
    """The endpoint of the wish's own number and direction, or why it will not do."""
    found: dict[int, UdcEndpoint] = {}
    problems: list[str] = []
    for direction in Direction:
        numbers = model.numbers(direction)
        addresses = {s.first.address for s in slots if s.first.direction is direction}
        if len(addresses) > len(numbers):
            problems.append(_shortage(model, direction, len(addresses), len(numbers)))
    crowded = bool(problems)
    for index, slot in enumerate(slots):
        wish = slot.first
        endpoint = next(
            (
                each
                for each in model.endpoints
                if each.number == wish.number and wish.direction in each.directions
            ),
            None,
        )
        if endpoint is None:
            if not crowded:
                numbers = model.numbers(wish.direction)
                span = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
                problems.append(
                    f"{wish}: the {wish.direction.name} endpoints of {model.name} are {span}"
                )
            continue
        bad = [p for _, w in slot.wishes if (p := endpoint_problem(model, endpoint, w, speed))]
        problems.extend(bad)
        if not bad:
            found[index] = endpoint
    return found, problems


def _match(model: UdcModel, slots: list[_Slot], speed: Speed | None) -> dict[int, UdcEndpoint]:
    """An endpoint for as many slots as possible, by augmenting paths; the same number first."""
    choices: list[list[int]] = []
    for slot in slots:
        able = [e for e, each in enumerate(model.endpoints) if slot.fits(model, each, speed)]
        same = [e for e in able if model.endpoints[e].number == slot.first.number]
        choices.append([*same, *(e for e in able if e not in same)])
    owner: dict[int, int] = {}

    def place(index: int, tried: set[int]) -> bool:
        for endpoint in choices[index]:
            if endpoint not in tried:
                tried.add(endpoint)
                if endpoint not in owner or place(owner[endpoint], tried):
                    owner[endpoint] = index
                    return True
        return False

    for index in range(len(slots)):
        place(index, set())
    return {index: model.endpoints[endpoint] for endpoint, index in owner.items()}


def _unmatched(
    model: UdcModel, slots: list[_Slot], found: dict[int, UdcEndpoint], speed: Speed | None
) -> Iterator[str]:
    """Why some slots got nothing: what none of the endpoints can be, or that there are too few."""
    for index, slot in enumerate(slots):
        if index not in found and not any(slot.fits(model, e, speed) for e in model.endpoints):
            capable = [e for e in model.endpoints if slot.first.direction in e.directions]
            capable.sort(key=lambda e: not e.takes(slot.first.transfer_type))
            yield from (
                problem
                for _, wish in slot.wishes
                if (problem := endpoint_problem(model, capable[0], wish, speed))
            )
    for direction in Direction:
        able = [
            i
            for i, slot in enumerate(slots)
            if slot.first.direction is direction
            and any(slot.fits(model, e, speed) for e in model.endpoints)
        ]
        placed = sum(i in found for i in able)
        if placed < len(able):
            yield _shortage(model, direction, len(able), placed)


def _collisions(slots: list[_Slot], found: dict[int, UdcEndpoint]) -> tuple[str, ...]:
    """Files that would be two endpoints at the same time.

    Within one interface that is a matter of settings, between interfaces it is always so.
    """
    clashing: list[tuple[UdcEndpoint, EndpointWish]] = []
    for index, endpoint in found.items():
        clashing.extend(
            (endpoint, slots[index].first)
            for other, same in found.items()
            if other != index
            and same is endpoint
            and (
                slots[other].interface != slots[index].interface
                or slots[other].settings & slots[index].settings
            )
        )
    return shared_endpoint_problems(clashing)


def _most_at_once(settings: Settings) -> list[int]:
    """What IN endpoints need at most, in bytes a microframe, whatever settings are active."""
    needs: list[int] = []
    for alternates in settings:
        by_setting = [
            sorted(
                (w.microframe_bytes for w in endpoints if w.direction is Direction.IN), reverse=True
            )
            for endpoints in alternates
        ]
        needs.extend(max(ranked) for ranked in zip_longest(*by_setting, fillvalue=0))
    return needs


def _shortage(model: UdcModel, direction: Direction, asked: int, there: int) -> str:
    return (
        f"the device has {asked} {direction.name} endpoints, "
        f"{model.name} has room for {there} of them"
    )
