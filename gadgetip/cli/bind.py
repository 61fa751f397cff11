"""`gadgetip bind`, `gadgetip unbind`: what this machine exports by hand."""

import click

from gadgetip.cli.arguments import DeviceType
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import ExitStatus
from gadgetip.matching import DeviceSelector
from gadgetip.server.binding_by_hand import Outcome, bind_devices, unbind_devices

DEVICE_HELP = """\b
DEVICE  bus id (1-1.4, or the name it is published as) | VID:PID | serial=S | name=GLOB
        | class=08/06/50; it has to mean one device
"""

BIND_EPILOG = f"""{DEVICE_HELP}
\b
Examples:
  gadgetip bind 1-1.4
  gadgetip bind 0781:5581 --once      until the next reboot
  gadgetip bind serial=4C53* --force  although it is mounted
  gadgetip bind --all
"""
UNBIND_EPILOG = f"""{DEVICE_HELP}
\b
Examples:
  gadgetip unbind 1-1.4
  gadgetip unbind serial=4C53*        also while it is not plugged in
  gadgetip unbind --all
"""


@click.command(epilog=BIND_EPILOG)
@click.argument("devices", metavar="DEVICE...", type=DeviceType(), nargs=-1)
@click.option("-b", "--busid", type=DeviceType(), multiple=True, hidden=True)
@click.option("--all", "everything", is_flag=True, help="Every device that may be exported.")
@click.option("--force", is_flag=True, help="Even if this machine uses it, a mounted disk say.")
@click.option("--once", is_flag=True, help="Until the next reboot only.")
@common_options
def bind(
    output: Output,
    devices: tuple[DeviceSelector, ...],
    busid: tuple[DeviceSelector, ...],
    everything: bool,
    force: bool,
    once: bool,
) -> int:
    """Mark devices of this machine for export.

    The mark goes by the device's id and serial number, or by its id and port if it has no serial
    number. It is kept over unplugging and reboots. `gadgetip serve` exports what is marked.
    """
    selectors = _selectors(devices, busid, everything=everything)
    outcomes = bind_devices(selectors, everything=everything, force=force, once=once)
    return _tell(output, outcomes, "nothing here may be exported")


@click.command(epilog=UNBIND_EPILOG)
@click.argument("devices", metavar="DEVICE...", type=DeviceType(), nargs=-1)
@click.option("-b", "--busid", type=DeviceType(), multiple=True, hidden=True)
@click.option("--all", "everything", is_flag=True, help="Everything that is bound.")
@common_options
def unbind(
    output: Output,
    devices: tuple[DeviceSelector, ...],
    busid: tuple[DeviceSelector, ...],
    everything: bool,
) -> int:
    """Take devices back: their own drivers have them again.

    A client that uses one loses it. What the stock `usbip bind` bound is taken back too.
    """
    selectors = _selectors(devices, busid, everything=everything)
    outcomes = unbind_devices(selectors, everything=everything)
    return _tell(output, outcomes, "nothing is bound")


def _selectors(
    devices: tuple[DeviceSelector, ...], busids: tuple[DeviceSelector, ...], *, everything: bool
) -> tuple[DeviceSelector, ...]:
    selectors = (*devices, *busids)
    if everything and selectors:
        raise click.UsageError("--all goes without DEVICE")
    if not everything and not selectors:
        raise click.UsageError("missing DEVICE, or --all")
    return selectors


def _tell(output: Output, outcomes: list[Outcome], nothing: str) -> int:
    if output.json:
        output.result([_as_json(outcome) for outcome in outcomes])
    elif not outcomes:
        output.say(nothing)
    for outcome in outcomes:
        if outcome.problem and outcome.exit_status is not ExitStatus.DONE:
            output.warn(f"{_sentence(outcome)}: {outcome.problem}")
        else:
            output.say("; ".join(filter(None, (_sentence(outcome), outcome.note))))
    return max((outcome.exit_status for outcome in outcomes), default=ExitStatus.DONE)


def _sentence(outcome: Outcome) -> str:
    did = f"{outcome.subject} is {outcome.did}"
    if outcome.did == "refused":
        return f"{did}: {outcome.problem}"
    if outcome.did in {"bound", "already bound"}:
        if outcome.mark and outcome.mark.once:
            did += " until the next reboot"
        if outcome.published_as:
            did += f" and exported as {outcome.published_as}"
    return did


def _as_json(outcome: Outcome) -> dict[str, object]:
    device, mark = outcome.device, outcome.mark
    return {
        "device": outcome.subject,
        "busid": device.busid if device else mark.busid if mark else None,
        "id": device.id if device else mark.id if mark else None,
        "serial": device.serial if device else mark.serial if mark else None,
        "outcome": outcome.did,
        "by": None if mark is None else "serial" if mark.serial else "busid",
        "once": mark.once if mark else None,
        "forced": mark.forced if mark else None,
        "published_as": outcome.published_as,
        "note": outcome.note,
        "problem": outcome.problem,
    }
