"""`gadgetip attach`: one attachment in the foreground."""

import click

from gadgetip.attachment import Bound, Listener, attach_to_gadget, attach_to_vhci
from gadgetip.cli.arguments import (
    HOST_AND_DEVICE_HELP,
    DeviceType,
    HostType,
    backend_option,
    one_of,
    profile_option,
    with_backend,
)
from gadgetip.cli.output import Output, common_options, describe
from gadgetip.gadget import Severity
from gadgetip.link import HostAddress
from gadgetip.profiles import Profile
from gadgetip.remote import DeviceSelector

EPILOG = f"""{HOST_AND_DEVICE_HELP}
\b
Examples:
  gadgetip attach nas.lan 0781:5581
  gadgetip attach nas.lan 1-1.4 --udc 20980000.usb
  gadgetip attach nas.lan 0483:5740 --backend gadgetfs
  gadgetip attach nas.lan 0403:6001 --profile ./serial.toml
  gadgetip attach [fd00::7]:3241 serial=4C53* --to vhci
"""


@click.command(epilog=EPILOG)
@click.argument("host", metavar="HOST", type=HostType(), required=False)
@click.argument("device", metavar="DEVICE", type=DeviceType(), required=False)
@click.option("-r", "--remote", type=HostType(), hidden=True)
@click.option("-b", "--busid", type=DeviceType(), hidden=True)
@click.option(
    "--to",
    "sink",
    type=click.Choice(["gadget", "vhci"]),
    help="Where the device goes: this machine's USB device controller, or its own USB stack.",
)
@click.option("--udc", metavar="NAME", help="The controller; needed where several are free.")
@backend_option
@profile_option
@common_options
def attach(
    output: Output,
    host: HostAddress | None,
    device: DeviceSelector | None,
    remote: HostAddress | None,
    busid: DeviceSelector | None,
    sink: str | None,
    udc: str | None,
    backend: str | None,
    profile: Profile,
) -> None:
    """Attach a device that HOST exports.

    To a gadget, it is rebuilt on a USB device controller and kept until Ctrl-C, until it is
    unplugged at the server, or until the link is lost. To vhci, the kernel takes it over and the
    command returns.
    """
    stock_spelling = remote is not None or busid is not None
    address = one_of(host, remote, "HOST")
    selector = one_of(device, busid, "DEVICE")
    if (sink or ("vhci" if stock_spelling else "gadget")) == "vhci":
        if udc is not None:
            raise click.UsageError("--udc goes with --to gadget")
        if backend is not None:
            raise click.UsageError("--backend goes with --to gadget")
        _attach_vhci(output, address, selector)
    else:
        wishes = with_backend(profile, backend)
        attach_to_gadget(address, selector, udc, wishes, _Narrator(output, address))
        output.say("stopped; the replica is unplugged")
        output.event("stopped")


def _attach_vhci(output: Output, address: HostAddress, selector: DeviceSelector) -> None:
    imported = attach_to_vhci(address, selector)
    port = imported.port.number
    output.say(
        f"{describe(imported.found.tree)} from {address} is on vhci port {port} of this machine"
    )
    output.event("attached", port=port, server=str(address))


class _Narrator(Listener):
    """Tells the person at the terminal, or the program behind --json, what happens."""

    def __init__(self, output: Output, address: HostAddress) -> None:
        self._output = output
        self._address = address

    def bound(self, bound: Bound) -> None:
        plan, record = bound.plan, bound.found.imported.record
        self._output.say(
            f"{describe(bound.found.tree)} from {self._address} ({record.busid}) is on "
            f"{bound.udc.name} through {plan.backend} at {plan.speed.mbps_text}; {_summary(bound)}"
        )
        for deviation in plan.deviations:
            line = f"  {deviation.severity}: {deviation}"
            if deviation.severity is Severity.INFO:
                self._output.detail(line)
            else:
                self._output.say(line)
        self._output.event(
            "bound",
            udc=bound.udc.name,
            backend=plan.backend,
            speed=plan.speed.kernel_name,
            server=str(self._address),
            busid=record.busid,
            id=f"{bound.found.tree.device.idVendor:04x}:{bound.found.tree.device.idProduct:04x}",
            deviations=[
                {"severity": d.severity, "subject": d.subject, "reason": d.reason}
                for d in plan.deviations
            ],
        )

    def host(self, text: str) -> None:
        self._output.detail(text)
        self._output.event("host", text=text)

    def notice(self, text: str) -> None:
        self._output.warn(text)
        self._output.event("notice", text=text)


def _summary(bound: Bound) -> str:
    plan = bound.plan
    degraded = len(plan.with_severity(Severity.DEGRADED))
    cosmetic = len(plan.with_severity(Severity.INFO))
    if not degraded and not cosmetic:
        return "nothing differs from the device"
    parts = []
    if degraded:
        parts.append(f"{degraded} limitation{'s' * (degraded > 1)} (below)")
    if cosmetic:
        parts.append(f"{cosmetic} cosmetic difference{'s' * (cosmetic > 1)} (-v lists them)")
    return "it differs in " + " and ".join(parts)
