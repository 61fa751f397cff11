"""The neutral report: everything let go of, and nothing else changed."""

import time
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.usb import InputReports
from gadgetip.usb.hid_report import MAX_REPORT_BITS
from tests.emulated.devices.hid import CONSUMER_REPORTS
from tests.system.devices.hid import KEYBOARD_REPORTS, MOUSE_REPORTS, large_reports

from .examples import KEYBOARD_AND_MOUSE

TABLET = bytes.fromhex(
    "050d0902a1010920a100"  # digitizer, pen, stylus
    "09420944 1500 2501 7501 9502 8102"  # tip and barrel switch
    "9506 8103"
    "05010930 0931 1500 26ff7f 7510 9502 8102"  # where it is, absolute
    "c0c0"
)
HAT_SWITCH = bytes.fromhex(
    "05010905a101"
    "0939 1500 2507 7504 9501 8142"  # eight directions in four bits, with a null state
    "7504 8103"
    "0930 1580 257f 7508 9501 8102"  # an axis
    "c0"
)


@pytest.mark.parametrize(
    ("descriptor", "report", "neutral"),
    [
        (KEYBOARD_REPORTS, "02 00 04 05 00 00 00 00", "00 00 00 00 00 00 00 00"),
        (KEYBOARD_REPORTS, "02 5a 04 00 00 00 00 00", "00 5a 00 00 00 00 00 00"),
        (MOUSE_REPORTS, "07 05 fb", "00 00 00"),
        (MOUSE_REPORTS, "f9 00 00", "f8 00 00"),  # five bits of padding
        (KEYBOARD_AND_MOUSE, "01 02 04 05 06 07 08", "01 00 00 00 00 00 00"),
        (KEYBOARD_AND_MOUSE, "02 01 7f 81", "02 00 00 00"),
        (KEYBOARD_AND_MOUSE, "03 01 02", "03 01 02"),  # not described
        (KEYBOARD_AND_MOUSE, "01 02 04", "01 02 04"),  # of another length
        (TABLET, "01 34 12 78 56", "00 34 12 78 56"),
        (HAT_SWITCH, "02 40", "08 40"),
        (CONSUMER_REPORTS, "05", "00"),
        (KEYBOARD_REPORTS, "", ""),
        (KEYBOARD_AND_MOUSE, "", ""),
    ],
)
def test_what_is_known(descriptor: bytes, report: str, neutral: str) -> None:
    made = InputReports(descriptor).neutral(bytes.fromhex(report))
    assert made == bytes.fromhex(neutral)


def test_a_report_of_vendor_bytes_stays_as_it_was() -> None:
    report = bytes(range(64))
    assert InputReports(large_reports()).neutral(report) == report


@pytest.mark.parametrize(
    ("logical_range", "size", "neutral"),
    [
        ("1500 2507", 4, 8),
        ("1501 2508", 4, 9),
        ("1501 250f", 4, 0),
        ("1581 257f", 8, 0x80),
        ("15f8 2507", 4, None),  # -8 to 7: every value is in the range
        ("1500 26ff00", 8, None),
        ("1500 2501", 2, 2),
    ],
)
def test_a_null_state_is_outside_the_range(
    logical_range: str, size: int, neutral: int | None
) -> None:
    """Where no value is outside, there is none to take."""
    head = bytes.fromhex(f"0501 0939 {logical_range} 75{size:02x} 9501 8142 75{8 - size:02x} 8103")
    made = InputReports(head).neutral(b"\x03")
    assert made == (b"\x03" if neutral is None else bytes((neutral,)))


def test_an_array_with_a_null_state_takes_it_unless_it_holds_keys() -> None:
    """Its 0 may be the first of its usages; a BIOS knows no other 'no key' than 0."""
    array = bytes.fromhex("050c 1500 2502 7508 9502 8140")
    keys = bytes.fromhex("0507 1500 2565 7508 9502 8140")
    assert InputReports(array).neutral(b"\x01\x02") == b"\x03\x03"
    assert InputReports(keys).neutral(b"\x04\x05") == b"\0\0"


def test_pushed_items_come_back() -> None:
    described = bytes.fromhex("7508 9501 0507 a4 7510 0501 b4 8102")
    assert InputReports(described).length_of(0) == 1
    assert InputReports(described).neutral(b"\x01") == b"\0"


def test_long_items_are_stepped_over() -> None:
    assert InputReports(bytes.fromhex("fe 02 10 8102") + KEYBOARD_REPORTS).length_of(0) == 8


