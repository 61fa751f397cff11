"""Microsoft's string 0xEE: known by its signature, and never by less."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadgetip.usb import MS_OS_STRING_BYTES, build_string_descriptor, parse_ms_os_string

SIGNATURE = "MSFT100".encode("utf-16-le")


def ms_os(code: int, pad: int = 0) -> bytes:
    return bytes((MS_OS_STRING_BYTES, 3)) + SIGNATURE + bytes((code, pad))


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20))
def test_the_vendor_code(code: int, pad: int, more: bytes) -> None:
    assert parse_ms_os_string(ms_os(code, pad) + more) == code


@given(st.binary(max_size=40))
@example(ms_os(1)[:-1])
@example(b"")
def test_anything_else_is_none(data: bytes) -> None:
    has_it = len(data) >= 18 and data[0] >= 18 and data[1] == 3 and data[2:16] == SIGNATURE
    assert (parse_ms_os_string(data) is not None) is has_it


@given(st.integers(0, 15), st.integers(0, 255))
def test_one_byte_of_it_decides(place: int, value: int) -> None:
    data = bytearray(ms_os(0x20))
    data[place] = value
    same = data == ms_os(0x20) or (place == 0 and value >= MS_OS_STRING_BYTES)
    assert (parse_ms_os_string(bytes(data)) == 0x20) is same


@pytest.mark.parametrize("text", ["", "MSFT100", "MSFT10", "A device with 0xEE strings"])
def test_a_string_of_a_device_that_knows_nothing_of_microsoft(text: str) -> None:
    assert parse_ms_os_string(build_string_descriptor(text)) is None
