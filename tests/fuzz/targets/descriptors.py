"""What a remote device says of itself: the bytes of a device and its configurations.

Read, or refused with a `DescriptorError` of one line; and what is read is built again byte by byte.
The user-space stub reads the same bytes leniently: it refuses nothing and finds no endpoint 0.
As a HID report descriptor they make a neutral report that stays one, and keeps its length and id.
"""

from gadgetip.server.userspace.endpoints import read_configurations
from gadgetip.usb import DescriptorError, InputReports, build_device_file, parse_device_file
from tests.fuzz.draw import Draw

DEVICE = bytes.fromhex("12010002000000406b1d0401120601020301")
LONG_REPORT = 1024
MAX_REPORT_DESCRIPTOR = 256
PIECES = tuple(
    bytes.fromhex(text)
    for text in (
        "0904000002080650",
        "090400000208065000",
        "090401000103010100",
        "0904000102ff000000",
        "0705810200020a",
        "07050102000201",
        "07058303080007",
        "0705820140000104",
        "09050101c000010000",
        "09211101000122 3f00",
        "0524001001",
        "0424020205",
        "0b 24 01 00 01 40 00 01 01 00 00",
        "080b000202020100",
        "0a060002000000400100",
        "06300f000000",
        "0000",
        "0102",
        "ff0400",
        "050719e029e715002501750195088102",
        "85019506750815002565050719002965 8100",
        "0501150025077504950181427504950181 03",
    )
)


def run(data: bytes) -> int:
    """Read a device that `data` describes."""
    draw = Draw(data)
    raw = draw.raw(draw.left) if draw.one_in(4) else _composed(draw)
    for configuration in read_configurations(raw).values():
        assert all(address & 0x0F for address in configuration.endpoints({0: 0, 1: 1}))
    _let_go(InputReports(raw[-MAX_REPORT_DESCRIPTOR:]))
    refusal = ""
    try:
        tree = parse_device_file(raw)
    except DescriptorError as error:
        refusal = str(error)
    else:
        assert build_device_file(tree) == raw
    assert refusal.isprintable()
    return 1


def _let_go(reports: InputReports) -> None:
    for report_id in range(256 if reports.has_ids else 1):
        length = reports.length_of(report_id)
        if length is not None and reports.has_ids < length <= LONG_REPORT:
            pressed = bytes((report_id,)) * reports.has_ids + b"\xff" * (length - reports.has_ids)
            neutral = reports.neutral(pressed)
            assert len(neutral) == length
            assert reports.id_of(neutral) == report_id
            assert reports.neutral(neutral) == neutral


def _composed(draw: Draw) -> bytes:
    device = bytearray(DEVICE)
    if draw.one_in(8):
        device[draw.integer(0, 17)] = draw.integer(0, 255)
    body = b""
    interfaces = 0
    while draw.left and len(body) < 2000:
        piece = bytearray(draw.pick(PIECES))
        if draw.one_in(6):
            piece[draw.integer(0, len(piece) - 1)] = draw.integer(0, 255)
        interfaces += piece[:2] == b"\x09\x04"
        body += piece
    total = 9 + len(body) if not draw.one_in(16) else draw.integer(0, 0xFFFF)
    count = interfaces if not draw.one_in(16) else draw.integer(0, 255)
    head = bytes((9, 2)) + total.to_bytes(2, "little") + bytes((count & 0xFF, 1, 0, 0x80, 50))
    return bytes(device) + head + body
