"""`gadgetip completion SHELL`: the script that makes a shell complete gadgetip's commands."""

import click
from click.shell_completion import get_completion_class


@click.command(epilog="\b\nExample:\n  gadgetip completion bash > /etc/bash_completion.d/gadgetip")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    click.echo(kind(root.command, {}, "gadgetip", "_GADGETIP_COMPLETE").source())
