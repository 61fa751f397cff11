"""Descriptors as bytes, with lengths and counts made true: what devices are written in.

These functions make what is well-formed; who wants something else changes the bytes.
"""

from collections.abc import Sequence

BULK, INTERRUPT = 2, 3
ISO_ADAPTIVE, ISO_ASYNC = 0x09, 0x05
"""bmAttributes of isochronous endpoints with their synchronisation (USB 2.0 table 9-13)."""


def le16(value: int) -> bytes:
    """A 16 bit number as USB has it."""
    return value.to_bytes(2, "little")


def device(
    vendor: int,
    product: int,
    *,
    triple: tuple[int, int, int] = (0, 0, 0),
    bcd_device: int = 0x0100,
    bcd_usb: int = 0x0200,
    max_packet0: int = 64,
    strings: tuple[int, int, int] = (1, 2, 3),
    configurations: int = 1,
) -> bytes:
    """A device descriptor; `strings` are iManufacturer, iProduct, iSerialNumber."""
    return (
        b"\x12\x01"
        + le16(bcd_usb)
        + bytes([*triple, max_packet0])
        + le16(vendor)
        + le16(product)
        + le16(bcd_device)
        + bytes([*strings, configurations])
    )


def configuration(
    *parts: bytes, value: int = 1, attributes: int = 0x80, max_power: int = 50, text: int = 0
) -> bytes:
    """A configuration; wTotalLength and bNumInterfaces are counted."""
    body = b"".join(parts)
    numbers = {each[2] for each in split(body) if each[1] == 4}
    total = 9 + len(body)
    head = b"\x09\x02" + le16(total) + bytes([len(numbers), value, text, attributes, max_power])
    return head + body


def interface(
    number: int,
    triple: tuple[int, int, int],
    *parts: bytes,
    alternate: int = 0,
    text: int = 0,
) -> bytes:
    """An interface descriptor and what follows it; bNumEndpoints is counted."""
    body = b"".join(parts)
    count = sum(each[1] == 5 for each in split(body))
    return bytes([9, 4, number, alternate, count, *triple, text]) + body


def endpoint(
    address: int, attributes: int, max_packet: int, interval: int = 0, extra: bytes = b""
) -> bytes:
    """An endpoint descriptor; `extra` are the two bytes that audio adds."""
    return (
        bytes([7 + len(extra), 5, address, attributes])
        + le16(max_packet)
        + bytes([interval, *extra])
    )


def association(first: int, count: int, triple: tuple[int, int, int], *, text: int = 0) -> bytes:
    """An interface association."""
    return bytes([8, 0x0B, first, count, *triple, text])


def specific(kind: int, *data: int | bytes) -> bytes:
    """A descriptor of any type; its length is counted."""
    body = b"".join(bytes([each]) if isinstance(each, int) else each for each in data)
    return bytes([2 + len(body), kind]) + body


def split(data: bytes) -> Sequence[bytes]:
    """The descriptors in some bytes that are well-formed."""
    found, at = [], 0
    while at < len(data):
        found.append(data[at : at + data[at]])
        at += data[at]
    return found
