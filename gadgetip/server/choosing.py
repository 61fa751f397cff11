"""From DEVICE, as somebody writes it at this machine, to the devices and marks that are meant.

The whole truth is at hand here, so a DEVICE means one device or it is an error that lists the
candidates with everything that tells them apart. Whoever unbinds may also mean a device that is not
plugged in, of which only the mark is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gadgetip.errors import GadgetipError
from gadgetip.matching import DeviceFacts, DeviceSelector
from gadgetip.server.binding_marks import Binding, Bindings, meant_by
from gadgetip.server.exports import decide, facts_of_device, is_exportable
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.policy_rules import Policy

STUB_DRIVER = "usbip-host"
MAX_LISTED = 16


@dataclass(frozen=True, slots=True)
class BoundDevice:
    """What can be unbound: a device that is plugged in, or a mark that means none of those.

    A device without marks is one that usbip-host has: the stock tools bound it.
    """

    device: LocalDevice | None
    marks: tuple[Binding, ...] = ()

    def __str__(self) -> str:
        if self.device is not None:
            return describe_local(self.device)
        return f"{self.marks[0]} (not plugged in)"


def choose_device(
    selector: DeviceSelector,
    devices: Sequence[LocalDevice],
    published: Mapping[str, str] | None = None,
) -> LocalDevice:
    """The one device that is meant; `published` is the bus id of each published name.

    Raises `GadgetipError` that lists the candidates, or what is plugged in.
    """
    matching = _matching(selector, devices, published or {})
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise _ambiguous(selector, [describe_local(device) for device in matching])
    offered = [describe_local(device) for device in devices if is_exportable(device)]
    raise GadgetipError(
        f"no device here matches {selector}. "
        + (f"Plugged in: {_listed(offered)}" if offered else "Nothing is plugged in but hubs")
    )


def choose_bound(
    selector: DeviceSelector,
    devices: Sequence[LocalDevice],
    bindings: Bindings,
    published: Mapping[str, str] | None = None,
) -> BoundDevice | None:
    """What is meant of what is bound; None if nothing that is bound is.

    Raises `GadgetipError` that lists the candidates.
    """
    bound = all_bound(devices, bindings)
    plugged = [found.device for found in bound if found.device is not None]
    matching = _matching(selector, plugged, published or {})
    found = [b for b in bound if b.device in matching]
    found += [b for b in bound if b.device is None and selector.matches(_facts_of_mark(b.marks[0]))]
    if len(found) > 1:
        raise _ambiguous(selector, [str(candidate) for candidate in found])
    return found[0] if found else None


def all_bound(devices: Sequence[LocalDevice], bindings: Bindings) -> tuple[BoundDevice, ...]:
    """Everything that can be unbound; devices first, in the order given."""
    meant = {mark: meant_by(mark, devices) for mark in bindings}
    bound = []
    for device in devices:
        marks = tuple(mark for mark in bindings if device in meant[mark])
        if marks or device.driver == STUB_DRIVER:
            bound.append(BoundDevice(device, marks))
    return (*bound, *(BoundDevice(None, (mark,)) for mark in bindings if not meant[mark]))


def published_names(devices: Sequence[LocalDevice], policy: Policy) -> dict[str, str]:
    """The bus id behind each name that the policy publishes, or would, of what is plugged in."""
    everything = Bindings(tuple(Binding(device.id, None, device.busid) for device in devices))
    return {
        export.published_as: export.device.busid
        for export in decide(devices, policy, everything).exports
        if export.published_as != export.device.busid
    }


def describe_local(device: LocalDevice) -> str:
    """What tells a device from others: bus id, id, serial number, names."""
    parts = [device.id]
    if device.serial:
        parts.append(f"serial {device.serial}")
    names = device.names or tuple(
        filter(None, [" ".join(filter(None, (device.vendor_name, device.product_name)))])
    )
    parts += names[-1:]
    return f"{device.busid} ({', '.join(parts)})"


def _matching(
    selector: DeviceSelector, devices: Sequence[LocalDevice], published: Mapping[str, str]
) -> list[LocalDevice]:
    matching = [device for device in devices if selector.matches(facts_of_device(device))]
    if not matching and selector.key == "busid":
        busid = published.get(selector.pattern)
        matching = [device for device in devices if device.busid == busid]
    return matching


def _facts_of_mark(mark: Binding) -> DeviceFacts:
    return DeviceFacts(busid=mark.busid, id=mark.id, serial=mark.serial)


def _ambiguous(selector: DeviceSelector, candidates: Sequence[str]) -> GadgetipError:
    return GadgetipError(
        f"{selector} matches {len(candidates)} devices here: {_listed(candidates)}. "
        "Name one by its bus id"
    )


def _listed(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - MAX_LISTED} more" if len(texts) > MAX_LISTED else ""
    return "; ".join(texts[:MAX_LISTED]) + more
