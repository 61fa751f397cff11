"""`gadgetip list`: the devices of this machine, or what a server exports."""

import asyncio

import click

from gadgetip.cli import local_list
from gadgetip.cli.arguments import HostType
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.server.bindings import Bindings, load_bindings
from gadgetip.server.hardware_database import known_names
from gadgetip.server.inventory import read_inventory
from gadgetip.server.surroundings import ask_serve
from gadgetip.usb import Speed, class_code, class_name
from gadgetip.wire import DeviceRecord

_ASK_LIMIT_S = 5.0


@click.command(
    "list",
    epilog="""\b
Examples:
  gadgetip list                     what is plugged in here, and what is exported of it?
  gadgetip list nas.lan             what does that server export?
  gadgetip list nas.lan --json
""",
)
@click.argument("host", metavar="[HOST]", type=HostType(), required=False)
@click.option("-r", "--remote", type=HostType(), hidden=True)
@click.option("-l", "--local", is_flag=True, hidden=True)
@common_options
def list_command(
    output: Output, host: HostAddress | None, remote: HostAddress | None, local: bool
) -> None:
    """List the devices that are plugged in here, or those that HOST exports and nobody uses.

    Here, -v shows hubs too; who uses a device is told to root only. A server's list holds neither
    serial numbers nor the device's own names: `gadgetip inspect` shows those.
    """
    if host is not None and remote is not None:
        raise click.UsageError("HOST is given twice")
    address = host or remote
    if address is None:
        _list_local(output)
    elif local:
        raise click.UsageError("--local lists what is plugged in here: leave HOST out")
    else:
        _list_remote(output, address)


def _list_local(output: Output) -> None:
    devices, served = read_inventory(), _served(output)
    shown = [
        row
        for row in local_list.rows(devices, _bindings(output), served)
        if output.verbosity or row.device is None or not row.device.is_hub
    ]
    if output.json:
        output.result([local_list.as_json(row) for row in shown])
    elif not shown:
        output.say("no device is plugged in here (-v shows hubs)")
    else:
        output.table(local_list.HEADER, [local_list.cells(row) for row in shown])
    for note in local_list.notes(served):
        output.warn(note)


def _bindings(output: Output) -> Bindings:
    try:
        return load_bindings()
    except GadgetipError as error:
        output.warn(str(error))
        return Bindings()


def _served(output: Output) -> dict[str, object] | None:
    """What a running `serve` says; None where none runs, or where we may not ask."""
    try:
        return ask_serve({"command": "state"}, limit_s=_ASK_LIMIT_S)
    except GadgetipError as error:
        output.warn(str(error))
        return None


def _list_remote(output: Output, address: HostAddress) -> None:
    from gadgetip.remote import list_devices  # noqa: PLC0415 (not for this machine's own)

    devices = asyncio.run(list_devices(address))
    if output.json:
        output.result([_as_json(device) for device in devices])
    elif not devices:
        output.say(f"{address} exports nothing that is free")
    else:
        lines = [_cells(device) for device in devices]
        columns = 5 if any(line[-1] for line in lines) else 4  # no column of which nothing is known
        header = ("BUSID", "ID", "SPEED", "CLASS", "NAME")
        output.table(header[:columns], [line[:columns] for line in lines])


def _cells(device: DeviceRecord) -> tuple[str, ...]:
    return (
        device.busid,
        f"{device.idVendor:04x}:{device.idProduct:04x}",
        _speed_text(device),
        _class_text(device),
        " ".join(filter(None, known_names(device.idVendor, device.idProduct))),
    )


def _as_json(device: DeviceRecord) -> dict[str, object]:
    names = known_names(device.idVendor, device.idProduct)
    return {
        "busid": device.busid,
        "id": f"{device.idVendor:04x}:{device.idProduct:04x}",
        "bcdDevice": device.bcdDevice,
        "vendor_name": names.vendor,
        "product_name": names.product,
        "speed": _speed_text(device),
        "class": class_code(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol),
        "interfaces": [
            class_code(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
            for i in device.interfaces
        ],
        "path": device.path,
    }


def _speed_text(device: DeviceRecord) -> str:
    try:
        return Speed.from_wire(device.speed).mbps_text
    except GadgetipError:
        return f"speed {device.speed}"


def _class_text(device: DeviceRecord) -> str:
    if device.interfaces:
        return "; ".join(
            class_name(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
            for i in device.interfaces
        )
    if device.bDeviceClass == 0:
        return "(in its interfaces, which the server does not list)"
    return class_name(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol)
