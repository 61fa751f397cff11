"""bind and unbind: making and removing marks, and having them take effect at once.

With a `serve` running, it is asked to look again and does the rest with whichever stub it uses.
Without one, the kernel's stub takes the device at once if there is one, so that the stock usbipd
can export it, and the original drivers have it back when it is unbound.

Everything that is asked for is looked at before anything is changed: of several devices either all
are bound or none, unless all there are were asked for.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError
from gadgetip.matching import DeviceSelector
from gadgetip.server import usbip_host
from gadgetip.server.binding_marks import Binding, binding_for
from gadgetip.server.bindings import add_binding, load_bindings, remove_binding
from gadgetip.server.choosing import (
    STUB_DRIVER,
    BoundDevice,
    all_bound,
    choose_bound,
    choose_device,
    describe_local,
    published_names,
)
from gadgetip.server.exports import is_denied, is_exportable
from gadgetip.server.inventory import read_inventory
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.policy import load_policy
from gadgetip.server.policy_rules import DEFAULT_POLICY, Policy
from gadgetip.server.safety import gather_facts, reason_never_to_export, reason_to_keep
from gadgetip.server.surroundings import ask_serve
from gadgetip.strict_toml import FileError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one device.

    `did` is what has changed, in a word or two; `problem` is what is not as it was asked for.
    """

    subject: str
    did: str
    device: LocalDevice | None = None
    mark: Binding | None = None
    published_as: str | None = None
    """The bus id that clients see, if it is exported now."""
    note: str | None = None
    problem: str | None = None
    exit_status: ExitStatus = ExitStatus.DONE


def bind_devices(
    selectors: Sequence[DeviceSelector], *, everything: bool, force: bool, once: bool
) -> list[Outcome]:
    """Mark these devices for export, or all that may be; what was refused of all is listed.

    Raises `GadgetipError` when a device is not there, is not the only one, or is refused, and when
    the policy cannot be understood: it may deny the device.
    """
    _need_root("bind")
    devices = read_inventory()
    policy = load_policy(None)
    if everything:
        chosen = [device for device in devices if is_exportable(device)]
    else:
        names = _names_in_use(selectors, devices, policy)
        found = [choose_device(selector, devices, names) for selector in selectors]
        chosen = list(dict.fromkeys(found))
    refused = _refusals(chosen, policy, force=force)
    if refused and not everything:
        raise GadgetipError("; ".join(_sentence(device, refused[device]) for device in refused))
    wanted = [device for device in chosen if device not in refused]
    news = {device: _mark(device, devices, force=force, once=once) for device in wanted}
    outcomes = [Outcome(describe_local(d), "refused", d, problem=refused[d]) for d in refused]
    answer = _reconcile()
    for device in wanted:
        mark, is_new = news[device]
        did = "bound" if is_new else "already bound"
        note = _port_note(mark, device)
        if answer is None:
            outcomes.append(_taken_without_serve(device, mark, did, note))
        else:
            outcomes.append(_exported_by_serve(device, mark, did, note, answer))
    return outcomes


def unbind_devices(selectors: Sequence[DeviceSelector], *, everything: bool) -> list[Outcome]:
    """Remove the marks of these devices, or all marks; their own drivers have them again.

    What is not bound is said and is no error. Raises `GadgetipError` when several are meant.
    """
    _need_root("unbind")
    devices = read_inventory()
    bindings = load_bindings()
    bound: list[BoundDevice] = []
    outcomes: list[Outcome] = []
    if everything:
        bound += all_bound(devices, bindings)
    else:
        names = _names_in_use(selectors, devices, _policy_if_readable())
        for selector in selectors:
            found = choose_bound(selector, devices, bindings, names)
            if found is None:
                outcomes.append(Outcome(_unbound_subject(selector, devices, names), "not bound"))
            elif found not in bound:
                bound.append(found)
    for found in bound:
        for mark in found.marks:
            remove_binding(mark)
    answer = _reconcile() if bound else None
    return outcomes + [_released(found, answer) for found in bound]


def _reconcile() -> dict[str, Any] | None:
    """Have serve look again; what goes wrong there is its answer: the marks are made by now."""
    try:
        return ask_serve({"command": "reconcile"})
    except GadgetipError as error:
        return {"error": str(error)}


def _mark(
    device: LocalDevice, devices: Sequence[LocalDevice], *, force: bool, once: bool
) -> tuple[Binding, bool]:
    """The mark that the device has now, and whether it had none before."""
    old = load_bindings().of(device, devices)
    mark = binding_for(device, devices, forced=force, once=once)
    if old is not None:
        # Under the mark it has: one by serial number stays that when a copy is plugged in.
        mark = Binding(old.id, old.serial, device.busid, force, once)
    add_binding(mark)
    return load_bindings().of(device, devices) or mark, old is None


def _refusals(
    devices: Sequence[LocalDevice], policy: Policy, *, force: bool
) -> dict[LocalDevice, str]:
    facts = gather_facts()
    refused = {}
    for device in devices:
        reason = reason_never_to_export(device)
        if reason is None and is_denied(device, policy):
            reason = "a [[deny]] of the policy denies it, which --force does not change"
        if reason is None and not force and (kept := reason_to_keep(device, facts)):
            reason = f"{kept} (--force binds it nevertheless)"
        if reason is not None:
            refused[device] = reason
    return refused


def _sentence(device: LocalDevice, reason: str) -> str:
    return f"{describe_local(device)} is refused: {reason}"


