"""`gadgetip ports`: what is on the ports of this machine's virtual host controllers."""

import click

from gadgetip.attachment import Attached, Running, list_running, what_is_attached
from gadgetip.cli.output import Output, common_options
from gadgetip.vhci import NO_DEVICE, PortStatus, VhciPort, forget_stale, list_ports, local_name

_STATES = {
    PortStatus.FREE: "free",
    PortStatus.NOT_ASSIGNED: "starting",  # taken, and the device has no address yet
    PortStatus.USED: "in use",
    PortStatus.ERROR: "error",
}


@click.command(epilog="\b\nExamples:\n  gadgetip ports\n  gadgetip ports -v --json")
@common_options
def ports(output: Output) -> None:
    """List what is attached to this machine through vhci, from where, and what is awaited.

    What the stock usbip attached is listed as well. -v lists the free ports too.
    """
    attached = what_is_attached()
    taken = {each.port.number: each for each in attached if each.port is not None}
    everything = list_ports()
    kept = [each.port for each in list_running() if each.port is not None]
    forget_stale(everything, spare=kept)
    shown = [p for p in everything if p.number in taken or output.verbosity]
    awaited = [each.running for each in attached if each.port is None and each.running is not None]
    awaited = [each for each in awaited if each.to == "vhci"]
    if output.json:
        rows = [_as_json(port, taken.get(port.number)) for port in shown]
        output.result(rows)
        return
    if not everything:
        output.say("nothing is attached: the kernel module vhci_hcd is not loaded")
    elif not shown:
        output.say(f"nothing is attached; {len(everything)} ports are free (-v lists them)")
    else:
        output.table(
            ("PORT", "CONTROLLER", "STATE", "SPEED", "REMOTE", "LOCAL BUSID", "DEVICE"),
            [_as_row(port, taken.get(port.number)) for port in shown],
        )
    for each in awaited:
        output.say(_awaited_text(each))


def _as_row(port: VhciPort, attached: Attached | None) -> tuple[str, ...]:
    hub = "SuperSpeed" if port.is_superspeed else "high-speed"
    if attached is None:
        return (f"{port.number:02}", f"vhci_hcd.{port.controller}", "free", f"({hub})", "", "", "")
    known, here = attached.remembered, local_name(port.local_busid)
    return (
        f"{port.number:02}",
        f"vhci_hcd.{port.controller}",
        _STATES[port.status] + (" (kept)" if attached.running else ""),
        port.speed.mbps_text if port.status is PortStatus.USED else f"({hub})",
        f"{known.server} {known.busid}" if known else "?",
        port.local_busid if port.local_busid != NO_DEVICE else "",
        f"{here.id} {here.name}".strip() if here else "",
    )


def _as_json(port: VhciPort, attached: Attached | None) -> dict[str, object]:
    known = attached.remembered if attached else None
    run = attached.running if attached else None
    here = local_name(port.local_busid)
    used = port.status is PortStatus.USED
    return {
        "port": port.number,
        "controller": f"vhci_hcd.{port.controller}",
        "superspeed": port.is_superspeed,
        "state": _STATES[port.status],
        "speed": port.speed.mbps_text if used else None,
        "devid": port.devid if used else None,
        "local_busid": port.local_busid if port.local_busid != NO_DEVICE else None,
        "id": here.id if here else None,
        "remote": {"host": known.host, "port": known.port, "busid": known.busid} if known else None,
        "device": known.selector if known else None,
        "started": known.started if known else None,
        "kept_by": run.pid if run else None,
    }


def _awaited_text(running: Running) -> str:
    return f"awaited: {running.device} of {running.server}, by process {running.pid}"
