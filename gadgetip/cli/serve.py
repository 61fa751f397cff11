"""`gadgetip serve`: export devices of this machine."""

import asyncio
import contextlib
from pathlib import Path

import click

from gadgetip.cli.output import Output, common_options, safe
from gadgetip.server.daemon import Daemon, ServeOptions
from gadgetip.server.narrator import Narrator

EPILOG = """\b
What is exported: devices that `gadgetip bind` marked, and those that a rule of
/etc/gadgetip/policy.toml names. SIGHUP reads the policy again. SIGTERM and Ctrl-C end the
sessions and give the devices back to this machine's drivers.

\b
USB/IP is neither encrypted nor authenticated. Without --listen, and without a policy that says
otherwise, only this machine itself can connect: that is enough for ssh -L or a VPN's address.

\b
Examples:
  gadgetip bind 0781:5581 && gadgetip serve
  gadgetip serve --listen 192.168.1.5 --listen fd00::5
  gadgetip serve --listen 0.0.0.0 --listen ::          everybody who reaches this machine
  gadgetip serve --policy ./lab.toml --stub userspace --port 3241
"""


@click.command(epilog=EPILOG)
@click.option(
    "--listen",
    metavar="ADDR",
    multiple=True,
    help="Listen on this name or address; may be repeated. Goes before the policy's.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="The TCP port; 3240 by default."
)
@click.option(
    "--stub",
    type=click.Choice(["auto", "kernel", "userspace"]),
    help="What carries the traffic: usbip-host, or libusb in this process; auto prefers the first.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The export policy; /etc/gadgetip/policy.toml if there is one.",
)
@common_options
def serve(
    output: Output, listen: tuple[str, ...], port: int | None, stub: str | None, policy: Path | None
) -> None:
    """Export devices of this machine to USB/IP clients, until Ctrl-C or SIGTERM.

    Stock clients (`usbip attach`) and gadgetip's get them alike.
    """
    options = ServeOptions(policy_file=policy, listen=listen, port=port, stub=stub)
    asyncio.run(_run(options, _Lines(output)))
    output.say("stopped")
    output.event("stopped")


async def _run(options: ServeOptions, narrator: Narrator) -> None:
    await Daemon(options, narrator).run()


class _Lines(Narrator):
    """Lines on standard output for what is ordinary, on standard error for what is not."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def tell(self, event: str, text: str, **fields: object) -> None:
        # Whoever read our output may have gone; that is no reason to stop serving.
        with contextlib.suppress(OSError):
            self._output.say(text)
            self._output.event(event, **fields)

    def warn(self, event: str, text: str, **fields: object) -> None:
        with contextlib.suppress(OSError):
            if event == "error":
                click.echo(safe(f"gadgetip: {text}"), err=True)
            else:
                self._output.warn(text)
            self._output.event(event, text=text, **fields)
