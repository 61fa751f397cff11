"""`gadgetip board watch`: the lamp and the watchdog of an image."""

import signal
import threading
from types import FrameType

import click

from gadgetip.appliance.watching import watch as go_on
from gadgetip.cli.image import need_image
from gadgetip.cli.output import Output, common_options


@click.command(hidden=True)
@common_options
def watch(output: Output) -> None:
    """Show on the lamp how the board is, and feed the hardware watchdog while it is well."""
    need_image("watch")
    ended = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    go_on(wait=ended.wait, say=output.say)
