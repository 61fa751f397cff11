"""`gadgetip list HOST`: what a server exports."""

import asyncio

import click

from gadgetip.cli.arguments import HostType, one_of
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.remote import list_devices
from gadgetip.usb import Speed, class_code, class_name
from gadgetip.wire import DeviceRecord


@click.command(
    "list", epilog="\b\nExamples:\n  gadgetip list nas.lan\n  gadgetip list nas.lan --json"
)
@click.argument("host", metavar="HOST", type=HostType(), required=False)
@click.option("-r", "--remote", type=HostType(), hidden=True)
@common_options
def list_command(output: Output, host: HostAddress | None, remote: HostAddress | None) -> None:
    """List what HOST exports and nobody uses.

    A server's list holds neither serial numbers nor names: `gadgetip inspect` shows those.
    """
    address = one_of(host, remote, "HOST")
    devices = asyncio.run(list_devices(address))
    if output.json:
        output.result([_as_json(device) for device in devices])
    elif not devices:
        output.say(f"{address} exports nothing that is free")
    else:
        output.table(
            ("BUSID", "ID", "SPEED", "CLASS"),
            [
                (
                    device.busid,
                    f"{device.idVendor:04x}:{device.idProduct:04x}",
                    _speed_text(device),
                    _class_text(device),
                )
                for device in devices
            ],
        )


def _as_json(device: DeviceRecord) -> dict[str, object]:
    return {
        "busid": device.busid,
        "id": f"{device.idVendor:04x}:{device.idProduct:04x}",
        "bcdDevice": device.bcdDevice,
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
