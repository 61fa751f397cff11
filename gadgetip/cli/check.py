"""`gadgetip check`: whether files that people write can be understood."""

from pathlib import Path

import click

from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus
from gadgetip.profiles import PROFILE_KIND, Profile
from gadgetip.server.policy import POLICY_KIND, Policy
from gadgetip.strict_toml import FileError, FileKind, load_document
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import CONFIG_KIND

EPILOG = """\b
Examples:
  gadgetip check /etc/gadgetip/gadgetip.toml
  gadgetip check /etc/gadgetip/policy.toml
  gadgetip check *.toml --json
"""

Content = Profile | Policy | Config

_KINDS: tuple[FileKind[Content], ...] = (PROFILE_KIND, POLICY_KIND, CONFIG_KIND)


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", type=click.Path(), nargs=-1, required=True)
@common_options
def check(output: Output, files: tuple[str, ...]) -> int:
    """Check configurations, profiles and policies: every fault of every file, with its line.

    Which of them a file is, its first key says: schema = "config/1", "profile/1" or "policy/1".
    """
    results = [(file, *_check(Path(file))) for file in files]
    if output.json:
        output.result([_as_json(*result) for result in results])
    for file, content, error in results:
        if content is not None:
            output.say(f"{file}: {_summary(content)}")
        elif error is not None and not output.json:
            # The faults are the result: also with --quiet.
            for fault in error.faults or (error,):
                click.echo(safe(str(fault)))
    return ExitStatus.ERROR if any(error for _, _, error in results) else ExitStatus.DONE


def _check(file: Path) -> tuple[Content | None, FileError | None]:
    try:
        return load_document(file, *_KINDS), None
    except FileError as error:
        return None, error


def _summary(content: Content) -> str:
    if isinstance(content, Profile):
        return f"a profile, {content.name}"
    if isinstance(content, Config):
        return f"a configuration, {len(content.attachments)} [[attachment]]"
    exports, denies = len(content.exports), len(content.denies)
    return f"a policy, {exports} [[export]] and {denies} [[deny]]"


def _as_json(file: str, content: Content | None, error: FileError | None) -> dict[str, object]:
    faults: list[dict[str, object]] = []
    if error is not None:
        faults = [{"line": fault.line, "problem": fault.problem} for fault in error.faults]
        faults = faults or [{"line": None, "problem": str(error)}]
    schema = None
    if content is not None:
        kinds = {Profile: PROFILE_KIND, Policy: POLICY_KIND, Config: CONFIG_KIND}
        schema = kinds[type(content)].schema
    return {"file": file, "schema": schema, "ok": error is None, "faults": faults}
