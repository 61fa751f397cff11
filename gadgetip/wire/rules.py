"""What a well-formed message is, whoever made it.

Rule 1: a check that applies to what we send and to what we receive lives here, once.
Rule 2: this module does not know who is to blame. It raises `Violation`; the boundary (a `send`
or a `next_event`) turns that into `LocalProtocolError` or `RemoteProtocolError`.

The "extent" of a message is how much follows its header. It is computed from the header alone,
and every length in it has been compared with a limit, before anything of that size is awaited.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from gadgetip.wire.constants import (
    MAX_ENDPOINT,
    MAX_ISO_PACKETS,
    NOT_ISOCHRONOUS,
    Direction,
)
from gadgetip.wire.messages import IsoPacketDescriptor


class Violation(Exception):
    """A rule of the protocol is broken; the text names the field, the value and the rule."""


class Submit(NamedTuple):
    """What must be remembered of a CMD_SUBMIT to understand its RET_SUBMIT."""

    direction: Direction
    transfer_buffer_length: int
    number_of_packets: int


# C0, DEL and C1, each of the latter also as a byte that is not UTF-8 (escaped as U+DC80+n): an
# 8 bit terminal obeys 0x9b as CSI. Other invisible characters are the business of who prints.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udc9f]")


def check_text(field: str, text: str) -> None:
    """Refuse control characters in a busid or a path: these strings end up on terminals."""
    if _CONTROL.search(text):
        raise Violation(f"{field} is {text!a}: control characters are not allowed")


def encode_text(field: str, text: str, size: int) -> bytes:
    """Give the bytes of a string that must fit, with its NUL, into a field of `size` bytes."""
    check_text(field, text)
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Violation(f"{field} is {text!a}, which cannot be encoded") from None
    if len(raw) >= size:
        raise Violation(f"{field} is {len(raw)} bytes long, but {size - 1} fit")
    return raw


def decode_text(field: str, raw: bytes) -> str:
    """Read a NUL-terminated string from a fixed field; what lies behind the NUL is ignored."""
    end = raw.find(0)
    if end < 0:
        raise Violation(f"{field} has no terminating NUL in its {len(raw)} bytes")
    text = raw[:end].decode("utf-8", "surrogateescape")
    check_text(field, text)
    return text


def check_endpoint(name: str, direction: int, ep: int) -> None:
    """Check the two fields that name an endpoint."""
    if direction not in {0, 1}:
        raise Violation(f"{name}.direction is {direction}, must be 0 (OUT) or 1 (IN)")
    if not 0 <= ep <= MAX_ENDPOINT:
        raise Violation(f"{name}.ep is {ep}, must be 0 to {MAX_ENDPOINT}")


def cmd_submit_extent(
    direction: int, ep: int, transfer_buffer_length: int, number_of_packets: int, limit: int
) -> tuple[int, int]:
    """Give the bytes of data and the count of packet descriptors that follow a CMD_SUBMIT."""
    check_endpoint("CMD_SUBMIT", direction, ep)
    if not 0 <= transfer_buffer_length <= limit:
        raise Violation(
            f"CMD_SUBMIT.transfer_buffer_length is {transfer_buffer_length}, must be 0 to {limit}"
        )
    if not NOT_ISOCHRONOUS <= number_of_packets <= MAX_ISO_PACKETS:
        raise Violation(
            f"CMD_SUBMIT.number_of_packets is {number_of_packets}, "
            f"must be 0 to {MAX_ISO_PACKETS}, or {NOT_ISOCHRONOUS}"
        )
    return (0 if direction else transfer_buffer_length), max(number_of_packets, 0)


def ret_submit_extent(
    submit: Submit, actual_length: int, number_of_packets: int
) -> tuple[int, int]:
    """Give the bytes of data and the count of packet descriptors that follow a RET_SUBMIT.

    The header alone does not tell: its direction field is 0 whatever the direction was.
    """
    direction, transfer_buffer_length, packets_sent = submit
    if not 0 <= actual_length <= transfer_buffer_length:
        if actual_length < 0:
            raise Violation(f"RET_SUBMIT.actual_length is {actual_length}, which is negative")
        raise Violation(
            f"RET_SUBMIT.actual_length is {actual_length}, "
            f"but the URB asked for {transfer_buffer_length}"
        )
    # 0 and -1 both say "not isochronous", and a server may answer the one with the other.
    if number_of_packets != packets_sent and (
        packets_sent > 0 or number_of_packets not in {0, NOT_ISOCHRONOUS}
    ):
        raise Violation(
            f"RET_SUBMIT.number_of_packets is {number_of_packets}, "
            f"but the URB has {max(packets_sent, 0)}"
        )
    return (actual_length if direction else 0), max(packets_sent, 0)


def check_cmd_iso(packets: Sequence[IsoPacketDescriptor], transfer_buffer_length: int) -> None:
    """Check the packet descriptors of a CMD_SUBMIT: inside the buffer, and nothing done yet.

    The kernel's stub drops the connection if the actual lengths are not zero (usbip_common.c:
    usbip_recv_iso).
    """
    for number, (offset, length, actual_length, _status) in enumerate(packets):
        if actual_length:
            raise Violation(
                f"CMD_SUBMIT.iso_packets[{number}].actual_length is {actual_length}, must be 0"
            )
        if offset + length > transfer_buffer_length:
            raise Violation(
                f"CMD_SUBMIT.iso_packets[{number}] ends at offset+length {offset + length}, "
                f"but transfer_buffer_length is {transfer_buffer_length}"
            )


def check_ret_iso(
    submit: Submit, actual_length: int, packets: Sequence[IsoPacketDescriptor]
) -> None:
    """Check the packet descriptors of a RET_SUBMIT against the data that came with them.

    Only IN has data to check. `length` is the client's own value coming back and is not judged.
    """
    if not submit.direction:
        return
    total = 0
    for number, (offset, _length, packet_length, _status) in enumerate(packets):
        total += packet_length
        if offset + packet_length > submit.transfer_buffer_length:
            raise Violation(
                f"RET_SUBMIT.iso_packets[{number}] ends at offset+actual_length "
                f"{offset + packet_length}, "
                f"but the URB asked for {submit.transfer_buffer_length}"
            )
    if total != actual_length:
        raise Violation(
            f"RET_SUBMIT.iso_packets have actual_length {total} in sum, "
            f"but RET_SUBMIT.actual_length is {actual_length}"
        )
