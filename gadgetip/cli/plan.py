"""`gadgetip plan`: what a replica would be like, before anything is bound."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import click

from gadgetip.attachment import plan_for
from gadgetip.cli.arguments import (
    HOST_AND_DEVICE_HELP,
    DeviceType,
    HostType,
    backend_option,
    profile_option,
    with_backend,
)
from gadgetip.cli.output import Output, common_options, describe
from gadgetip.cli.plan_text import plan_as_json, plan_lines
from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError, UsageError
from gadgetip.gadget import (
    BACKENDS,
    UDC_MODELS,
    KernelVersion,
    Plan,
    Severity,
    Udc,
    UdcModel,
    assumption,
    list_udcs,
    make_plan,
    model_named,
)
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.profiles import Profile
from gadgetip.remote import find_and_import
from gadgetip.usb import DeviceTree, Speed, infer_speed, parse_device_file, with_placeholder_strings

MAX_FILE_BYTES = 1 << 20

EPILOG = f"""{HOST_AND_DEVICE_HELP}
FILE is what sysfs calls `descriptors` or what `gadgetip inspect --save` wrote; the strings are not
in it, and the speed is inferred.

\b
Models: {", ".join(model.name for model in UDC_MODELS)}

\b
Examples:
  gadgetip plan nas.lan 0781:5581
  gadgetip plan --descriptors webcam.bin --udc-model dwc2-bcm2835
  gadgetip plan --descriptors /sys/bus/usb/devices/1-1/descriptors --udc-model musb-am335x --json

\b
Exit status: 0 nothing that matters differs, 7 works but degraded, 5 refused.
"""


@click.command(epilog=EPILOG)
@click.argument("host", metavar="[HOST]", type=HostType(), required=False)
@click.argument("device", metavar="[DEVICE]", type=DeviceType(), required=False)
@click.option(
    "--descriptors",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan for a saved device; no server is asked.",
)
@click.option("--udc", metavar="NAME", help="Plan for this controller of this machine.")
@click.option("--udc-model", metavar="MODEL", help="Plan for a kind of controller.")
@click.option("--kernel", metavar="VERSION", help="Plan for this kernel, not the running one.")
@backend_option
@profile_option
@common_options
def plan(
    output: Output,
    host: HostAddress | None,
    device: DeviceSelector | None,
    descriptors: Path | None,
    udc: str | None,
    udc_model: str | None,
    kernel: str | None,
    backend: str | None,
    profile: Profile,
) -> int:
    """Show what the replica of a device would be like, and what would differ. Builds nothing.

    A device that HOST exports is imported for a moment, which resets it.
    """
    if (descriptors is None) == (host is None):
        raise click.UsageError("give HOST and DEVICE, or --descriptors FILE")
    if host is not None and device is None:
        raise click.UsageError("missing DEVICE")
    if udc is not None and udc_model is not None:
        raise click.UsageError("--udc and --udc-model exclude each other")
    profile = with_backend(profile, backend)
    version = KernelVersion.parse(kernel or os.uname().release)
    controller = _controller(udc) if udc_model is None else None
    model = controller.model if controller is not None else _model_asked_for(udc_model or "")
    tree = _saved(descriptors) if descriptors is not None else _live(host, device)
    if controller is not None and kernel is None:
        made = plan_for(tree, controller, profile)
    else:
        made = make_plan(
            tree,
            model,
            [each.declared() for each in BACKENDS.values()],
            profile=profile,
            kernel=version,
            udc_speed=controller.maximum_speed if controller else Speed.UNKNOWN,
        )
    where = controller.name if controller else "a controller of this kind"
    status = _status(made)
    if output.json:
        output.result(plan_as_json(tree, made, status, controller.name if controller else None))
    else:
        output.say(f"{describe(tree)} on {where} ({made.model}): {_VERDICTS[status]}")
        for line in plan_lines(tree, made, infos=bool(output.verbosity)):
            output.say(line)
    return status


_VERDICTS = {
    ExitStatus.DONE: "works",
    ExitStatus.DEGRADED: "works, degraded",
    ExitStatus.REFUSED: "refused",
}


def _status(made: Plan) -> ExitStatus:
    if made.refusals:
        return ExitStatus.REFUSED
    return ExitStatus.DEGRADED if made.with_severity(Severity.DEGRADED) else ExitStatus.DONE


def _model_asked_for(name: str) -> UdcModel:
    model = model_named(name)
    return replace(model, assumed=assumption(model))


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


def _saved(path: Path) -> DeviceTree:
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
    return replace(with_placeholder_strings(tree), speed=infer_speed(tree))


def _live(host: HostAddress | None, device: DeviceSelector | None) -> DeviceTree:
    assert host is not None
    assert device is not None
    found = asyncio.run(find_and_import(host, device))
    found.imported.close()
    return found.tree
