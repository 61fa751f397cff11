"""Whether a device is what its profile takes it for.

A wish that cannot be had is refused before anything is bound, and one that would change nothing is
said: a key that is half understood is worse than none.
"""

from collections.abc import Iterable, Sequence

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.shaping import UAS_PIPES
from gadgetip.profiles import Profile
from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import Configuration, Direction, TransferType


def unknown_wishes(profile: Profile, configurations: Iterable[Configuration]) -> list[Deviation]:
    """What the profile says about parts that the device does not have."""
    deviations: list[Deviation] = []
    settings = [setting for each in configurations for setting in each.settings]
    numbers = {setting.interface for setting in settings}
    endpoints = {
        endpoint.address: endpoint.descriptor
        for setting in settings
        for endpoint in setting.endpoints
    }
    for interface in profile.interfaces:
        if interface.number not in numbers:
            _note(deviations, f"interface {interface.number}", "the device has none of this number")
    for wish in profile.endpoints:
        subject = f"endpoint 0x{wish.address:02x}"
        descriptor = endpoints.get(wish.address)
        if descriptor is None:
            _note(deviations, subject, "the device has none of this address")
        elif wish.interval_us is not None and (
            descriptor.transfer_type is not TransferType.INTERRUPT
        ):
            _note(deviations, subject, "interval_us means nothing for a bulk endpoint")
    return deviations


def refuse_impossible_shapers(routes: Sequence[EndpointRoute], deviations: list[Deviation]) -> None:
    """Refuse shapers that need more than one endpoint, or another kind, than they are given."""
    groups: dict[tuple[Shaping, int, int], list[EndpointRoute]] = {}
    for route in routes:
        groups.setdefault((route.shaping, route.interface, route.alternate), []).append(route)
        takes_bulk = route.shaping in {Shaping.BOT, Shaping.UAS}
        if takes_bulk and route.transfer_type is not TransferType.BULK:
            _refuse(deviations, route, f"{route.shaping} is for bulk endpoints")
    for (shaping, _, _), group in groups.items():
        directions = sorted(each.direction for each in group)
        if shaping is Shaping.BOT and directions != [Direction.OUT, Direction.IN]:
            _refuse(deviations, group[0], "bot takes one endpoint each way of an interface")
        if shaping is Shaping.UAS and {each.pipe for each in group} != UAS_PIPES:
            _refuse(deviations, group[0], "uas takes four endpoints with pipe usage descriptors")


def _note(deviations: list[Deviation], subject: str, reason: str) -> None:
    deviations.append(Deviation(Severity.INFO, subject, f"the profile is ignored here: {reason}"))


def _refuse(deviations: list[Deviation], route: EndpointRoute, reason: str) -> None:
    deviations.append(
        Deviation(
            Severity.REFUSED,
            f"endpoint 0x{route.address:02x}",
            f"the shaper {route.shaping} cannot be had: {reason}",
        )
    )
