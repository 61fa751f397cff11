"""`gadgetip detach`: take off what is attached to this machine."""

import click

from gadgetip.attachment import Attached, choose, what_is_attached
from gadgetip.attachment import detach as take_off
from gadgetip.cli.arguments import one_of
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError
from gadgetip.vhci import list_ports

EPILOG = """\b
PORT   a port of `gadgetip ports`
BUSID  the device's bus id, at the server or here; DEVICE as it was written, while it is awaited
UDC    the controller of an attachment that runs in another terminal

\b
Examples:
  gadgetip detach 0
  gadgetip detach 1-1.4
  gadgetip detach 20980000.usb
  gadgetip detach --all
"""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="PORT|BUSID|UDC", required=False)
@click.option("-p", "--port", "stock_port", metavar="PORT", hidden=True)
@click.option(
    "--all", "everything", is_flag=True, help="Everything that is attached but is not supervised."
)
@common_options
def detach(output: Output, what: str | None, stock_port: str | None, everything: bool) -> None:
    """Detach a device from this machine, and end the attachment that keeps it.

    Detaching what is not attached any more is no error.
    """
    if everything or what == "all":
        if (what not in {None, "all"}) or stock_port is not None:
            raise click.UsageError("--all goes alone")
        _detach_all(output)
        return
    text = one_of(what, stock_port, "PORT, BUSID or UDC")
    attached = what_is_attached()
    chosen = choose(attached, text)
    if chosen is None:
        _require_port(int(text))
        output.say(f"nothing is attached to port {int(text)}")
    else:
        _detach_one(output, chosen)


def _detach_all(output: Output) -> None:
    everything = what_is_attached()
    attached = []
    for each in everything:
        if each.running is not None and each.running.supervised is not None:
            output.say(f"left alone: {each}; `gadgetip stop` ends that")
        else:
            attached.append(each)
    if not everything:
        output.say("nothing is attached")
    failure: GadgetipError | None = None
    for each in attached:
        try:
            _detach_one(output, each)
        except GadgetipError as error:
            if failure is not None:
                output.warn(str(failure))
            failure = error
    if failure is not None:
        raise failure


def _detach_one(output: Output, attached: Attached) -> None:
    words = str(attached)
    take_off(attached)
    output.say(f"detached: {words}")
    output.event(
        "detached",
        port=attached.port.number if attached.port else None,
        udc=attached.running.udc if attached.running else None,
        text=words,
    )


def _require_port(number: int) -> None:
    numbers = [port.number for port in list_ports()]
    if numbers and number not in numbers:
        raise GadgetipError(
            f"vhci_hcd has no port {number}: it has {len(numbers)}, 0 to {max(numbers)}"
        )
