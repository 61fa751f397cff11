"""`gadgetip inspect HOST DEVICE`: what a device says of itself."""

import asyncio
from pathlib import Path

import click

from gadgetip.cli.arguments import HOST_AND_DEVICE_HELP, DeviceType, HostType
from gadgetip.cli.describing import describe
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.remote import find_and_import
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    DeviceTree,
    Endpoint,
    build_device_file,
    class_code,
    class_name,
    descriptor_name,
    printable,
)

EPILOG = f"""{HOST_AND_DEVICE_HELP}
\b
Examples:
  gadgetip inspect nas.lan 1-1.4
  gadgetip inspect nas.lan serial=4C53* --save stick.descriptors
"""


@click.command(epilog=EPILOG)
@click.argument("host", metavar="HOST", type=HostType())
@click.argument("device", metavar="DEVICE", type=DeviceType())
@click.option(
    "--save",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the raw descriptors to FILE, in the form of sysfs's `descriptors`.",
)
@common_options
def inspect(output: Output, host: HostAddress, device: DeviceSelector, save: Path | None) -> None:
    """Show the descriptors and strings of a device that HOST exports.

    The device is imported for a moment, which resets it; one that is in use is refused.
    """
    found = asyncio.run(find_and_import(host, device))
    found.imported.close()
    tree = found.tree
    if save is not None:
        try:
            save.write_bytes(build_device_file(tree))
        except OSError as error:
            raise GadgetipError(f"cannot write {save}: {error.strerror}") from None
    if output.json:
        output.result(_as_json(tree, found.imported.record.busid))
        return
    output.say(f"{describe(tree)} at {host}, {found.imported.record.busid}, {tree.speed.mbps_text}")
    for line in _device_lines(tree):
        output.say(line)


def _device_lines(tree: DeviceTree) -> list[str]:
    device = tree.device
    triple = (device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol)
    lines = [
        f"device      bcdUSB {device.bcdUSB:04x}, class {class_code(*triple)}"
        + (f" ({class_name(*triple)})" if any(triple) else " (by interface)")
        + f", bMaxPacketSize0 {device.max_packet0}, bcdDevice {device.bcdDevice:04x}",
    ]
    for name, index in (
        ("manufacturer", device.iManufacturer),
        ("product", device.iProduct),
        ("serial", device.iSerialNumber),
    ):
        if index:
            lines.append(f"            {name}: {_text(tree, index)}")
    for configuration in tree.configurations:
        lines.extend(_configuration_lines(tree, configuration))
    if tree.bos:
        lines.append(f"BOS         {len(tree.bos)} bytes")
    return lines


def _configuration_lines(tree: DeviceTree, configuration: Configuration) -> list[str]:
    descriptor = configuration.descriptor
    power = "self-powered" if descriptor.self_powered else "bus-powered"
    wakeup = ", remote wakeup" if descriptor.remote_wakeup else ""
    lines = [
        f"configuration {configuration.value}  {descriptor.wTotalLength} bytes, {power}{wakeup}, "
        f"{descriptor.max_power_ma(tree.speed)} mA"
        + (f", {_text(tree, descriptor.iConfiguration)}" if descriptor.iConfiguration else "")
    ]
    for setting in configuration.settings:
        lines.extend(_setting_lines(tree, setting))
    return lines


def _setting_lines(tree: DeviceTree, setting: AlternateSetting) -> list[str]:
    triple = setting.descriptor.class_triple
    index = setting.descriptor.iInterface
    lines = [
        f"  interface {setting.interface} setting {setting.alternate}  "
        f"{class_code(*triple)} ({class_name(*triple)})"
        + (f", {_text(tree, index)}" if index else "")
    ]
    lines.extend(
        f"    {descriptor_name(extra.bDescriptorType)} descriptor, {extra.bLength} bytes: "
        f"{extra.data.hex(' ')}"
        for extra in (*setting.leading, *setting.extra)
    )
    lines.extend(f"    {_endpoint_text(endpoint)}" for endpoint in setting.endpoints)
    return lines


def _endpoint_text(endpoint: Endpoint) -> str:
    descriptor = endpoint.descriptor
    return (
        f"endpoint 0x{endpoint.address:02x}  {descriptor.direction.name} "
        f"{descriptor.transfer_type.name.lower()}, {descriptor.max_packet} bytes, "
        f"bInterval {descriptor.bInterval}"
    )


def _text(tree: DeviceTree, index: int) -> str:
    text = tree.strings.get(index)
    return f"(string {index}, not given)" if text is None else f'"{printable(text)}"'


def _as_json(tree: DeviceTree, busid: str) -> dict[str, object]:
    device = tree.device
    return {
        "busid": busid,
        "speed": tree.speed.kernel_name,
        "id": f"{device.idVendor:04x}:{device.idProduct:04x}",
        "bcdUSB": device.bcdUSB,
        "bcdDevice": device.bcdDevice,
        "class": class_code(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol),
        "manufacturer": tree.strings.get(device.iManufacturer),
        "product": tree.strings.get(device.iProduct),
        "serial": tree.strings.get(device.iSerialNumber),
        "descriptors": build_device_file(tree).hex(),
        "configurations": [
            {
                "value": configuration.value,
                "bmAttributes": configuration.descriptor.bmAttributes,
                "max_power_ma": configuration.descriptor.max_power_ma(tree.speed),
                "interfaces": [
                    {
                        "number": setting.interface,
                        "alternate_setting": setting.alternate,
                        "class": class_code(*setting.descriptor.class_triple),
                        "endpoints": [
                            {
                                "address": endpoint.address,
                                "transfer_type": endpoint.descriptor.transfer_type.name.lower(),
                                "max_packet": endpoint.descriptor.max_packet,
                                "bInterval": endpoint.descriptor.bInterval,
                            }
                            for endpoint in setting.endpoints
                        ],
                    }
                    for setting in configuration.settings
                ],
            }
            for configuration in tree.configurations
        ],
    }
