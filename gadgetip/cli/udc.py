"""`gadgetip udc`: the device controllers of this machine."""

import click

from gadgetip.cli.output import Output, common_options
from gadgetip.gadget import list_udcs


@click.command(epilog="\b\nExample:\n  gadgetip udc --json")
@common_options
def udc(output: Output) -> None:
    """List this machine's USB device controllers: speed, state, owner, model."""
    udcs = list_udcs()
    if output.json:
        output.result(
            [
                {
                    "name": u.name,
                    "state": u.state,
                    "current_speed": u.current_speed.kernel_name,
                    "maximum_speed": u.maximum_speed.kernel_name,
                    "owner": u.owner,
                    "model": u.model.name,
                }
                for u in udcs
            ]
        )
    elif not udcs:
        output.say("this machine has no USB device controller")
    else:
        output.table(
            ("NAME", "MODEL", "MAXIMUM SPEED", "STATE", "OWNER"),
            [
                (u.name, u.model.name, u.maximum_speed.kernel_name, u.state, u.owner or "(free)")
                for u in udcs
            ],
        )
