"""`gadgetip board provision`: what an image does first."""

import click

from gadgetip.appliance.provisioning_here import provision_here
from gadgetip.cli.image import need_image
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus, GadgetipError


@click.command(hidden=True)
@common_options
def provision(output: Output) -> int:
    """Take over gadgetip.toml from the boot partition; an image does this while it boots.

    What is wrong is written beside it, as gadgetip-problem.txt, and to standard output.
    """
    need_image("provision")
    done = provision_here()
    for line in done.page.splitlines():
        click.echo(safe(line))
    if done.failed:
        raise GadgetipError(f"not all could be done: {'; '.join(done.failed)}")
    if done.decided.problems:
        return ExitStatus.ERROR
    if not done.page:
        output.say("gadgetip.toml is taken over")
    return ExitStatus.DONE