# --- well-formed descriptors ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """An input field as the strategy means it; `kind` says what becomes of its values."""

    kind: str
    size: int
    count: int

    def items(self) -> bytes:
        """As items of a report descriptor."""
        page, low, high, flags = {
            "key": (0x07, 0, 1, 0x02),
            "button": (0x09, 0, 1, 0x02),
            "array": (0x07, 0, 101, 0x00),
            "relative": (0x01, -127, 127, 0x06),
            "absolute": (0x01, 0, 3, 0x02),
            "hat": (0x01, 0, 2, 0x42),
            "padding": (0x01, 0, 1, 0x03),
        }[self.kind]
        return bytes((0x05, page, 0x15, low & 0xFF, 0x25, high)) + bytes(
            (0x75, self.size, 0x95, self.count, 0x81, flags)
        )

    def becomes(self, value: int) -> int:
        """What one of its values is in the neutral report."""
        if self.kind == "hat":
            return 3
        return value if self.kind in {"absolute", "padding"} else 0


FIELDS = st.builds(
    Field,
    st.sampled_from(["key", "button", "array", "relative", "absolute", "hat", "padding"]),
    st.integers(2, 16),
    st.integers(1, 5),
)
REPORTS = st.lists(FIELDS, min_size=1, max_size=6)


@settings(deadline=None)
@given(st.data(), st.dictionaries(st.integers(1, 255), REPORTS, min_size=1, max_size=3))
def test_what_a_neutral_report_is(data: st.DataObject, reports: dict[int, list[Field]]) -> None:
    has_ids = data.draw(st.booleans())
    if not has_ids:
        reports = {0: next(iter(reports.values()))}
    described = b"".join(
        bytes((0x85, report_id)) * has_ids + b"".join(field.items() for field in fields)
        for report_id, fields in reports.items()
    )
    understood = InputReports(described)
    report_id = data.draw(st.sampled_from(sorted(reports)))
    report, wanted, bits = 0, 0, 0
    for field in reports[report_id]:
        for _ in range(field.count):
            value = data.draw(st.integers(0, (1 << field.size) - 1))
            report |= value << bits
            wanted |= field.becomes(value) << bits
            bits += field.size
    length = (bits + 7) // 8
    head = bytes((report_id,)) * has_ids
    sent = head + report.to_bytes(length, "little")
    neutral = understood.neutral(sent)
    assert understood.length_of(report_id) == len(sent)
    assert neutral == head + wanted.to_bytes(length, "little")
    assert understood.neutral(neutral) == neutral


# --- hostile descriptors --------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=100))
def test_any_bytes_do_no_harm(descriptor: bytes, report: bytes) -> None:
    reports = InputReports(descriptor)
    neutral = reports.neutral(report)
    assert len(neutral) == len(report)
    assert reports.id_of(neutral) == reports.id_of(report)
    assert reports.neutral(neutral) == neutral


ITEMS = st.tuples(
    st.sampled_from([0x04, 0x14, 0x24, 0x74, 0x84, 0x94, 0x80, 0xA4, 0xB4, 0xFC]),
    st.sampled_from([0, 1, 2, 3]),
    st.binary(min_size=4, max_size=4) | st.just(b"\xff" * 4),
).map(lambda item: bytes((item[0] | item[1],)) + item[2][: (0, 1, 2, 4)[item[1]]])


@settings(deadline=None)
@given(st.lists(ITEMS, max_size=60).map(b"".join), st.integers(0, 255), st.booleans())
def test_any_items_do_no_harm(descriptor: bytes, report_id: int, ones: bool) -> None:
    reports = InputReports(descriptor)
    length = reports.length_of(report_id)
    if length is None or not 0 < length <= 4096:
        return
    body = (b"\xff" if ones else b"\0") * (length - reports.has_ids)
    report = bytes((report_id,)) * reports.has_ids + body
    neutral = reports.neutral(report)
    assert len(neutral) == len(report)
    assert reports.neutral(neutral) == neutral


@pytest.mark.parametrize(
    "descriptor",
    [
        bytes.fromhex("0507 7501 97ffffffff") + b"\x81\x02" * 2043,
        bytes.fromhex("0507 7501 9700000800") + b"\x81\x02" * 2043,  # all that a report may have
        bytes.fromhex("0507 7501 9680 00") + b"\x81\x02" * 2043,
        bytes.fromhex("0501 1500 2507 7504 9500 9680ff 8142 8142 8142"),
        b"\x81" * 4096,
        b"\xa4" * 4096,
        bytes.fromhex("77ffffffff 97ffffffff 8102") * 372,
    ],
)
def test_huge_counts_take_no_time(descriptor: bytes) -> None:
    before = time.process_time()
    reports = InputReports(descriptor)
    length = reports.length_of(0) or 0
    assert length <= MAX_REPORT_BITS // 8
    reports.neutral(b"\xff" * length)
    assert time.process_time() - before < 1
