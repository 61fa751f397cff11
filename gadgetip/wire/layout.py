"""Where each field lies: the byte layouts, compiled once.

Everything is big endian ("network byte order"), except the setup packet, which travels as the
eight raw bytes that USB defines. `x` is padding, sent as zero and ignored when received.

Operation phase (tools/usb/usbip/src/usbip_network.h, libsrc/usbip_common.h):

    op_common    u16 version  u16 code  u32 status
    device       char path[256]  char busid[32]  u32 busnum devnum speed
                 u16 idVendor idProduct bcdDevice
                 u8 bDeviceClass bDeviceSubClass bDeviceProtocol
                 u8 bConfigurationValue bNumConfigurations bNumInterfaces
    interface    u8 bInterfaceClass bInterfaceSubClass bInterfaceProtocol x

URB phase (drivers/usb/usbip/usbip_common.h): a header is always 48 bytes, 20 that are common and
28 that the command defines:

    common       u32 command seqnum devid direction ep
    CMD_SUBMIT   u32 transfer_flags  s32 transfer_buffer_length start_frame number_of_packets
                 s32 interval  u8 setup[8]
    RET_SUBMIT   s32 status actual_length start_frame number_of_packets error_count  x[8]
    CMD_UNLINK   u32 seqnum of the submit  x[24]
    RET_UNLINK   s32 status  x[24]

One direction's two headers agree in the field at 20 as far as it goes (u32 for the client's, s32
for the server's), so a parser unpacks with the submit's layout and asks for the command after.
"""

from struct import Struct
from typing import Final

from gadgetip.wire.constants import BUSID_BYTES, PATH_BYTES

OP_COMMON: Final = Struct(">HHI")
DEVICE_COUNT: Final = Struct(">I")
DEVICE: Final = Struct(f">{PATH_BYTES}s{BUSID_BYTES}s3I3H6B")
INTERFACE: Final = Struct(">3Bx")

CMD_SUBMIT: Final = Struct(">5II4i8s")
RET_SUBMIT: Final = Struct(">5I5i8x")
CMD_UNLINK: Final = Struct(">5II24x")
RET_UNLINK: Final = Struct(">5Ii24x")
ISO_PACKET: Final = Struct(">3Ii")

URB_HEADER_BYTES: Final = 48
ISO_PACKET_BYTES: Final = ISO_PACKET.size
