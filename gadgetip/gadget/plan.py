"""The plan: everything about a replica that can be decided before anything is touched.

`make_plan` is a pure function of what the device says of itself, the controller's model, the
profile and the kernel's version. It tries the device on every backend that there is, each of
which has declared its limits as data, and takes the one that leaves the fewest and mildest
deviations: differences that the host will see, each with its severity, the descriptor that it
concerns and the reason. A plan with a deviation of severity `refused` is never built.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from gadgetip.errors import RefusedError, UsageError
from gadgetip.gadget.capabilities import OLDEST_KERNEL, Capabilities, Form, KernelVersion
from gadgetip.gadget.class_overrides import override_classes, own_classes
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.function_form import note_what_functions_lose, plan_function
from gadgetip.gadget.holding import plan_hold
from gadgetip.gadget.identity import KernelStrings, note_missing_bos, note_what_the_kernel_sets
from gadgetip.gadget.overrides import override_identity
from gadgetip.gadget.planned import Plan, PlannedConfiguration
from gadgetip.gadget.profile_checks import refuse_impossible_shapers, unknown_wishes
from gadgetip.gadget.qualifier import note_qualifier
from gadgetip.gadget.raw_form import BCD_USB, plan_raw
from gadgetip.gadget.settings import KeptSettings, keep_settings
from gadgetip.gadget.shaping import RouteMaker
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.profiles import GENERIC, Profile
from gadgetip.pump import Shaping
from gadgetip.usb import Configuration, DeviceTree, Speed

AUTO = "auto"
RAW_CONTROL_LIMIT_S = 4.5
"""Less than the 5 s of a patient host: a request that the host gives up leaves GadgetFS out of step
(`gadgetip.gadget.host_events`)."""

_SIGNALLED = {Speed.FULL, Speed.HIGH, Speed.SUPER, Speed.SUPER_PLUS}
OPAQUE_TO_SIZES = {Shaping.PACKET, Shaping.INTERRUPT, Shaping.UAS}
"""Shapers that know nothing of where a transfer ends, so that packets must have one size."""


def make_plan(
    tree: DeviceTree,
    model: UdcModel,
    backends: Sequence[Capabilities],
    *,
    profile: Profile = GENERIC,
    kernel: KernelVersion | None = None,
    udc_speed: Speed = Speed.UNKNOWN,
) -> Plan:
    """Decide how `tree` is rebuilt on a controller of this model.

    `backends` are tried in their order, the first of equals wins; `udc_speed` is what the
    controller says it can do, where there is a live one. Raises `RefusedError` for a device that
    has nothing to rebuild and `UsageError` for a backend that does not exist.
    """
    if not tree.configurations:
        raise RefusedError("the device has no configuration: there is nothing to rebuild")
    if tree.speed in {Speed.UNKNOWN, Speed.WIRELESS}:
        tree = replace(tree, speed=Speed.HIGH)
    wanted = profile.gadget.backend
    names = [each.name for each in backends]
    if wanted != AUTO and wanted not in names:
        raise UsageError(f"there is no backend {wanted}. There are: {', '.join(names)}")
    candidates = [
        _candidate(tree, chosen, model, each, profile, kernel, udc_speed)
        for each in backends
        if wanted in {AUTO, each.name}
        for chosen in _choices(tree, each)
    ]
    best = min(candidates, key=lambda plan: plan.cost)
    if best.refusals:
        return _refused_by_all(best, candidates)
    return best


def _choices(tree: DeviceTree, backend: Capabilities) -> list[tuple[int, ...]]:
    """Which configurations may be offered, by their places: all, or each of them alone."""
    places = tuple(range(len(tree.configurations)))
    return [places] if len(places) <= backend.max_configurations else [(each,) for each in places]


def _candidate(
    tree: DeviceTree,
    chosen: tuple[int, ...],
    model: UdcModel,
    backend: Capabilities,
    profile: Profile,
    kernel: KernelVersion | None,
    udc_speed: Speed,
) -> Plan:
    deviations: list[Deviation] = []
    _note_circumstances(backend, model, kernel, deviations)
    original = tree
    tree, own_strings = override_identity(tree, profile.gadget.identity, deviations)
    own = [own_classes(tree.configurations[place]) for place in chosen]
    tree = override_classes(tree, profile, deviations)
    configurations = tuple(tree.configurations[place] for place in chosen)
    _note_configurations(tree, configurations, backend, deviations)
    speed = _choose_speed(tree, udc_speed, model, backend, profile, deviations)
    speeds = tuple(each for each in (Speed.FULL, Speed.HIGH, Speed.SUPER) if each <= speed)
    routes = [RouteMaker(tree.speed, profile, classes) for classes in own]
    kept = [
        keep_settings(configuration, profile, backend.form, deviations)
        for configuration in configurations
    ]
    _refuse_empty(kept, deviations)
    if backend.form is Form.FUNCTION:
        own_strings = {}
        note_what_functions_lose(tree, model, deviations)
        strings = KernelStrings(tree, speed, model, deviations)
        identity = strings.identity
        planned = [
            plan_function(tree, each, speeds, model, backend, strings, make_routes, deviations)
            for each, make_routes in zip(kept, routes, strict=True)
        ]
    else:
        identity = KernelStrings(tree, speed, model, []).identity
        note_what_the_kernel_sets(tree, speed, model, deviations)
        note_missing_bos(tree, deviations)
        if tree.device.bcdUSB != BCD_USB:
            deviations.append(
                Deviation(
                    Severity.INFO,
                    "bcdUSB",
                    f"the kernel writes 0x{BCD_USB:04x} for 0x{tree.device.bcdUSB:04x}",
                )
            )
        planned = [
            plan_raw(tree, each, speeds, model, backend, make_routes, deviations)
            for each, make_routes in zip(kept, routes, strict=True)
        ]
    note_qualifier(tree, backend.form, speed, len(configurations), model, deviations)
    deviations += unknown_wishes(profile, configurations)
    for each in planned:
        refuse_impossible_shapers(each.routes.get(speed, ()), deviations)
        _check_routes(each, speed, model, deviations)
    hold = plan_hold(original, planned, profile.link, deviations)
    return Plan(
        profile=profile.name,
        backend=backend.name,
        model=model.name,
        speed=speed,
        identity=identity,
        device_descriptor=tree.device.replace(
            bcdUSB=BCD_USB,
            bNumConfigurations=len(configurations),
            bMaxPacketSize0=model.max_packet0,
        ).data,
        configurations=tuple(planned),
        deviations=tuple(dict.fromkeys(deviations)),
        own_strings=own_strings,
        forward_reset=profile.gadget.forward_reset,
        control_limit_s=min(
            profile.link.control_timeout_ms / 1000,
            RAW_CONTROL_LIMIT_S if backend.form is Form.RAW else math.inf,
        ),
        hold=hold,
    )


def _note_circumstances(
    backend: Capabilities,
    model: UdcModel,
    kernel: KernelVersion | None,
    deviations: list[Deviation],
) -> None:
    if model.assumed:
        deviations.append(Deviation(Severity.INFO, "controller", model.assumed))
    if backend.unavailable:
        deviations.append(Deviation(Severity.REFUSED, backend.name, backend.unavailable))
    if backend.exclusive:
        deviations.append(
            Deviation(
                Severity.INFO,
                backend.name,
                "a system has one such replica: a second device cannot use it meanwhile",
            )
        )
    if kernel is not None and kernel < OLDEST_KERNEL:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "kernel",
                f"{kernel} is older than {OLDEST_KERNEL}, the oldest whose behaviour is known",
            )
        )


def _note_configurations(
    tree: DeviceTree,
    configurations: tuple[Configuration, ...],
    backend: Capabilities,
    deviations: list[Deviation],
) -> None:
    if len(configurations) < len(tree.configurations):
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "configurations",
                f"number {configurations[0].value} of {len(tree.configurations)} is offered: "
                f"{backend.name} has {'one' if backend.max_configurations == 1 else 'fewer'}",
            )
        )
    values = [configuration.value for configuration in configurations]
    deviations.extend(
        Deviation(
            Severity.REFUSED, "configuration", f"{values.count(value)} have the value {value}"
        )
        for value in dict.fromkeys(values)
        if values.count(value) > 1
    )
    deviations.extend(
        Deviation(
            Severity.REFUSED,
            "configuration",
            "its bConfigurationValue is 0, by which nobody can choose it",
        )
        for configuration in configurations
        if configuration.value == 0
    )


def _refuse_empty(kept: Sequence[KeptSettings], deviations: list[Deviation]) -> None:
    deviations.extend(
        Deviation(
            Severity.REFUSED,
            "configuration",
            f"nothing of configuration {each.configuration.value} is left to rebuild",
        )
        for each in kept
        if not each.settings
    )


def _choose_speed(
    tree: DeviceTree,
    udc_speed: Speed,
    model: UdcModel,
    backend: Capabilities,
    profile: Profile,
    deviations: list[Deviation],
) -> Speed:
    able = udc_speed if udc_speed in _SIGNALLED else model.max_speed
    able = min(able, backend.max_speed, Speed.SUPER)
    wanted = max(tree.speed, Speed.FULL)
    cap = profile.gadget.max_speed
    if cap is not None and cap < wanted:
        wanted = max(
            each
            for each in (Speed.FULL, Speed.HIGH, Speed.SUPER)
            if each <= cap or each is Speed.FULL
        )
        deviations.append(
            Deviation(Severity.INFO, "speed", f"{wanted.mbps_text}, as the profile asks")
        )
    if wanted < Speed.HIGH and not model.caps_below_high and able >= Speed.HIGH:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "speed",
                f"{model.name} cannot be capped below high speed: the replica is high-speed",
            )
        )
        return Speed.HIGH
    if tree.speed is Speed.LOW:
        deviations.append(
            Deviation(Severity.INFO, "speed", "a low-speed device becomes full-speed")
        )
    speed = min(wanted, able)
    if speed < wanted:
        by_backend = backend.max_speed < min(wanted, model.max_speed)
        limit = backend.name if by_backend else "the controller"
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "speed",
                f"{speed.mbps_text} instead of the device's {wanted.mbps_text}: "
                f"{limit} can do no more",
            )
        )
    return speed


def _check_routes(
    planned: PlannedConfiguration, speed: Speed, model: UdcModel, deviations: list[Deviation]
) -> None:
    """Packet by packet is transparent only where packets have the same size on both wires."""
    for route in planned.routes.get(speed, ()):
        resized = route.device_max_packet != route.host_max_packet
        if resized and route.shaping in OPAQUE_TO_SIZES:
            deviations.append(
                Deviation(
                    Severity.REFUSED,
                    f"endpoint 0x{route.address:02x}",
                    f"its packets are {route.device_max_packet} bytes at the device and "
                    f"{route.host_max_packet} at the host, and nothing tells where its transfers "
                    "end",
                )
            )
        if model.zlp_doubtful and route.shaping is not Shaping.INTERRUPT and route.address & 0x80:
            deviations.append(
                Deviation(
                    Severity.INFO,
                    f"endpoint 0x{route.address:02x}",
                    f"the driver of {model.name} says of itself that it sends no zero-length "
                    "packets: not verified on hardware",
                )
            )


def _refused_by_all(best: Plan, candidates: Sequence[Plan]) -> Plan:
    """The mildest refusal, with the first thing that stands against each other backend."""
    others = {
        plan.backend: Deviation(
            Severity.INFO,
            plan.backend,
            f"would not do either: {plan.refusals[0]}"
            + (f" (and {len(plan.refusals) - 1} more)" if len(plan.refusals) > 1 else ""),
        )
        for plan in candidates
        if plan.backend != best.backend
    }
    return replace(best, deviations=(*best.deviations, *others.values()))
