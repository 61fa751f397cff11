"""Messages to bytes.

Building checks what is ours: a message that could not be read back as it was meant raises
`LocalProtocolError`, which names the field. What depends on earlier messages (is this seqnum
pending?) is the connection's to check.

`build` gives one bytes object. The data path uses `build_parts`, which gives the header and the
payload apart, so that `socket.sendmsg` sends a payload from where it lies. Most ranges are not
checked beforehand, to save time: `struct` itself refuses a number that does not fit, and only then
the fields are searched for the one to name.
"""

import struct
from typing import Final

from gadgetip.errors import LocalProtocolError
from gadgetip.wire.constants import (
    BUSID_BYTES,
    MAX_BUS_NUMBER,
    MAX_DEVICES,
    MAX_ISO_PACKETS,
    NOT_ISOCHRONOUS,
    PATH_BYTES,
    SETUP_BYTES,
    VERSION,
    Command,
    OpCode,
    OpStatus,
)
from gadgetip.wire.layout import (
    CMD_SUBMIT,
    CMD_UNLINK,
    DEVICE,
    DEVICE_COUNT,
    INTERFACE,
    ISO_PACKET,
    OP_COMMON,
    RET_SUBMIT,
    RET_UNLINK,
)
from gadgetip.wire.messages import (
    WIRE_NAMES,
    CmdSubmit,
    CmdUnlink,
    DeviceRecord,
    InterfaceRecord,
    IsoPacketDescriptor,
    Message,
    OpMessage,
    Payload,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    UrbMessage,
)
from gadgetip.wire.rules import (
    Violation,
    check_cmd_iso,
    check_endpoint,
    cmd_submit_extent,
    encode_text,
)

# Plain numbers: a member of an Enum costs a lookup each time it is named.
_CMD_SUBMIT: Final = int(Command.CMD_SUBMIT)
_RET_SUBMIT: Final = int(Command.RET_SUBMIT)

_S32_MAX: Final = 0x7FFF_FFFF

_U8: Final = (0, 0xFF)
_U16: Final = (0, 0xFFFF)
_U32: Final = (0, 0xFFFF_FFFF)
_S32: Final = (-0x8000_0000, _S32_MAX)

_RANGES: Final[dict[type, dict[str, tuple[int, int]]]] = {
    CmdSubmit: {
        **dict.fromkeys(("seqnum", "devid", "transfer_flags"), _U32),
        **dict.fromkeys(("start_frame", "interval"), _S32),
    },
    RetSubmit: {
        "seqnum": _U32,
        **dict.fromkeys(
            ("status", "actual_length", "start_frame", "number_of_packets", "error_count"), _S32
        ),
    },
    CmdUnlink: dict.fromkeys(("seqnum", "devid", "unlink_seqnum"), _U32),
    RetUnlink: {"seqnum": _U32, "status": _S32},
    IsoPacketDescriptor: {
        **dict.fromkeys(("offset", "length", "actual_length"), _U32),
        "status": _S32,
    },
    InterfaceRecord: dict.fromkeys(
        ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol"), _U8
    ),
    DeviceRecord: {
        **dict.fromkeys(("busnum", "devnum"), (0, MAX_BUS_NUMBER)),
        "speed": _U32,
        **dict.fromkeys(("idVendor", "idProduct", "bcdDevice"), _U16),
        **dict.fromkeys(("bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"), _U8),
        **dict.fromkeys(("bConfigurationValue", "bNumConfigurations", "bNumInterfaces"), _U8),
    },
}


def build(message: Message) -> bytes:
    """Give the bytes of a whole message."""
    return b"".join(build_parts(message))


def build_parts(message: Message) -> tuple[Payload, ...]:
    """Give the bytes of a message in up to three parts that go out one behind the other.

    For the URB phase these are the 48 byte header, the data if there is any, and the packet
    descriptors if there are any. The data is the message's own object, not a copy.
    """
    try:
        if isinstance(message, (CmdSubmit, RetSubmit)):
            header = _pack_header(message)
            if message.iso_packets:
                descriptors = _pack_iso(message.iso_packets)
                return (
                    (header, message.data, descriptors) if message.data else (header, descriptors)
                )
            return (header, message.data) if message.data else (header,)
        if isinstance(message, (CmdUnlink, RetUnlink)):
            return (_pack_header(message),)
        return (_pack_op(message),)
    except Violation as violation:
        raise LocalProtocolError(str(violation)) from None


