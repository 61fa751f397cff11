"""`gadgetip doctor`: whether this machine has what it needs, and what to do where it has not."""

import click

from gadgetip.cli.arguments import HostType
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.diagnosis import Diagnosis, Finding, Role, State, diagnose, exit_status, worst
from gadgetip.link import HostAddress

EPILOG = """\b
ROLE is server, board or client; without it, every one that this machine can play is looked at.
HOST are servers to ask, beside those that /etc/gadgetip/gadgetip.toml names. Nothing is changed.
docs/doctor.md explains each line.

\b
Exit status: 0 nothing is missing (there may be notes and warnings); 6 a prerequisite is missing.

\b
Examples:
  sudo gadgetip doctor
  sudo gadgetip doctor board nas.lan 192.168.1.20:3241
  gadgetip doctor server --json
"""

_MARKS = {
    State.OK: "ok     ",
    State.NOTE: "note   ",
    State.WARNING: "warning",
    State.FAILED: "FAILED ",
}
_COLOURS = {State.NOTE: "cyan", State.WARNING: "yellow", State.FAILED: "red"}


def _roles(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers: a role comes first."""
    given = context.params.get("arguments")
    return [] if given else [role for role in Role if role.startswith(incomplete)]


@click.command(epilog=EPILOG)
@click.argument("arguments", metavar="[ROLE] [HOST...]", nargs=-1, shell_complete=_roles)
@common_options
def doctor(output: Output, arguments: tuple[str, ...]) -> int:
    """Check every prerequisite of a server, a board or a vhci client."""
    role, hosts = _role_and_hosts(arguments)
    diagnosis = diagnose(role, [str(host) for host in hosts])
    if output.json:
        output.result(as_json(diagnosis))
    else:
        for finding in diagnosis.findings:
            _show(output, finding)
        output.say(_summary(diagnosis))
    return exit_status(diagnosis.findings)


def _role_and_hosts(arguments: tuple[str, ...]) -> tuple[Role | None, list[HostAddress]]:
    """The first argument may be a role; a server of such a name is written with its port."""
    role = Role(arguments[0]) if arguments and arguments[0] in set(Role) else None
    rest = arguments[1:] if role is not None else arguments
    return role, [HostType().convert(each, None, click.get_current_context()) for each in rest]


def as_json(diagnosis: Diagnosis) -> dict[str, object]:
    """The stable shape of `doctor --json`."""
    return {
        "roles": [str(role) for role in diagnosis.roles],
        "worst": str(worst(diagnosis.findings)),
        "findings": [finding.as_json() for finding in diagnosis.findings],
    }


def _show(output: Output, finding: Finding) -> None:
    if output.quiet and finding.state in {State.OK, State.NOTE}:
        return
    mark = click.style(_MARKS[finding.state], fg=_COLOURS.get(finding.state))
    # The findings are the result: what is wrong is also told with --quiet.
    click.echo(f"{mark} {safe(f'{finding.role}, {finding.subject}: {finding.found}')}")
    if finding.remedy:
        click.echo(f"        -> {safe(finding.remedy)}")


def _summary(diagnosis: Diagnosis) -> str:
    counts = {
        state: sum(finding.state is state for finding in diagnosis.findings)
        for state in (State.FAILED, State.WARNING, State.NOTE)
    }
    roles = ", ".join(diagnosis.roles)
    return (
        f"looked at this machine as {roles}: {counts[State.FAILED]} failed, "
        f"{counts[State.WARNING]} warnings, {counts[State.NOTE]} notes"
    )