def _port_note(mark: Binding, device: LocalDevice) -> str | None:
    if mark.serial is not None:
        return None
    if not device.serial:
        return "it has no serial number: it is bound to its port"
    return "its serial number does not tell it from others: it is bound to its port"


def _exported_by_serve(
    device: LocalDevice, mark: Binding, did: str, note: str | None, answer: dict[str, Any]
) -> Outcome:
    subject = describe_local(device)
    if "error" in answer:
        problem = f"it is marked, but {answer['error']}"
        return Outcome(
            subject, did, device, mark, note=note, problem=problem, exit_status=ExitStatus.ERROR
        )
    export = _export_in(answer, device.busid)
    note = _with_policy_fault(note, answer)
    if export is not None and not export.get("fault"):
        return Outcome(subject, did, device, mark, _published_as(export), note)
    problem = str(export["fault"]) if export else _why_not_exported(device)
    return Outcome(
        subject, did, device, mark, note=note, problem=problem, exit_status=ExitStatus.ERROR
    )


def _why_not_exported(device: LocalDevice) -> str:
    answer = None
    with contextlib.suppress(GadgetipError):
        answer = ask_serve({"command": "state"})
    notes = [str(note) for note in (answer or {}).get("notes") or ()]
    about = [note for note in notes if device.busid in note.split()]
    return about[0] if about else "serve does not export it: its log says why"


def _taken_without_serve(device: LocalDevice, mark: Binding, did: str, note: str | None) -> Outcome:
    subject = describe_local(device)
    if not usbip_host.is_available():
        waits = "it is exported as soon as `gadgetip serve` runs"
        return Outcome(subject, did, device, mark, note=f"{note}; {waits}" if note else waits)
    try:
        usbip_host.take(device.busid)
    except GadgetipError as error:
        return Outcome(
            subject,
            did,
            device,
            mark,
            note=note,
            problem=str(error),
            exit_status=error.exit_status,
        )
    waits = "usbip-host has it, for `gadgetip serve` or usbipd to export"
    return Outcome(subject, did, device, mark, None, f"{note}; {waits}" if note else waits)


def _released(found: BoundDevice, answer: dict[str, Any] | None) -> Outcome:
    subject, device = str(found), found.device
    mark = found.marks[0] if found.marks else None
    if answer is not None and "error" in answer:
        # What serve has, only serve may give back: a client may be using it.
        problem = f"serve may export it still: {answer['error']}"
        did = "unbound" if found.marks else "not released"
        return Outcome(subject, did, device, mark, problem=problem, exit_status=ExitStatus.ERROR)
    note = _with_policy_fault(None, answer)
    if device is None:
        return Outcome(subject, "unbound", None, mark, note=note)
    export = _export_in(answer, device.busid)
    if export is not None:
        published = _published_as(export)
        note = _with_policy_fault(
            f'the policy exports it by itself, as "{published}", and goes on doing so', answer
        )
        did = "unbound" if found.marks else "not bound"
        return Outcome(subject, did, device, mark, published, note)
    try:
        if usbip_host.driver_of(device.busid) == STUB_DRIVER:
            if answer is not None and found.marks:
                problem = "serve has not given it back: its log says why"
                return Outcome(
                    subject,
                    "unbound",
                    device,
                    mark,
                    note=note,
                    problem=problem,
                    exit_status=ExitStatus.ERROR,
                )
            # Without a mark the stock tools bound it, and a serve that runs knows nothing of it.
            usbip_host.give_back(device.busid)
    except GadgetipError as error:
        return Outcome(
            subject, "unbound", device, mark, problem=str(error), exit_status=error.exit_status
        )
    return Outcome(subject, "unbound", device, mark, note=note)


def _with_policy_fault(note: str | None, answer: dict[str, Any] | None) -> str | None:
    """What serve says of a policy that it cannot read, behind what is said already."""
    fault = (answer or {}).get("policy_fault")
    kept = f"serve goes on with its old policy: {fault}" if fault else None
    return "; ".join(filter(None, (note, kept))) or None


def _exports_in(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    exports = (answer or {}).get("exports")
    return [e for e in exports if isinstance(e, dict)] if isinstance(exports, list) else []


def _export_in(answer: dict[str, Any] | None, busid: str) -> dict[str, Any] | None:
    return next((e for e in _exports_in(answer) if e.get("busid") == busid), None)


def _published_as(export: dict[str, Any]) -> str:
    return str(export.get("published_as") or export.get("busid"))


def _unbound_subject(
    selector: DeviceSelector, devices: Sequence[LocalDevice], names: Mapping[str, str]
) -> str:
    try:
        return describe_local(choose_device(selector, devices, names))
    except GadgetipError:
        return str(selector)


def _policy_if_readable() -> Policy:
    """The policy in its usual place; whoever takes things back need not mend it first."""
    try:
        return load_policy(None)
    except FileError:
        return DEFAULT_POLICY


def _names_in_use(
    selectors: Sequence[DeviceSelector], devices: Sequence[LocalDevice], policy: Policy
) -> dict[str, str]:
    """The bus id behind each published name: the policy's, and those of a `serve` that runs."""
    busids = {device.busid for device in devices}
    if not any(s.key == "busid" and s.pattern not in busids for s in selectors):
        return {}
    names = published_names(devices, policy)
    answer = None
    with contextlib.suppress(GadgetipError):
        answer = ask_serve({"command": "state"})
    names.update((_published_as(e), str(e.get("busid"))) for e in _exports_in(answer))
    return names


def _need_root(verb: str) -> None:
    if os.geteuid() != 0:
        raise PrerequisiteError(f"{verb} takes devices from their drivers: run it as root")