def build_header(message: UrbMessage) -> bytes:
    """Give the 48 byte header of a message of the URB phase, after checking all of it."""
    try:
        return _pack_header(message)
    except Violation as violation:
        raise LocalProtocolError(str(violation)) from None


def _pack_header(message: UrbMessage) -> bytes:
    try:
        if isinstance(message, CmdSubmit):
            return _pack_cmd_submit(message)
        if isinstance(message, RetSubmit):
            return _pack_ret_submit(message)
        if isinstance(message, CmdUnlink):
            check_endpoint("CMD_UNLINK", message.direction, message.ep)
            return CMD_UNLINK.pack(
                Command.CMD_UNLINK,
                message.seqnum,
                message.devid,
                message.direction,
                message.ep,
                message.unlink_seqnum,
            )
        return RET_UNLINK.pack(Command.RET_UNLINK, message.seqnum, 0, 0, 0, message.status)
    except struct.error:
        raise _out_of_range(WIRE_NAMES[type(message)], message) from None


def _pack_cmd_submit(message: CmdSubmit) -> bytes:
    (
        seqnum,
        devid,
        direction,
        ep,
        transfer_flags,
        transfer_buffer_length,
        start_frame,
        number_of_packets,
        interval,
        setup,
        data,
        iso_packets,
    ) = message
    data_bytes, iso_count = cmd_submit_extent(
        direction, ep, transfer_buffer_length, number_of_packets, _S32_MAX
    )
    if _size(data) != data_bytes:
        raise Violation(
            f"CMD_SUBMIT.data is {_size(data)} bytes, but transfer_buffer_length and direction "
            f"call for {data_bytes}"
        )
    if len(iso_packets) != iso_count:
        raise Violation(
            f"CMD_SUBMIT.iso_packets has {len(iso_packets)} packets, "
            f"but number_of_packets is {number_of_packets}"
        )
    if iso_count:
        check_cmd_iso(iso_packets, transfer_buffer_length)
    if len(setup) != SETUP_BYTES:
        raise Violation(f"CMD_SUBMIT.setup is {len(setup)} bytes, must be {SETUP_BYTES}")
    return CMD_SUBMIT.pack(
        _CMD_SUBMIT,
        seqnum,
        devid,
        direction,
        ep,
        transfer_flags,
        transfer_buffer_length,
        start_frame,
        number_of_packets,
        interval,
        setup,
    )


def _pack_ret_submit(message: RetSubmit) -> bytes:
    (
        seqnum,
        status,
        actual_length,
        start_frame,
        number_of_packets,
        error_count,
        data,
        iso_packets,
    ) = message
    if actual_length < 0:
        raise Violation(f"RET_SUBMIT.actual_length is {actual_length}, which is negative")
    if data and _size(data) != actual_length:
        raise Violation(
            f"RET_SUBMIT.data is {_size(data)} bytes, but actual_length is {actual_length}"
        )
    if not NOT_ISOCHRONOUS <= number_of_packets <= MAX_ISO_PACKETS:
        raise Violation(
            f"RET_SUBMIT.number_of_packets is {number_of_packets}, "
            f"must be 0 to {MAX_ISO_PACKETS}, or {NOT_ISOCHRONOUS}"
        )
    if len(iso_packets) != max(number_of_packets, 0):
        raise Violation(
            f"RET_SUBMIT.iso_packets has {len(iso_packets)} packets, "
            f"but number_of_packets is {number_of_packets}"
        )
    return RET_SUBMIT.pack(
        _RET_SUBMIT,
        seqnum,
        0,
        0,
        0,
        status,
        actual_length,
        start_frame,
        number_of_packets,
        error_count,
    )


def _pack_iso(packets: tuple[IsoPacketDescriptor, ...]) -> bytes:
    try:
        return b"".join([ISO_PACKET.pack(*packet) for packet in packets])
    except struct.error:
        culprits = (_culprit(f"iso_packets[{n}]", packet) for n, packet in enumerate(packets))
        raise next(filter(None, culprits), Violation("iso_packets cannot be packed")) from None


