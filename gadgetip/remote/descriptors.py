"""What an imported device says of itself, asked by control requests.

The import reply names the device but does not describe it, so its descriptors are read as any
host reads them (USB 2.0, 9.4.3), and parsed as strictly as the `usb` room does: nothing that a
device makes up gets further. Strings are for people and for matching: one that the device does
not give is left out, and a device that lets a request for one hang is not asked for more.

The device may mean harm, so everything here has an end. The number of configurations is bounded
as in a host (Linux looks at 8; more are refused here), their length by wTotalLength, the strings by
number and language, and all of it together by a time limit, for a device that answers each
request just in time could otherwise keep us for more than ten minutes. What every device has
comes first: strings get what time is left.
"""

import asyncio
import errno
import logging

from gadgetip.errors import DeviceUnpluggedError
from gadgetip.pump import ControlTimeoutError, StallError, UrbStream
from gadgetip.usb import (
    MS_OS_STRING_BYTES,
    MS_OS_STRING_INDEX,
    Configuration,
    DescriptorError,
    DescriptorType,
    DeviceDescriptor,
    DeviceTree,
    Fault,
    SetupPacket,
    Speed,
    StringTable,
    parse_configuration,
    parse_header,
    parse_langids,
    parse_ms_os_string,
    parse_string_descriptor,
    string_indices,
)

log = logging.getLogger(__name__)

REQUEST_LIMIT_S = 5.0
TOTAL_LIMIT_S = 30.0
"""All requests together; Linux, too, gives each one 5 s (USB_CTRL_GET_TIMEOUT)."""

MAX_CONFIGURATIONS = 8
"""As many as a Linux host looks at (drivers/usb/core/config.c, USB_MAXCONFIG)."""

MAX_LANGUAGES = 2
"""As many as a replica can have (drivers/usb/gadget/configfs.c, MAX_USB_STRING_LANGS)."""

MAX_STRINGS = 64
BOS_FROM_BCD_USB = 0x0201
FROM_BCD_USB_2 = 0x0200
"""Older devices know neither the device qualifier nor Microsoft's string."""

QUALIFIER_BYTES = 10
BOS_HEADER_BYTES = 5

_GONE = frozenset({-errno.ESHUTDOWN, -errno.ENODEV})


class DescriptorRefusedError(StallError):
    """The device does not give a descriptor that every device has."""

    def __init__(self, setup: SetupPacket, status: int) -> None:
        super().__init__(status)
        reason = errno.errorcode.get(-status, f"status {status}")
        self.args = (f"the device answers {setup} with {reason}",)


async def read_device_tree(urbs: UrbStream, speed: Speed) -> DeviceTree:
    """Read every configuration, the strings they name, and the BOS.

    Raises `DescriptorError` for what is malformed, `StallError` or `ControlTimeoutError` where
    the device does not give a descriptor that every device has (a request has `REQUEST_LIMIT_S`
    seconds, all of them together `TOTAL_LIMIT_S`), and `DeviceUnpluggedError` where the server
    says that it left meanwhile.
    """
    reader = _Reader(urbs)
    device = DeviceDescriptor.unpack(
        await reader.descriptor(DescriptorType.DEVICE, 0, DeviceDescriptor.SIZE)
    )
    if not 0 < device.bNumConfigurations <= MAX_CONFIGURATIONS:
        count = device.bNumConfigurations
        problem = f"must be 1 to {MAX_CONFIGURATIONS}"
        raise DescriptorError(Fault(device.name, 0, "bNumConfigurations", count, problem))
    configurations = tuple(
        [await _configuration(reader, index) for index in range(device.bNumConfigurations)]
    )
    bos = await _bos(reader) if device.bcdUSB >= BOS_FROM_BCD_USB else b""
    strings = await _strings(reader, device, configurations)
    return DeviceTree(
        device=device,
        configurations=configurations,
        strings=strings,
        speed=speed,
        bos=bos,
        ms_os_vendor_code=await _ms_os(reader) if device.bcdUSB >= FROM_BCD_USB_2 else None,
        qualifier=await _qualifier(reader) if device.bcdUSB >= FROM_BCD_USB_2 else b"",
    )


