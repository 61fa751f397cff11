"""What commands that plan have in common: the device, saved or live, and what it is planned for."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from gadgetip.attachment import plan_for
from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError
from gadgetip.gadget import (
    BACKENDS,
    UDC_MODELS,
    KernelVersion,
    Plan,
    Udc,
    UdcModel,
    assumption,
    list_udcs,
    make_plan,
    model_named,
)
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, DeviceSelector, facts_of_descriptors, facts_of_tree
from gadgetip.profiles import Profile, ProfileChoice
from gadgetip.remote import find_and_import
from gadgetip.usb import DeviceTree, Speed, infer_speed, parse_device_file, with_placeholder_strings

MAX_FILE_BYTES = 1 << 20

MODELS_HELP = f"""\b
Models: {", ".join(model.name for model in UDC_MODELS)}
"""


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """A device to plan for, and what is known of it to choose a profile by."""

    tree: DeviceTree
    facts: DeviceFacts


@dataclass(frozen=True, slots=True)
class Target:
    """What a replica is planned for: a live controller, or a kind of controller.

    `kernel` is None for the running one.
    """

    model: UdcModel
    controller: Udc | None
    kernel: KernelVersion | None

    def plan(self, tree: DeviceTree, profile: Profile) -> Plan:
        """The plan; raises `RefusedError` for a device without a configuration."""
        if self.controller is not None and self.kernel is None:
            return plan_for(tree, self.controller, profile)
        return make_plan(
            tree,
            self.model,
            [each.declared() for each in BACKENDS.values()],
            profile=profile,
            kernel=self.kernel or KernelVersion.parse(os.uname().release),
            udc_speed=self.controller.maximum_speed if self.controller else Speed.UNKNOWN,
        )


def choose_target(udc: str | None, udc_model: str | None, kernel: str | None = None) -> Target:
    """What --udc, --udc-model and --kernel mean."""
    if udc is not None and udc_model is not None:
        raise click.UsageError("--udc and --udc-model exclude each other")
    version = KernelVersion.parse(kernel) if kernel is not None else None
    if udc_model is None:
        controller = _controller(udc)
        return Target(controller.model, controller, version)
    model = model_named(udc_model)
    return Target(replace(model, assumed=assumption(model)), None, version)


def profile_and_plan(
    seen: SeenDevice, asked: ProfileChoice, udc: str | None, target: Target
) -> tuple[Profile, Target, Plan]:
    """The device's profile, and the plan for the controller that it names unless `udc` does."""
    profile = asked(seen.facts)
    if udc is None and target.controller is not None and profile.gadget.udc is not None:
        controller = _controller(profile.gadget.udc)
        target = replace(target, model=controller.model, controller=controller)
    return profile, target, target.plan(seen.tree, profile)


def saved_device(path: Path) -> SeenDevice:
    """The device in a file of descriptors; raises `GadgetipError` for what is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise GadgetipError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise GadgetipError(f"{path} has more than {MAX_FILE_BYTES} bytes: no file of descriptors")
    try:
        tree = parse_device_file(data)
    except GadgetipError as error:
        raise GadgetipError(f"{path}: {error}") from None
    facts = facts_of_descriptors(tree)
    return SeenDevice(replace(with_placeholder_strings(tree), speed=infer_speed(tree)), facts)


def live_device(host: HostAddress, device: DeviceSelector) -> SeenDevice:
    """The device that a server exports; it is imported for a moment, which resets it."""
    found = asyncio.run(find_and_import(host, device))
    found.imported.close()
    return SeenDevice(found.tree, facts_of_tree(found.tree, found.imported.record.busid))


def device_asked_for(
    host: HostAddress | None, device: DeviceSelector | None, descriptors: Path | None
) -> Callable[[], SeenDevice]:
    """How to get at the device that [HOST DEVICE] or --descriptors mean."""
    if (descriptors is None) == (host is None):
        raise click.UsageError("give HOST and DEVICE, or --descriptors FILE")
    if descriptors is not None:
        return lambda: saved_device(descriptors)
    if device is None:
        raise click.UsageError("missing DEVICE")
    assert host is not None
    return lambda: live_device(host, device)


def _controller(name: str | None) -> Udc:
    """The controller to plan for; one that is in use will do, for nothing is bound."""
    udcs = list_udcs()
    models = ", ".join(model.name for model in UDC_MODELS)
    if not udcs:
        raise PrerequisiteError(
            "this machine has no USB device controller: name the kind of another one with "
            f"--udc-model ({models})"
        )
    if name is not None:
        udcs = tuple(each for each in udcs if each.name == name)
        if not udcs:
            raise GadgetipError(f"there is no controller {name}; `gadgetip udc` lists them")
    kinds = {each.model.name for each in udcs}
    free = [each for each in udcs if each.is_free]
    if len(kinds) > 1 and len(free) != 1:
        names = ", ".join(each.name for each in udcs)
        raise UsageError(f"several controllers differ ({names}): choose one with --udc NAME")
    return next(iter(free), udcs[0])
