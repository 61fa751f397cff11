"""Whether endpoints fit into a controller's memory, and what to say where they do not.

The kernel chooses endpoints when a gadget is bound, by the descriptors of the first speed that
there are (full speed, for FunctionFS), and finds out whether they carry their packets when the host
sends SET_CONFIGURATION, at whatever speed that is. What does not fit then is a device that cannot
be configured. So it is computed here, for each speed:

* dwc2 gives each enabled IN endpoint a TX FIFO of its own, the smallest free one that holds the
  packets of a microframe (dwc2/gadget.c:4158-4193). Whether all get one does not depend on the
  order: who could use a small FIFO could use each larger one too.
* musb has a fixed FIFO for each endpoint; 10 to 12 are chosen for a bulk endpoint of 64 bytes at
  full speed and then fail for its 512 bytes at high speed (musb_gadget.c:968-1020). One of 13 to 15
  goes one way at a time.
* dummy_hcd has no FIFOs to speak of, but checks sizes against the specification
  (dummy_hcd.c:566-612).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gadgetip.gadget.udc_models import UdcEndpoint, UdcModel
from gadgetip.usb import Direction, Speed, TransferType

_BULK_SIZES = {Speed.FULL: (8, 16, 32, 64), Speed.HIGH: (512,), Speed.SUPER: (1024,)}
_MOST_INTERRUPT = {Speed.LOW: 8, Speed.FULL: 64, Speed.HIGH: 1024, Speed.SUPER: 1024}


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """One endpoint that the replica needs at one speed.

    `address` is bEndpointAddress, `max_packet` the largest packet in bytes, `transactions` how many
    of them a microframe may have.
    """

    address: int
    transfer_type: TransferType
    max_packet: int
    transactions: int = 1

    @property
    def direction(self) -> Direction:
        """Which way its data flows."""
        return Direction(self.address >> 7)

    @property
    def number(self) -> int:
        """The endpoint number, 1 to 15."""
        return self.address & 0x0F

    @property
    def microframe_bytes(self) -> int:
        """What it moves in one microframe at most."""
        return self.max_packet * self.transactions

    def __str__(self) -> str:
        return f"endpoint 0x{self.address:02x}"


def check_fifo(
    model: UdcModel, chosen: Sequence[tuple[UdcEndpoint, EndpointWish]], speed: Speed
) -> tuple[str, ...]:
    """Why endpoints that are enabled together cannot all work at `speed`; empty if they can.

    `chosen` pairs each wish with the controller's endpoint that was chosen for it.
    """
    problems = [
        problem
        for endpoint, wish in chosen
        if (problem := endpoint_problem(model, endpoint, wish, speed))
    ]
    problems.extend(shared_endpoint_problems(chosen))
    needs = [w.microframe_bytes for _, w in chosen if w.direction is Direction.IN]
    problems.extend(tx_fifo_problems(model, needs))
    return tuple(problems)


def endpoint_problem(
    model: UdcModel, endpoint: UdcEndpoint, wish: EndpointWish, speed: Speed | None = None
) -> str:
    """Why this endpoint of the controller cannot carry `wish`; empty if it can.

    Sizes that are right at one speed alone are only checked if `speed` is given.
    """
    type_name = wish.transfer_type.name.lower()
    where = f"{endpoint.name} of {model.name}"
    if wish.direction not in endpoint.directions:
        return f"{wish}: {where} does not go {wish.direction.name}"
    if not endpoint.takes(wish.transfer_type):
        return f"{wish}: {where} carries no {type_name} transfers"
    if wish.max_packet > endpoint.max_packet:
        return (
            f"{wish}: its packets have {wish.max_packet} bytes{_at(speed)}, "
            f"{where} has room for {endpoint.max_packet}"
        )
    if model.fifo_holds_microframe and wish.microframe_bytes > endpoint.max_packet:
        return (
            f"{wish}: {wish.transactions} packets of {wish.max_packet} bytes a microframe, "
            f"{where} has room for {endpoint.max_packet} bytes"
        )
    if model.exact_packet_sizes and speed is not None:
        return _inexact(model, wish, speed)
    return ""


def shared_endpoint_problems(
    chosen: Iterable[tuple[UdcEndpoint, EndpointWish]],
) -> tuple[str, ...]:
    """Which endpoints of the controller would have to be two at the same time."""
    users: dict[str, set[int]] = {}
    for endpoint, wish in chosen:
        users.setdefault(endpoint.name, set()).add(wish.address)
    return tuple(
        "endpoints "
        + " and ".join(f"0x{address:02x}" for address in sorted(addresses))
        + f" would share {name}, which is one endpoint, one way at a time"
        for name, addresses in users.items()
        if len(addresses) > 1
    )


def tx_fifo_problems(model: UdcModel, needs: Sequence[int]) -> tuple[str, ...]:
    """Why IN endpoints with these needs, in bytes a microframe, do not all get a TX FIFO."""
    if not model.tx_fifos:
        return ()
    for size in sorted(set(needs), reverse=True):
        asking = sum(need >= size for need in needs)
        there = sum(fifo >= size for fifo in model.tx_fifos)
        if asking > there:
            problem = (
                f"IN endpoints that need {size} bytes of FIFO or more: "
                f"the device has {asking}, {model.name} has room for {there}"
            )
            return (problem,)
    return ()


def _inexact(model: UdcModel, wish: EndpointWish, speed: Speed) -> str:
    """Packet sizes that a controller which insists on the specification does not enable."""
    family = min(speed, Speed.SUPER) if speed is not Speed.UNKNOWN else Speed.HIGH
    if wish.transfer_type is TransferType.BULK:
        sizes = _BULK_SIZES.get(family, ())
        if wish.max_packet not in sizes:
            allowed = " or ".join(map(str, sizes)) or "none"
            return (
                f"{wish}: bulk packets of {wish.max_packet} bytes{_at(speed)}, "
                f"{model.name} enables {allowed}"
            )
    if wish.transfer_type is TransferType.INTERRUPT:
        most = _MOST_INTERRUPT.get(family, 0)
        if wish.max_packet > most:
            return (
                f"{wish}: interrupt packets of {wish.max_packet} bytes{_at(speed)}, "
                f"{model.name} enables {most} at most"
            )
    return ""


def _at(speed: Speed | None) -> str:
    return "" if speed is None else f" at {speed.kernel_name.replace('-', ' ')}"