class _Reader:
    """GET_DESCRIPTOR until the time is over, which begins now."""

    def __init__(self, urbs: UrbStream) -> None:
        self._urbs = urbs
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + TOTAL_LIMIT_S

    async def descriptor(
        self, kind: DescriptorType, index: int, length: int, langid: int = 0
    ) -> bytes:
        left_s = self._deadline - self._clock()
        too_late = ControlTimeoutError(
            f"the device did not give all its descriptors within {TOTAL_LIMIT_S:g} s"
        )
        if left_s <= 0:
            raise too_late
        setup = SetupPacket.get_descriptor(kind, index, langid, length)
        try:
            return await self._urbs.control(setup, limit_s=min(REQUEST_LIMIT_S, left_s))
        except StallError as error:
            if error.status in _GONE:
                raise DeviceUnpluggedError(
                    "the server says that the device is gone; its descriptors were being read"
                ) from None
            raise DescriptorRefusedError(setup, error.status) from None
        except ControlTimeoutError:
            if left_s < REQUEST_LIMIT_S:
                raise too_late from None
            raise


async def _configuration(reader: _Reader, index: int) -> Configuration:
    header = parse_header(await reader.descriptor(DescriptorType.CONFIGURATION, index, 9))
    return parse_configuration(
        await reader.descriptor(DescriptorType.CONFIGURATION, index, header.wTotalLength)
    )


async def _bos(reader: _Reader) -> bytes:
    """The BOS as it came, or nothing; nobody here looks into it."""
    try:
        header = await reader.descriptor(DescriptorType.BOS, 0, BOS_HEADER_BYTES)
        total = int.from_bytes(header[2:4], "little")
        if len(header) < BOS_HEADER_BYTES or header[1] != DescriptorType.BOS:
            log.info("the BOS descriptor is malformed: %s", header.hex(" "))
            return b""
        bos = await reader.descriptor(DescriptorType.BOS, 0, total)
    except (StallError, ControlTimeoutError) as error:
        log.info("the device gives no BOS descriptor: %s", error)
        return b""
    if bos[:BOS_HEADER_BYTES] != header:
        log.info("the BOS descriptor is not the same twice")
        return b""
    return bos


async def _qualifier(reader: _Reader) -> bytes:
    """The device qualifier; a device that knows one speed refuses (USB 2.0, 9.6.2)."""
    try:
        return await reader.descriptor(DescriptorType.DEVICE_QUALIFIER, 0, QUALIFIER_BYTES)
    except (StallError, ControlTimeoutError):
        return b""


async def _ms_os(reader: _Reader) -> int | None:
    """The vendor code of a Microsoft OS 1.0 descriptor, as Windows asks every USB 2.0 device."""
    try:
        data = await reader.descriptor(
            DescriptorType.STRING, MS_OS_STRING_INDEX, MS_OS_STRING_BYTES
        )
    except (StallError, ControlTimeoutError):
        return None
    return parse_ms_os_string(data)


async def _strings(
    reader: _Reader, device: DeviceDescriptor, configurations: tuple[Configuration, ...]
) -> StringTable:
    wanted = string_indices(DeviceTree(device, configurations))
    if not wanted:
        return StringTable()
    texts: dict[tuple[int, int], str] = {}
    langids: tuple[int, ...] = ()
    try:
        langids = parse_langids(await reader.descriptor(DescriptorType.STRING, 0, 255))
        langids = tuple(dict.fromkeys(langids))[:MAX_LANGUAGES]
        for langid in langids:
            for index in wanted[:MAX_STRINGS]:
                try:
                    data = await reader.descriptor(DescriptorType.STRING, index, 255, langid)
                    texts[index, langid] = parse_string_descriptor(data)
                except (StallError, DescriptorError) as error:
                    log.info("string %d (language 0x%04x): %s", index, langid, error)
    except (StallError, DescriptorError, ControlTimeoutError) as error:
        log.info("no further strings: %s", error)
    return StringTable(langids, texts)
