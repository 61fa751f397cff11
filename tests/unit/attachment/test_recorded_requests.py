"""What is asked again of a device that was reset: each setting, as the host left it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.attachment import recorded_requests
from gadgetip.attachment.recorded_requests import MAX_DATA_BYTES, MAX_RECORDED, RecordedRequests
from gadgetip.gadget import Holdable
from gadgetip.gadget.holding import SERIAL_MAKERS
from gadgetip.usb import SetupPacket

FTDI, CP210X, PL2303, CH34X = 0x0403, 0x10C4, 0x067B, 0x1A86
PORT = {0: Holdable.SERIAL}
TWO_PORTS = {0: Holdable.SERIAL, 1: Holdable.SERIAL}
KEYS = {0: Holdable.INPUT, 1: Holdable.INPUT}
DISK = {0: Holdable.STORAGE}

Kinds = dict[int, Holdable]


def ask(text: str) -> SetupPacket:
    """bmRequestType bRequest wValue wIndex, in hexadecimal."""
    request_type, request, value, index = (int(field, 16) for field in text.split())
    return SetupPacket(request_type, request, value, index, 0)


def replayed(kinds: Kinds, maker: int, *asked: str) -> list[str]:
    """What is asked again behind these."""
    requests = RecordedRequests(kinds, maker)
    for each in asked:
        requests.note(ask(each), b"")
    return [
        f"{s.bmRequestType:02x} {s.bRequest:02x} {s.wValue:04x} {s.wIndex:04x}"
        for s, _ in requests.all()
    ]


@pytest.mark.parametrize(
    ("kinds", "maker", "asked"),
    [
        (PORT, FTDI, "40 02 0000 0100"),  # flow control
        (PORT, FTDI, "40 03 4138 0000"),  # baud rate
        (PORT, FTDI, "40 04 0008 0000"),  # data
        (PORT, FTDI, "40 06 0000 0000"),
        (PORT, FTDI, "40 07 0000 0000"),
        (PORT, FTDI, "40 09 0001 0000"),  # latency timer
        (PORT, FTDI, "40 0b 0000 0000"),
        (PORT, CP210X, "41 00 0001 0000"),  # enabled
        (PORT, CP210X, "41 03 0800 0000"),  # line control
        (PORT, CP210X, "41 13 0000 0000"),
        (PORT, CP210X, "41 19 0000 0000"),
        (PORT, CP210X, "41 1e 0000 0000"),
        (PORT, PL2303, "40 01 0000 0001"),
        (PORT, PL2303, "40 80 000a 00ff"),
        (PORT, PL2303, "21 20 0000 0000"),  # the line coding of its class
        (PORT, CH34X, "40 a1 0000 0000"),
        (PORT, CH34X, "40 a4 ff9f 0000"),
        (PORT, CH34X, "40 9a 1312 b282"),
        (PORT, 0x1234, "21 20 0000 0000"),  # CDC: SET_LINE_CODING
        (PORT, 0x1234, "21 22 0003 0000"),  # SET_CONTROL_LINE_STATE
        (PORT, 0x1234, "21 02 0001 0000"),  # SET_COMM_FEATURE
        (KEYS, 0x1234, "21 09 0200 0000"),  # SET_REPORT: the lights
        (KEYS, 0x1234, "21 0a 0000 0001"),  # SET_IDLE
        (KEYS, 0x1234, "21 0b 0000 0000"),  # SET_PROTOCOL
    ],
)
def test_a_setting_is_asked_for_again(kinds: Kinds, maker: int, asked: str) -> None:
    assert replayed(kinds, maker, asked) == [asked]
    assert RecordedRequests(kinds, maker).is_setting(ask(asked))


@pytest.mark.parametrize(
    ("kinds", "maker", "asked"),
    [
        (PORT, FTDI, "40 00 0001 0000"),  # purge
        (PORT, FTDI, "c0 05 0000 0000"),  # modem status
        (PORT, FTDI, "40 91 0000 0000"),  # write EEPROM
        (PORT, CP210X, "41 05 0001 0000"),  # break
        (PORT, CP210X, "41 12 000f 0000"),  # purge
        (PORT, PL2303, "40 01 0008 0000"),  # reset of the data pipes
        (PORT, PL2303, "40 01 0009 0000"),
        (PORT, PL2303, "40 80 0007 0003"),
        (PORT, PL2303, "21 23 ffff 0000"),  # break
        (PORT, CH34X, "c0 95 2518 0000"),  # a question
        (PORT, 0x1234, "40 01 0000 0000"),  # a maker that nobody knows
        (PORT, CP210X, "40 a1 0000 0000"),  # another maker's
        (PORT, 0x1234, "21 23 ffff 0000"),  # SEND_BREAK
        (PORT, 0x1234, "a1 21 0000 0000"),  # GET_LINE_CODING
        (PORT, 0x1234, "21 20 0000 0001"),  # an interface that is none
        (KEYS, FTDI, "40 03 4138 0000"),  # no serial port
        (KEYS, 0x1234, "21 09 0300 0000"),  # a feature report may do anything
        (KEYS, 0x1234, "21 20 0000 0000"),
        (DISK, 0x1234, "21 ff 0000 0000"),  # Bulk-Only Reset
        (PORT, 0x1234, "22 20 0000 0000"),  # an endpoint's
        (PORT, 0x1234, "00 09 0001 0000"),  # the standard's, which the device state keeps
    ],
)
def test_what_does_something_is_not(kinds: Kinds, maker: int, asked: str) -> None:
    assert replayed(kinds, maker, asked) == []
    assert not RecordedRequests(kinds, maker).is_setting(ask(asked))


def test_the_last_value_counts_and_the_sequence_is_the_hosts() -> None:
    asked = ["40 03 4138 0000", "40 04 0008 0000", "40 03 001a 0000"]
    assert replayed(PORT, FTDI, *asked) == asked[1:]


def test_registers_that_overlap_end_as_they_were() -> None:
    """Break (0x18 and 0x05) writes the line control that 0x25 and 0x18 had set, and back."""
    asked = ["40 9a 2518 00c3", "40 9a 1805 c383", "40 9a 2518 00db"]
    assert replayed(PORT, CH34X, *asked) == asked[1:]


def test_data_is_asked_with_its_setting() -> None:
    requests = RecordedRequests(PORT, 0)
    for data in (b"\x80%\0\0\0\0\x08", b"\0\xc2\x01\0\0\0\x08"):
        requests.note(ask("21 20 0000 0000"), data)
    assert requests.all() == ((ask("21 20 0000 0000"), b"\0\xc2\x01\0\0\0\x08"),)


@pytest.mark.parametrize(
    ("maker", "asked", "wanted"),
    [
        (FTDI, ["40 01 0101 0000", "40 01 0202 0000"], "40 01 0303 0000"),
        (FTDI, ["40 01 0303 0000", "40 01 0100 0000"], "40 01 0302 0000"),
        (FTDI, ["40 01 0101 0000", "40 01 0100 0000"], "40 01 0100 0000"),
        (CP210X, ["41 07 0303 0000", "41 07 0200 0000"], "41 07 0301 0000"),
        (CP210X, ["41 07 0103 0000"], "41 07 0103 0000"),
    ],
)
def test_dtr_and_rts_are_set_under_a_mask(maker: int, asked: list[str], wanted: str) -> None:
    assert replayed(PORT, maker, *asked) == [wanted]


def test_each_port_of_a_chip_has_settings_of_its_own() -> None:
    asked = ["40 03 4138 0001", "40 03 001a 0002"]
    assert replayed(TWO_PORTS, FTDI, *asked) == asked
    # A chip with one port has more bits of the rate in wIndex.
    assert replayed(PORT, FTDI, *asked) == asked[1:]


def test_each_report_has_its_own() -> None:
    asked = ["21 09 0201 0000", "21 09 0202 0000", "21 09 0201 0001", "21 0a 0001 0000"]
    assert replayed(KEYS, 0, *asked) == asked


def test_a_configuration_begins_from_nothing() -> None:
    requests = RecordedRequests(PORT, FTDI)
    requests.note(ask("40 03 4138 0000"), b"")
    requests.forget()
    assert requests.all() == ()


def test_no_more_is_kept_than_settings_take() -> None:
    requests = RecordedRequests(PORT, CH34X)
    for register in range(2 * MAX_RECORDED):
        requests.note(SetupPacket(0x40, 0x9A, register, 0, 0), b"")
    assert len(requests.all()) == MAX_RECORDED
    requests.note(SetupPacket(0x40, 0x9A, 5, 0x77, 0), b"")  # one that is kept may still change
    assert len(requests.all()) == MAX_RECORDED
    assert requests.all()[-1][0].wIndex == 0x77
    requests.note(SetupPacket(0x21, 0x20, 0, 0, 0), bytes(MAX_DATA_BYTES + 1))
    assert len(requests.all()) == MAX_RECORDED


def test_the_tables_are_of_makers_whose_adapters_are_held() -> None:

    tables = (recorded_requests._ONE_VALUE, recorded_requests._REGISTERS, recorded_requests._MASKED)
    assert {maker for table in tables for maker in table} == set(SERIAL_MAKERS)


# --- a model of each adapter ----------------------------------------------------------------


class Model:
    """What an adapter's settings are, as far as a host can set them."""

    def __init__(self, maker: int) -> None:
        self._maker = maker
        self.state: dict[object, int] = {}

    def take(self, setup: SetupPacket) -> None:
        """As the chip does."""
        request, value, index = setup.bRequest, setup.wValue, setup.wIndex
        if self._maker == CH34X and request == 0x9A:
            # Two registers a request: a number and a value in each byte.
            self.state[value & 0xFF] = index & 0xFF
            self.state[value >> 8] = index >> 8
        elif (self._maker, request) in {(FTDI, 0x01), (CP210X, 0x07)}:
            for bit in range(8):
                if value >> 8 >> bit & 1:
                    self.state["line", bit] = value >> bit & 1
        elif self._maker == PL2303 and request in {0x01, 0x80}:
            if (request, value) not in {(1, 8), (1, 9), (0x80, 7)}:
                self.state[request, value] = index
        elif (self._maker, request) not in {(FTDI, 0x00), (CP210X, 0x05), (CP210X, 0x12)}:
            self.state[request] = value


