"""The Microsoft OS 1.0 string descriptor (OS_Desc_Intro.doc, Microsoft OS Descriptors, 1.0).

A host that looks for it asks for string 0xEE. A device that has it answers with a signature and a
vendor code: the bRequest by which the host then asks for the descriptors proper.
"""

from gadgetip.usb.setup import DescriptorType

MS_OS_STRING_INDEX = 0xEE
MS_OS_STRING_BYTES = 18
_SIGNATURE = "MSFT100".encode("utf-16-le")


def parse_ms_os_string(data: bytes) -> int | None:
    """bMS_VendorCode of an answer to GET_DESCRIPTOR string 0xEE; None where it is something else.

    Any string may be at this index on a device that knows nothing of Microsoft.
    """
    if len(data) < MS_OS_STRING_BYTES or data[1] != DescriptorType.STRING:
        return None
    if data[0] < MS_OS_STRING_BYTES or data[2:16] != _SIGNATURE:
        return None
    return data[16]
