"""`gadgetip attach`: one attachment, in the foreground or handed to the kernel."""

from dataclasses import replace

import click
from click.core import ParameterSource

from gadgetip.attachment import (
    Bound,
    Imported,
    Listener,
    PatientSearch,
    Registration,
    Search,
    Traffic,
    attach_to_gadget,
    attach_to_vhci,
    keep_attached,
    search_once,
    stay_on_vhci,
)
from gadgetip.attachment.backoff import MAXIMUM_S, MINIMUM_S, Backoff
from gadgetip.cli.arguments import (
    HOST_AND_DEVICE_HELP,
    AskedProfile,
    DeviceType,
    HostType,
    backend_option,
    hold_option,
    one_of,
    profile_option,
    pump_option,
)
from gadgetip.cli.describing import describe
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import DeviceUnpluggedError, GadgetipError, LinkLostError
from gadgetip.gadget import Severity
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.profiles import GENERIC
from gadgetip.pump import PumpChoice, VhciPump, vhci_pump

EPILOG = f"""{HOST_AND_DEVICE_HELP}
\b
Examples:
  gadgetip attach nas.lan 0781:5581
  gadgetip attach nas.lan 1-1.4 --udc 20980000.usb
  gadgetip attach nas.lan 0483:5740 --backend gadgetfs
  gadgetip attach nas.lan 0403:6001 --profile ./serial.toml
  gadgetip attach [fd00::7]:3241 serial=4C53* --to vhci
  gadgetip attach nas.lan 0483:5740 --to vhci --wait --keep
  gadgetip attach nas.lan 0781:5581 --to vhci --pump native
  gadgetip attach nas.lan 0781:5581 --keep --hold 10
  gadgetip attach nas.lan 0781:5581 --pump python
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
@pump_option
@click.option("--wait", is_flag=True, help="Wait until the server has the device, and is there.")
@click.option("--keep", is_flag=True, help="Attach again after every loss, until Ctrl-C.")
@hold_option
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
    profile: AskedProfile,
    pump: str | None,
    wait: bool,
    keep: bool,
    hold: float | None,
) -> None:
    """Attach a device that HOST exports.

    To a gadget, it is rebuilt on a USB device controller and kept until Ctrl-C, until it is
    unplugged at the server, or until the link is lost. To vhci, the kernel takes it over and the
    command returns; with --keep it stays, and Ctrl-C detaches the device. It stays as well with
    --pump native, which makes disks that are far away faster.

    With --hold the host keeps its disk, keyboard, mouse or serial port when the link is lost, and
    goes on where it was if the device is back in time.
    """
    stock_spelling = remote is not None or busid is not None
    address = one_of(host, remote, "HOST")
    selector = one_of(device, busid, "DEVICE")
    to = sink or ("vhci" if stock_spelling else "gadget")
    if to == "gadget" and pump == VhciPump.KERNEL:
        raise click.UsageError("--pump kernel goes with --to vhci")
    stays = keep
    if to == "vhci":
        _refuse_gadget_options()
        stays = keep or vhci_pump(pump) is not VhciPump.KERNEL
        if not wait and not stays:
            _Narrator(output, address, selector).attached(attach_to_vhci(address, selector))
            return
    with Registration(to, str(address), str(selector), udc) as registration:
        narrator = _Narrator(output, address, selector, registration)
        first: Search = PatientSearch(narrator.waiting) if wait else search_once
        if to == "vhci" and not stays:
            narrator.attached(attach_to_vhci(address, selector, first))
            return

        def once(search: Search) -> None:
            if to == "vhci":
                stay_on_vhci(
                    address,
                    selector,
                    search,
                    narrator.attached,
                    narrator.traffic,
                    pump=vhci_pump(pump),
                    on_notice=narrator.notice,
                )
            else:
                wishes = replace(profile, backend=backend, hold=hold)
                attach_to_gadget(
                    address,
                    selector,
                    udc or wishes.udc,
                    wishes,
                    narrator,
                    search,
                    PumpChoice(pump or PumpChoice.AUTO),
                )

        try:
            if keep:
                keep_attached(
                    once,
                    first,
                    on_lost=narrator.lost,
                    on_waiting=narrator.waiting,
                    backoff=Backoff(*profile.pauses_s(MINIMUM_S, MAXIMUM_S)),
                )
            else:
                once(first)
        except KeyboardInterrupt:
            pass  # while it was awaited: nothing is attached
    output.say("stopped; the device is detached" if to == "vhci" else _REPLICA_STOPPED)
    output.event("stopped")


_GADGET_OPTIONS = ("udc", "backend", "profile", "hold")


def _refuse_gadget_options() -> None:
    """The kernel's own client takes a device as it is."""
    context = click.get_current_context()
    for name in _GADGET_OPTIONS:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} goes with --to gadget")


