"""Bytes of the operation phase to messages, incrementally.

A reader is a generator. It yields how many bytes it needs next and what they are (for the error
if the stream ends there), is sent exactly those, and returns the message. It never sees a socket
or a buffer, so it cannot depend on how the stream was cut; and it compares each count with its
limit before it asks for the next bytes, so it cannot be made to wait for something huge.

The URB phase needs no generators: a message there is a header and a body, and the one who knows
how long the body is knows which submits are pending. See `client_connection` and
`server_connection`.
"""

from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

from gadgetip.wire.constants import (
    BUSID_BYTES,
    MAX_BUS_NUMBER,
    MAX_DEVICES,
    VERSION,
    OpCode,
    OpStatus,
)
from gadgetip.wire.layout import DEVICE, DEVICE_COUNT, INTERFACE, ISO_PACKET, OP_COMMON
from gadgetip.wire.messages import (
    DeviceRecord,
    InterfaceRecord,
    IsoPacketDescriptor,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
)
from gadgetip.wire.rules import Violation, decode_text

Need: TypeAlias = tuple[int, str]
"""How many bytes, and what they are."""

_T_co = TypeVar("_T_co", covariant=True)
Reader: TypeAlias = Generator[Need, bytes, _T_co]

_STATUSES: Final = {int(status): status for status in OpStatus}


def read_request() -> Reader[ReqDevlist | ReqImport]:
    """Read a client's request."""
    version, code, status = OP_COMMON.unpack((yield OP_COMMON.size, "the header of a request"))
    _check_version("OP_REQ", version)
    if code not in {OpCode.REQ_DEVLIST, OpCode.REQ_IMPORT}:
        raise Violation(
            f"OP_REQ.code is {code:#06x}, must be {OpCode.REQ_DEVLIST:#06x} (OP_REQ_DEVLIST) "
            f"or {OpCode.REQ_IMPORT:#06x} (OP_REQ_IMPORT)"
        )
    name = OpCode(code).wire_name
    if status:
        raise Violation(f"{name}.status is {status}, must be 0 in a request")
    if code == OpCode.REQ_DEVLIST:
        return ReqDevlist()
    return ReqImport(decode_text(f"{name}.busid", (yield BUSID_BYTES, f"{name}.busid")))


def read_rep_devlist() -> Reader[RepDevlist]:
    """Read the reply to OP_REQ_DEVLIST."""
    status = yield from _read_reply_header(OpCode.REP_DEVLIST)
    if status is not OpStatus.OK:
        return RepDevlist(status)
    (count,) = DEVICE_COUNT.unpack((yield DEVICE_COUNT.size, "OP_REP_DEVLIST.ndev"))
    if count > MAX_DEVICES:
        raise Violation(f"OP_REP_DEVLIST.ndev is {count}, at most {MAX_DEVICES} are believed")
    devices = []
    for number in range(count):
        name = f"OP_REP_DEVLIST.devices[{number}]"
        raw = yield DEVICE.size, name
        size = raw[-1] * INTERFACE.size  # bNumInterfaces is the record's last byte
        interfaces = INTERFACE.iter_unpack((yield size, f"{name}.interfaces"))
        devices.append(
            parse_device(name, raw, tuple(InterfaceRecord(*fields) for fields in interfaces))
        )
    return RepDevlist(status, tuple(devices))


def read_rep_import(busid: str) -> Reader[RepImport]:
    """Read the reply to OP_REQ_IMPORT for `busid`."""
    status = yield from _read_reply_header(OpCode.REP_IMPORT)
    if status is not OpStatus.OK:
        return RepImport(status)
    device = parse_device("OP_REP_IMPORT", (yield DEVICE.size, "OP_REP_IMPORT.device"))
    if device.busid != busid:
        raise Violation(f"OP_REP_IMPORT.busid is {device.busid!a}, but {busid!a} was asked for")
    return RepImport(status, device)


def _read_reply_header(expected: OpCode) -> Reader[OpStatus]:
    name = expected.wire_name
    version, code, status = OP_COMMON.unpack((yield OP_COMMON.size, f"the header of {name}"))
    _check_version(name, version)
    if code != expected:
        raise Violation(f"{name}.code is {code:#06x}, must be {expected:#06x}")
    if status not in _STATUSES:
        raise Violation(f"{name}.status is {status}, must be 0 to {max(_STATUSES)}")
    return _STATUSES[status]


def _check_version(name: str, version: int) -> None:
    if version != VERSION:
        raise Violation(
            f"{name}.version is {version:#06x}, but {VERSION:#06x} is wanted (USB/IP 1.1.1)"
        )


def parse_device(
    name: str, raw: bytes, interfaces: tuple[InterfaceRecord, ...] = ()
) -> DeviceRecord:
    """Read one device record; `name` says where it is from."""
    (
        path,
        busid,
        busnum,
        devnum,
        speed,
        vendor,
        product,
        bcd_device,
        device_class,
        device_subclass,
        device_protocol,
        configuration_value,
        configurations,
        interface_count,
    ) = DEVICE.unpack(raw)
    for field, value in (("busnum", busnum), ("devnum", devnum)):
        if value > MAX_BUS_NUMBER:
            raise Violation(f"{name}.{field} is {value}, at most {MAX_BUS_NUMBER} fits a devid")
    return DeviceRecord(
        path=decode_text(f"{name}.path", path),
        busid=decode_text(f"{name}.busid", busid),
        busnum=busnum,
        devnum=devnum,
        speed=speed,
        idVendor=vendor,
        idProduct=product,
        bcdDevice=bcd_device,
        bDeviceClass=device_class,
        bDeviceSubClass=device_subclass,
        bDeviceProtocol=device_protocol,
        bConfigurationValue=configuration_value,
        bNumConfigurations=configurations,
        bNumInterfaces=interface_count,
        interfaces=interfaces,
    )


def parse_iso_packets(raw: bytes) -> tuple[IsoPacketDescriptor, ...]:
    """Read the packet descriptors behind a submit's data."""
    return tuple(map(IsoPacketDescriptor._make, ISO_PACKET.iter_unpack(raw)))
