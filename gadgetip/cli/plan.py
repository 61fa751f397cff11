"""`gadgetip plan`: what a replica would be like, before anything is bound."""

from dataclasses import replace
from pathlib import Path

import click

from gadgetip.cli.arguments import (
    HOST_AND_DEVICE_HELP,
    AskedProfile,
    DeviceType,
    HostType,
    backend_option,
    descriptors_option,
    profile_option,
    udc_model_option,
    udc_option,
)
from gadgetip.cli.describing import describe
from gadgetip.cli.output import Output, common_options
from gadgetip.cli.plan_text import plan_as_json, plan_lines
from gadgetip.cli.planning import (
    MODELS_HELP,
    choose_target,
    device_asked_for,
    profile_and_plan,
)
from gadgetip.errors import ExitStatus
from gadgetip.gadget import Plan, Severity
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector

EPILOG = f"""{HOST_AND_DEVICE_HELP}
FILE is what sysfs calls `descriptors` or what `gadgetip inspect --save` wrote; the strings are not
in it, and the speed is inferred.

{MODELS_HELP}
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
@descriptors_option("Plan for a saved device; no server is asked.")
@udc_option
@udc_model_option
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
    profile: AskedProfile,
) -> int:
    """Show what the replica of a device would be like, and what would differ. Builds nothing.

    A device that HOST exports is imported for a moment, which resets it.
    """
    see_device = device_asked_for(host, device, descriptors)
    named = udc if udc_model is not None else udc or profile.udc
    target = choose_target(named, udc_model, kernel)
    seen = see_device()
    asked = replace(profile, backend=backend)
    _, target, made = profile_and_plan(seen, asked, named, target)
    controller = target.controller
    where = controller.name if controller else "a controller of this kind"
    status = _status(made)
    if output.json:
        name = controller.name if controller else None
        output.result(plan_as_json(seen.tree, made, status, name))
    else:
        output.say(f"{describe(seen.tree)} on {where} ({made.model}): {_VERDICTS[status]}")
        for line in plan_lines(seen.tree, made, infos=bool(output.verbosity)):
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