_REQUESTS = {
    FTDI: (0x40, [0x00, 0x01, 0x02, 0x03, 0x04, 0x06, 0x07, 0x09, 0x0B]),
    CP210X: (0x41, [0x00, 0x01, 0x03, 0x05, 0x07, 0x12, 0x13, 0x15, 0x19, 0x1E]),
    PL2303: (0x40, [0x01, 0x80]),
    CH34X: (0x40, [0xA1, 0xA4, 0x9A]),
}


@given(st.data(), st.sampled_from(sorted(_REQUESTS)))
def test_a_device_that_was_reset_gets_to_where_it_was(data: st.DataObject, maker: int) -> None:
    request_type, numbers = _REQUESTS[maker]
    registers = st.integers(0, 10) | st.sampled_from([0x2518, 0x1805, 0x1312])
    small = registers if maker in {PL2303, CH34X} else st.integers(0, 0xFFFF)
    made = st.builds(
        SetupPacket,
        st.just(request_type),
        st.sampled_from(numbers),
        small,
        st.integers(0, 0xFFFF) if maker in {PL2303, CH34X} else st.just(0),
        st.just(0),
    )
    requests, before, after = RecordedRequests(PORT, maker), Model(maker), Model(maker)
    for setup in data.draw(st.lists(made, max_size=30)):
        requests.note(setup, b"")
        before.take(setup)
    for setup, _ in requests.all():
        after.take(setup)
    assert after.state == before.state
