"""What is exported, under which name and to whom: the decision, from values alone.

For each device that is plugged in:

1. Hubs, and devices that this machine itself imports, are never exported.
2. A `[[deny]]` that fits beats everything, also a mark made by hand.
3. Of the `[[export]]` rules that fit, the most specific one has it (`matching.match`). If two tie,
   neither has it and a note names both: they may allow it to different clients, and what is
   exported to too many is worse than what is not exported.
4. A rule with `when = "plugged"` exports the device; one with `when = "bound"` does if it was bound
   by hand. Either way the rule says the name and the clients.
5. What was bound by hand and has no rule is exported under its own bus id, to everybody who reaches
   a listener.

Two devices may want one name: a rule that names a product, and two of that product. The first one
by port has the name, the other goes by its own bus id, and a note says so. A published name never
takes the bus id of another device that is plugged in.

Whether a device should rather stay here (its disk is mounted) is not decided here but by the
caller, who can look (`safety`), and who does not ask for what is `forced`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from gadgetip.matching import DeviceFacts, best_fits, fits
from gadgetip.server.binding_marks import Binding, Bindings, meant_by
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.policy_rules import Network, Policy


@dataclass(frozen=True, slots=True)
class Export:
    """One device that is to be exported."""

    device: LocalDevice
    name: str
    """The rule's name; the bus id for a device that was bound by hand and has no rule."""
    published_as: str
    """The bus id that clients see."""
    clients: tuple[Network, ...] = ()
    """Who may import it; () is everybody who reaches a listener."""
    by: Literal["bound", "policy"] = "bound"
    """"bound": somebody bound it by hand; "policy": a rule exports it by itself."""
    forced: bool = False
    """Bound with --force: `reason_to_keep` is not asked."""

    def admits(self, address: str | IPv4Address | IPv6Address) -> bool:
        """Whether a client with this address may import it; a dual-stack socket's too."""
        if not self.clients:
            return True
        client = ip_address(address)
        if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client in network for network in self.clients)


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that is to be exported, in the order of the ports, and what to tell about it."""

    exports: tuple[Export, ...] = ()
    notes: tuple[str, ...] = ()


def facts_of_device(device: LocalDevice) -> DeviceFacts:
    """What the inventory tells of a device: everything."""
    return DeviceFacts(
        busid=device.busid,
        id=device.id,
        serial=device.serial or "",
        names=device.names,
        classes=device.classes,
    )


def is_exportable(device: LocalDevice) -> bool:
    """Whether a device may be exported at all: a hub and an imported device may not."""
    return not device.is_hub and not device.is_imported


def is_denied(device: LocalDevice, policy: Policy) -> bool:
    """Whether a `[[deny]]` fits; what cannot be told counts as denied."""
    facts = facts_of_device(device)
    return any(fits(rule.matches, facts) is not False for rule in policy.denies)


def decide(devices: Sequence[LocalDevice], policy: Policy, bindings: Bindings) -> Decision:
    """Decide about the devices that are plugged in; see the head of this module."""
    devices = sorted(devices, key=lambda device: port_order(device.busid))
    exports, notes = [], _notes_of_shared_serials(devices, bindings)
    for device in devices:
        if not is_exportable(device):
            continue
        binding = bindings.of(device, devices)
        if is_denied(device, policy):
            if binding is not None:
                notes.append(f"{_shown(device)} is bound, but a [[deny]] of the policy denies it")
            continue
        rules = best_fits(policy.exports, lambda rule: rule.matches, facts_of_device(device))
        if len(rules) > 1:
            names = " and ".join(f'"{rule.name}"' for rule in rules)
            notes.append(
                f"{_shown(device)} is not exported: the rules {names} fit it equally well; "
                "make one of them more specific"
            )
        elif rules and (rules[0].when == "plugged" or binding is not None):
            (rule,) = rules
            export = Export(device, rule.name, rule.publish_as or device.busid, rule.clients)
            exports.append(_with_binding(export, binding))
        elif binding is not None:
            exports.append(_with_binding(Export(device, device.busid, device.busid), binding))
    return Decision(_with_names_of_their_own(exports, devices, notes), tuple(notes))


def port_order(busid: str) -> tuple[int, ...]:
    """What bus ids are sorted by: 1-2 before 1-10, and 1-1 before 1-1.4."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", busid))


def _with_binding(export: Export, binding: Binding | None) -> Export:
    if binding is None:
        return replace(export, by="policy")
    return replace(export, by="bound", forced=binding.forced)


def _with_names_of_their_own(
    exports: Sequence[Export], devices: Sequence[LocalDevice], notes: list[str]
) -> tuple[Export, ...]:
    """Make every `published_as` unique, and different from the bus ids of other devices."""
    busids = {device.busid for device in devices}
    owners: dict[str, Export] = {}
    unique = []
    for export in exports:
        busid, name = export.device.busid, export.published_as
        if name != busid and (name in owners or name in busids):
            owner = owners[name].device.busid if name in owners else name
            notes.append(
                f'{_shown(export.device)} is exported as {busid}: "{name}" is the name of the '
                f"device at {owner}"
            )
            export = replace(export, published_as=busid)  # noqa: PLW2901
        owners[export.published_as] = export
        unique.append(export)
    return tuple(unique)


def _notes_of_shared_serials(devices: Sequence[LocalDevice], bindings: Bindings) -> list[str]:
    notes = []
    for mark in bindings:
        fitting = [device for device in devices if mark.fits(device)]
        if len(fitting) > 1 and not meant_by(mark, devices):
            busids = ", ".join(device.busid for device in fitting)
            notes.append(
                f"{mark} is bound, and {busids} all have this serial number: bind the one that "
                "is meant by its bus id"
            )
    return notes


def _shown(device: LocalDevice) -> str:
    return f"{device.busid} ({device.id})"
