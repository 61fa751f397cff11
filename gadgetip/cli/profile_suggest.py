"""`gadgetip profile suggest`: a profile for the device at hand."""

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
from gadgetip.cli.new_file import name_of, new_file_option, write_new
from gadgetip.cli.output import Output, common_options
from gadgetip.cli.planning import (
    MODELS_HELP,
    choose_target,
    device_asked_for,
    profile_and_plan,
)
from gadgetip.cli.suggestion import Suggestion, suggested_name
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.profiles import decode_profile, profile_files

EPILOG = f"""{HOST_AND_DEVICE_HELP}
{MODELS_HELP}
\b
Examples:
  gadgetip profile suggest nas.lan 0483:5740
  gadgetip profile suggest nas.lan 0483:5740 -o /etc/gadgetip/profiles/stm32.toml
  gadgetip profile suggest --descriptors webcam.bin --udc-model dwc2-bcm2835
"""


@click.command(epilog=EPILOG)
@click.argument("host", metavar="[HOST]", type=HostType(), required=False)
@click.argument("device", metavar="[DEVICE]", type=DeviceType(), required=False)
@descriptors_option("Suggest for a saved device; no server is asked.")
@udc_option
@udc_model_option
@backend_option
@profile_option
@new_file_option
@common_options
def suggest(
    output: Output,
    host: HostAddress | None,
    device: DeviceSelector | None,
    descriptors: Path | None,
    udc: str | None,
    udc_model: str | None,
    backend: str | None,
    profile: AskedProfile,
    new_file: Path | None,
) -> None:
    """Write a profile for a device: ready to use, with what the plan found in comments.

    It starts from the profile that the device has today. A device that HOST exports is imported for
    a moment, which resets it.
    """
    see_device = device_asked_for(host, device, descriptors)
    named = udc if udc_model is not None else udc or profile.udc
    target = choose_target(named, udc_model)
    seen = see_device()
    asked = replace(profile, backend=backend).as_written
    base, _, plan = profile_and_plan(seen, asked, named, target)
    has_strings = descriptors is None
    tree = seen.tree
    ids = f"{tree.device.idVendor:04x}:{tree.device.idProduct:04x}"
    taken = {each.name for each in profile_files()}
    name = name_of(new_file) or suggested_name(tree, taken, has_strings=has_strings)
    title = describe(tree) if has_strings else f"a device ({ids})"
    text = Suggestion(name, title, tree, base, plan, has_strings).text()
    decode_profile(text.encode(), "suggestion")
    if plan.refusals:
        output.warn(f"this device is refused as it is: {plan.refusals[0]}")
    write_new(output, text, new_file, {"name": name, "profile": text})
