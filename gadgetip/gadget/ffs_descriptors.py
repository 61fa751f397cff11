"""The two blocks that FunctionFS is given on ep0: descriptors for each speed, then strings.

`functionfs` knows the kernel's structures (include/uapi/linux/usb/functionfs.h) and builds both.
Its own descriptor classes are fixed lists of fields; what a device sends has to reach the kernel
byte for byte, also where a descriptor is longer than the standard says, so each descriptor is
given to it as a structure of exactly these bytes.
"""

import ctypes
import struct
from collections.abc import Mapping, Sequence

import functionfs
from functionfs.ch9 import (
    USB_DIR_IN,
    USB_ENDPOINT_XFER_BULK,
    USB_ENDPOINT_XFER_INT,
    USB_ENDPOINT_XFER_ISOC,
)
from functionfs.common import USBDescriptorHeader
from functionfs.functionfs import STRINGS_MAGIC

from gadgetip.gadget.steering import EndpointRequest
from gadgetip.usb import Descriptor, Direction, Speed, TransferType

_STRINGS_HEAD = struct.Struct("<IIII")  # magic, length, texts a language, languages
_TRANSFER_BITS = {
    TransferType.ISOCHRONOUS: USB_ENDPOINT_XFER_ISOC,
    TransferType.BULK: USB_ENDPOINT_XFER_BULK,
    TransferType.INTERRUPT: USB_ENDPOINT_XFER_INT,
}


def function_blob(descriptors: Mapping[Speed, Sequence[Descriptor]], flags: int) -> bytes:
    """The descriptors block of the replica's function."""
    lists = {speed: [_structure(d.data) for d in each] for speed, each in descriptors.items()}
    return bytes(
        functionfs.serialise(
            functionfs.getDescsV2(
                flags,
                fs_list=lists.get(Speed.FULL, ()),
                hs_list=lists.get(Speed.HIGH, ()),
                ss_list=lists.get(Speed.SUPER, ()),
            )
        )
    )


def filler_blob(fillers: Sequence[EndpointRequest]) -> bytes:
    """The descriptors block of a filler: endpoints at SuperSpeed alone, and no interface."""
    ss_list: list[object] = []
    counted = {Direction.IN: 0, Direction.OUT: 0}
    for filler in fillers:
        counted[filler.direction] += 1
        direction = USB_DIR_IN if filler.direction is Direction.IN else 0
        ss_list.append(
            functionfs.getDescriptor(
                functionfs.USBEndpointDescriptorNoAudio,
                bEndpointAddress=counted[filler.direction] | direction,
                bmAttributes=_TRANSFER_BITS[filler.transfer_type],
                wMaxPacketSize=filler.max_packet,
                bInterval=1,
            )
        )
        ss_list.append(functionfs.getDescriptor(functionfs.USBSSEPCompDescriptor))
    return bytes(functionfs.serialise(functionfs.getDescsV2(0, ss_list=ss_list)))


def strings_blob(strings: Mapping[int, Sequence[str]]) -> bytes:
    """The strings block: for each language all texts, in the order of their indices.

    `functionfs.getStrings` keeps the first text of a language and fills the rest with zeros.
    """
    tables = b"".join(
        lang.to_bytes(2, "little") + b"".join(text.encode() + b"\0" for text in texts)
        for lang, texts in strings.items()
    )
    count = len(next(iter(strings.values()), ()))
    head = _STRINGS_HEAD.pack(STRINGS_MAGIC, _STRINGS_HEAD.size + len(tables), count, len(strings))
    return head + tables


def _structure(data: bytes) -> ctypes.LittleEndianStructure:
    """A descriptor of any length as the kind of structure that `getDescsV2` takes."""
    body = ctypes.c_ubyte * (len(data) - ctypes.sizeof(USBDescriptorHeader))
    fields = {"_pack_": 1, "_fields_": [("body", body)]}
    kind: type[ctypes.LittleEndianStructure] = type("Descriptor", (USBDescriptorHeader,), fields)
    return kind.from_buffer_copy(data)
