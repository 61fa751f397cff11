"""`gadgetip check`: whether files that people write can be understood."""

from dataclasses import dataclass
from pathlib import Path

import click

from gadgetip.cli.arguments import descriptors_option, udc_model_option, udc_option
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus
from gadgetip.profiles import AUTO, PROFILE_KIND, Profile, load_profile
from gadgetip.server.policy import POLICY_KIND, Policy
from gadgetip.strict_toml import FileError, FileKind, load_document
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import CONFIG_KIND, IMAGE_CONFIG_KIND
from gadgetip.supervisor.config_here import config_kind_here

EPILOG = """\b
Examples:
  gadgetip check /etc/gadgetip/gadgetip.toml
  gadgetip check /etc/gadgetip/policy.toml
  gadgetip check *.toml --json
  gadgetip check --image /media/me/GADGETIP/gadgetip.toml
  gadgetip check mine.toml --descriptors stick.bin --udc-model dwc2-bcm2835
"""

Content = Profile | Policy | Config


@dataclass(slots=True)
class _Checked:
    """A file, what it says or why it says nothing, and what is wrong with that."""

    file: str
    content: Content | None
    error: FileError | None = None
    faults: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return self.error is None and not self.faults


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", type=click.Path(), nargs=-1, required=True)
@click.option("--image", is_flag=True, help="Configurations are for an image, with [board].")
@descriptors_option("Check profiles against this saved device, too.")
@udc_option
@udc_model_option
@common_options
def check(
    output: Output,
    files: tuple[str, ...],
    image: bool,
    descriptors: Path | None,
    udc: str | None,
    udc_model: str | None,
) -> int:
    """Check configurations, profiles and policies: every fault of every file, with its line.

    Which of them a file is, its first key says: schema = "config/1", "profile/1", "policy/1".
    That a configuration names a profile that cannot be had on this machine is a warning.
    With --descriptors, a profile's wishes are held against the device: what they name has to be
    there, and the plan must not refuse it.
    """
    if descriptors is None and (udc or udc_model):
        raise click.UsageError("--udc and --udc-model go with --descriptors")
    config_kind = IMAGE_CONFIG_KIND if image else config_kind_here()
    results = [_check(file, config_kind) for file in files]
    for each in results:
        if isinstance(each.content, Config):
            _check_profiles_of(output, each.file, each.content)
    if descriptors is not None:
        _check_profiles(output, results, descriptors, udc, udc_model)
    if output.json:
        output.result([_as_json(each) for each in results])
    for each in results:
        if each.is_right and each.content is not None:
            output.say(f"{each.file}: {_summary(each.content)}")
        elif not output.json:
            # The faults are the result: also with --quiet.
            for line in _lines(each):
                click.echo(safe(line))
    wrong = not all(each.is_right for each in results)
    return ExitStatus.ERROR if wrong else ExitStatus.DONE


def _check(file: str, config_kind: FileKind[Config]) -> _Checked:
    kinds: tuple[FileKind[Content], ...] = (PROFILE_KIND, POLICY_KIND, config_kind)
    try:
        return _Checked(file, load_document(Path(file), *kinds))
    except FileError as error:
        return _Checked(file, None, error)


def _check_profiles_of(output: Output, file: str, config: Config) -> None:
    """Warn of profiles that attachments name and that cannot be had on this machine."""
    for each in config.attachments:
        if each.profile != AUTO:
            try:
                load_profile(each.profile)
            except FileError as error:
                output.warn(f"{file}: profile of {each.name}: {error}")


def _check_profiles(
    output: Output,
    results: list[_Checked],
    descriptors: Path,
    udc: str | None,
    udc_model: str | None,
) -> None:
    # Planning needs the gadget's libraries; a server, where policies are checked, has none.
    from gadgetip.cli.profile_check import DeviceCheck  # noqa: PLC0415 (see above)

    if not any(isinstance(each.content, Profile) or each.error for each in results):
        raise click.UsageError("--descriptors goes with a profile")
    device = DeviceCheck(descriptors, udc, udc_model)
    if device.not_planned:
        output.warn(f"not planned: {device.not_planned}")
    for each in results:
        if isinstance(each.content, Profile):
            each.faults = device.faults(each.content)
            for doubt in device.doubts(each.content):
                output.warn(f"{each.file}: {doubt}")


def _lines(checked: _Checked) -> list[str]:
    if checked.error is not None:
        return [str(fault) for fault in checked.error.faults or (checked.error,)]
    return [f"{checked.file}: {fault}" for fault in checked.faults]


def _summary(content: Content) -> str:
    if isinstance(content, Profile):
        return f"a profile, {content.name}"
    if isinstance(content, Config):
        return f"a configuration, {len(content.attachments)} [[attachment]]"
    exports, denies = len(content.exports), len(content.denies)
    return f"a policy, {exports} [[export]] and {denies} [[deny]]"


def _as_json(checked: _Checked) -> dict[str, object]:
    error = checked.error
    faults: list[dict[str, object]] = [
        {"line": None, "problem": problem} for problem in checked.faults
    ]
    if error is not None:
        faults = [{"line": fault.line, "problem": fault.problem} for fault in error.faults]
        faults = faults or [{"line": None, "problem": str(error)}]
    schema = None
    if checked.content is not None:
        kinds = {Profile: PROFILE_KIND, Policy: POLICY_KIND, Config: CONFIG_KIND}
        schema = kinds[type(checked.content)].schema
    return {"file": checked.file, "schema": schema, "ok": checked.is_right, "faults": faults}