def _pack_op(message: OpMessage) -> bytes:
    if isinstance(message, ReqDevlist):
        return OP_COMMON.pack(VERSION, OpCode.REQ_DEVLIST, 0)
    if isinstance(message, ReqImport):
        busid = encode_text("OP_REQ_IMPORT.busid", message.busid, BUSID_BYTES)
        return OP_COMMON.pack(VERSION, OpCode.REQ_IMPORT, 0) + busid.ljust(BUSID_BYTES, b"\0")
    if isinstance(message, RepImport):
        return _pack_rep_import(message)
    return _pack_rep_devlist(message)


def _pack_rep_import(message: RepImport) -> bytes:
    common = OP_COMMON.pack(VERSION, OpCode.REP_IMPORT, message.status)
    if (message.status is OpStatus.OK) != (message.device is not None):
        raise Violation(
            f"OP_REP_IMPORT.device must be there if the status is OK, and only then; "
            f"the status is {message.status.name}"
        )
    if message.device is None:
        return common
    return common + _pack_device("OP_REP_IMPORT", message.device)


def _pack_rep_devlist(message: RepDevlist) -> bytes:
    common = OP_COMMON.pack(VERSION, OpCode.REP_DEVLIST, message.status)
    devices = message.devices
    if message.status is not OpStatus.OK:
        if devices:
            raise Violation(
                f"OP_REP_DEVLIST.devices must be empty if the status is {message.status.name}"
            )
        return common
    if len(devices) > MAX_DEVICES:
        raise Violation(f"OP_REP_DEVLIST.devices has {len(devices)}, at most {MAX_DEVICES} fit")
    parts = [common, DEVICE_COUNT.pack(len(devices))]
    for number, device in enumerate(devices):
        name = f"OP_REP_DEVLIST.devices[{number}]"
        parts.append(_pack_device(name, device))
        if len(device.interfaces) != device.bNumInterfaces:
            raise Violation(
                f"{name}.interfaces has {len(device.interfaces)}, "
                f"but bNumInterfaces is {device.bNumInterfaces}"
            )
        parts += [_pack_interface(name, interface) for interface in device.interfaces]
    return b"".join(parts)


def _pack_device(name: str, device: DeviceRecord) -> bytes:
    path = encode_text(f"{name}.path", device.path, PATH_BYTES)
    busid = encode_text(f"{name}.busid", device.busid, BUSID_BYTES)
    if max(device.busnum, device.devnum) > MAX_BUS_NUMBER:
        raise _out_of_range(name, device)
    try:
        return DEVICE.pack(
            path,
            busid,
            device.busnum,
            device.devnum,
            device.speed,
            device.idVendor,
            device.idProduct,
            device.bcdDevice,
            device.bDeviceClass,
            device.bDeviceSubClass,
            device.bDeviceProtocol,
            device.bConfigurationValue,
            device.bNumConfigurations,
            device.bNumInterfaces,
        )
    except struct.error:
        raise _out_of_range(name, device) from None


def _pack_interface(name: str, interface: InterfaceRecord) -> bytes:
    try:
        return INTERFACE.pack(
            interface.bInterfaceClass, interface.bInterfaceSubClass, interface.bInterfaceProtocol
        )
    except struct.error:
        raise _out_of_range(f"{name}.interfaces", interface) from None


def _size(data: Payload) -> int:
    """Give the size in bytes, which `len` does not for a memoryview of larger items."""
    return data.nbytes if isinstance(data, memoryview) else len(data)


def _out_of_range(name: str, record: object) -> Violation:
    """Explain why `struct` could not pack a record."""
    return _culprit(name, record) or Violation(f"{name} cannot be packed: {record!r}")


def _culprit(name: str, record: object) -> Violation | None:
    """Find the field of a record that does not fit where it belongs."""
    for field, (low, high) in _RANGES[type(record)].items():
        value = getattr(record, field)
        if not isinstance(value, int) or not low <= value <= high:
            return Violation(f"{name}.{field} is {value!r}, must be a number from {low} to {high}")
    return None