_REPLICA_STOPPED = "stopped; the replica is unplugged"
_KINDS = {DeviceUnpluggedError: "unplugged", LinkLostError: "link lost"}


class _Narrator(Listener):
    """Tells the person at the terminal, or the program behind --json, what happens."""

    def __init__(
        self,
        output: Output,
        address: HostAddress,
        selector: DeviceSelector,
        registration: Registration | None = None,
    ) -> None:
        self._output = output
        self._address = address
        self._selector = selector
        self._registration = registration
        self._awaited_because = ""

    def waiting(self, error: GadgetipError, pause_s: float) -> None:
        """There is no device yet; the same reason is told once."""
        if str(error) == self._awaited_because:
            self._output.detail(f"asking again in {pause_s:.1f} s")
            return
        self._awaited_because = str(error)
        self._output.say(f"waiting for {self._selector}: {error}")
        self._output.event("waiting", reason=str(error), retry_in_s=round(pause_s, 3))

    def lost(self, error: GadgetipError) -> None:
        """The device is gone, and will be attached again."""
        self._awaited_because = ""
        if self._registration is not None:
            self._registration.lost()
        self._output.say(f"lost: {error}; attaching it again when it is there")
        self._output.event("lost", reason=_KINDS.get(type(error), "error"), text=str(error))

    def attached(self, imported: Imported) -> None:
        """The kernel has it on a vhci port."""
        port, record = imported.port.number, imported.found.imported.record
        self._awaited_because = ""
        if self._registration is not None:
            self._registration.attached(record.busid, port=port)
        self._output.say(
            f"{describe(imported.found.tree)} from {self._address} ({record.busid}) is on vhci "
            f"port {port} of this machine"
        )
        self._output.event("attached", port=port, server=str(self._address), busid=record.busid)

    def bound(self, bound: Bound) -> None:
        plan, record = bound.plan, bound.found.imported.record
        self._awaited_because = ""
        if self._registration is not None:
            self._registration.attached(
                record.busid, udc=bound.udc.name, window_urbs=bound.window_urbs
            )
        self._output.say(
            f"{describe(bound.found.tree)} from {self._address} ({record.busid}) is on "
            f"{bound.udc.name} through {plan.backend} at {plan.speed.mbps_text}; {_summary(bound)}"
        )
        if plan.profile != GENERIC.name:
            self._output.say(f"  profile: {plan.profile}")
        for deviation in plan.deviations:
            line = f"  {deviation.severity}: {deviation}"
            if deviation.severity is Severity.INFO:
                self._output.detail(line)
            else:
                self._output.say(line)
        self._output.event(
            "bound",
            udc=bound.udc.name,
            profile=plan.profile,
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

    def held(self, reason: str, limit_s: float) -> None:
        self._awaited_because = ""
        self._output.say(f"{reason}; the host keeps its device for {limit_s:g} s")
        self._output.event("held", reason=reason, limit_s=limit_s)

    def resumed(self, after_s: float) -> None:
        self._awaited_because = ""
        self._output.say(f"the device is back after {after_s:.1f} s, and the host goes on")
        self._output.event("resumed", after_s=round(after_s, 3))

    def traffic(self, traffic: Traffic) -> None:
        if self._registration is not None:
            self._registration.moved(traffic)

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
