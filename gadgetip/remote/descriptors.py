"""What an imported device says of itself, asked by control requests.

The import reply names the device but does not describe it, so its descriptors are read as any
host reads them (USB 2.0, 9.4.3), and parsed as strictly as the `usb` room does: nothing that a
device makes up gets further. Strings are for people and for matching: one that the device does
not give is left out, and a device that lets a request for one hang is not asked for more.
"""

import logging

from gadgetip.pump import ControlTimeoutError, StallError, UrbStream
from gadgetip.usb import (
    Configuration,
    DescriptorError,
    DescriptorType,
    DeviceDescriptor,
    DeviceTree,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    SetupPacket,
    Speed,
    StringTable,
    parse_configuration,
    parse_header,
    parse_langids,
    parse_string_descriptor,
)

log = logging.getLogger(__name__)

REQUEST_LIMIT_S = 5.0
MAX_LANGUAGES = 2
"""As many as a replica can have (drivers/usb/gadget/configfs.c, MAX_USB_STRING_LANGS)."""

MAX_STRINGS = 64
BOS_FROM_BCD_USB = 0x0201


async def read_device_tree(urbs: UrbStream, speed: Speed) -> DeviceTree:
    """Read every configuration, the strings they name, and the BOS.

    Raises `DescriptorError` for what is malformed, `StallError` or `ControlTimeoutError` where
    the device does not give a descriptor that every device has.
    """
    device = DeviceDescriptor.unpack(
        await _descriptor(urbs, DescriptorType.DEVICE, 0, DeviceDescriptor.SIZE)
    )
    configurations = tuple(
        [await _configuration(urbs, index) for index in range(device.bNumConfigurations)]
    )
    return DeviceTree(
        device=device,
        configurations=configurations,
        strings=await _strings(urbs, device, configurations),
        speed=speed,
        bos=await _bos(urbs) if device.bcdUSB >= BOS_FROM_BCD_USB else b"",
    )


async def _descriptor(
    urbs: UrbStream, kind: DescriptorType, index: int, length: int, langid: int = 0
) -> bytes:
    setup = SetupPacket.get_descriptor(kind, index, langid, length)
    return await urbs.control(setup, limit_s=REQUEST_LIMIT_S)


async def _configuration(urbs: UrbStream, index: int) -> Configuration:
    header = parse_header(await _descriptor(urbs, DescriptorType.CONFIGURATION, index, 9))
    return parse_configuration(
        await _descriptor(urbs, DescriptorType.CONFIGURATION, index, header.wTotalLength)
    )


async def _bos(urbs: UrbStream) -> bytes:
    try:
        header = await _descriptor(urbs, DescriptorType.BOS, 0, 5)
        if len(header) < 5:
            return b""
        return await _descriptor(urbs, DescriptorType.BOS, 0, int.from_bytes(header[2:4], "little"))
    except (StallError, ControlTimeoutError) as error:
        log.info("the device gives no BOS descriptor: %s", error)
        return b""


async def _strings(
    urbs: UrbStream, device: DeviceDescriptor, configurations: tuple[Configuration, ...]
) -> StringTable:
    wanted = _string_indices(device, configurations)
    if not wanted:
        return StringTable()
    texts: dict[tuple[int, int], str] = {}
    langids: tuple[int, ...] = ()
    try:
        langids = parse_langids(await _descriptor(urbs, DescriptorType.STRING, 0, 255))
        for langid in langids[:MAX_LANGUAGES]:
            for index in wanted[:MAX_STRINGS]:
                try:
                    data = await _descriptor(urbs, DescriptorType.STRING, index, 255, langid)
                    texts[index, langid] = parse_string_descriptor(data)
                except (StallError, DescriptorError) as error:
                    log.info("string %d (language 0x%04x): %s", index, langid, error)
    except (StallError, DescriptorError, ControlTimeoutError) as error:
        log.info("no further strings: %s", error)
    return StringTable(langids[:MAX_LANGUAGES], texts)


def _string_indices(
    device: DeviceDescriptor, configurations: tuple[Configuration, ...]
) -> list[int]:
    indices = [device.iManufacturer, device.iProduct, device.iSerialNumber]
    for configuration in configurations:
        for _, descriptor in configuration.descriptors():
            if isinstance(descriptor, InterfaceDescriptor):
                indices.append(descriptor.iInterface)
            elif isinstance(descriptor, InterfaceAssociationDescriptor):
                indices.append(descriptor.iFunction)
        indices.append(configuration.descriptor.iConfiguration)
    return [index for index in dict.fromkeys(indices) if index]
