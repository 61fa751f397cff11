from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import UsageError
from gadgetip.matching import DeviceSelector, facts_of_record, facts_of_tree
from gadgetip.usb import DeviceTree, StringTable
from gadgetip.wire import InterfaceRecord
from tests.unit.gadget.devices import DEVICE, HS_STICK, UAS_STICK, device, stick, strings
from tests.unit.wire.pair import DEVICE as RECORD


@pytest.mark.parametrize(
    ("text", "key", "pattern"),
    [
        ("1-1.4", "busid", "1-1.4"),
        ("programmer", "busid", "programmer"),
        ("x" * 31, "busid", "x" * 31),
        ("0781:5581", "id", "0781:5581"),
        ("ABCD:EF01", "id", "abcd:ef01"),
        ("0781:*", "id", "0781:*"),
        ("[01]*:????", "id", "[01]*:????"),
        ("serial=4C53*", "serial", "4C53*"),
        ("serial=a=b", "serial", "a=b"),
        ("name=*Cruzer Blade*", "name", "*Cruzer Blade*"),
        ("class=08/06/50", "class", "08/06/50"),
        ("class=08", "class", "08/*/*"),
        ("class=FF/4?", "class", "ff/4?/*"),
        ("b\u00fcs-1", "busid", "b\u00fcs-1"),
        ("bus\udcff", "busid", "bus\udcff"),  # a byte that is not UTF-8, as the shell gives it
    ],
)
def test_what_is_understood(text: str, key: str, pattern: str) -> None:
    assert DeviceSelector.parse(text) == DeviceSelector(key, pattern)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no bus id"),
        ("x" * 32, "1 to 31 bytes"),
        ("\u00e4" * 16, "1 to 31 bytes"),
        ("1-1 4", "no spaces"),
        ("1-1\n", "no bus id"),
        ("\x1b[2J", "no bus id"),
        ("1-1\x00", "no bus id"),
        ("\u202e1-1", "no bus id"),
        ("\ud800", "no bus id"),
        ("serial=", "is no device"),
        ("busid=1-1", "is no device"),
        ("id=0781:5581", "is no device"),
        ("=x", "is no device"),
        ("class=", "is no device"),
        ("class=zz", "write CLASS/SUBCLASS/PROTOCOL"),
        ("class=08//50", "write CLASS/SUBCLASS/PROTOCOL"),
        ("class=08/06/50/01", "write CLASS/SUBCLASS/PROTOCOL"),
        ("class=../..", "write CLASS/SUBCLASS/PROTOCOL"),
    ],
)
def test_what_is_not(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as error:
        DeviceSelector.parse(text)
    assert str(error.value).isprintable()


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_a_usage_error(text: str) -> None:
    try:
        selector = DeviceSelector.parse(text)
    except UsageError:
        return
    selector.matches(facts_of_record(RECORD))
    selector.matches(facts_of_tree(HS_STICK))
    if selector.key == "busid":
        assert selector.pattern == text


STORAGE = InterfaceRecord(8, 6, 0x50)
HID = InterfaceRecord(3, 1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-2", True),
        ("1-3", False),
        ("1-2*", False),  # bus ids are no globs: they are imported as they are
        ("1d6b:0104", True),
        ("1D6B:01*", True),
        ("1d6b:0105", False),
        ("serial=x", None),
        ("name=x", None),
        ("class=ef/02/01", True),
        ("class=ef", True),
        ("class=08", None),
    ],
)
def test_what_a_list_tells(text: str, expected: bool | None) -> None:
    assert DeviceSelector.parse(text).matches(facts_of_record(RECORD)) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("class=08/06/50", True), ("class=*/*/01", True), ("class=09", False)]
)
def test_what_a_list_with_interfaces_tells(text: str, expected: bool) -> None:
    record = replace(RECORD, interfaces=(STORAGE, HID))
    assert DeviceSelector.parse(text).matches(facts_of_record(record)) is expected


@pytest.mark.parametrize(
    ("text", "tree", "expected"),
    [
        ("0781:5581", HS_STICK, True),
        ("0781:5582", HS_STICK, False),
        ("serial=4C53*", HS_STICK, True),
        ("serial=4c53*", HS_STICK, False),
        ("serial=4C53", HS_STICK, False),
        ("name=Ultra", HS_STICK, True),
        ("name=SanDisk Ultra", HS_STICK, True),
        ("name=SanDisk*", HS_STICK, True),
        ("name=SanDisk", HS_STICK, False),
        ("class=08/06/50", HS_STICK, True),
        ("class=08/06/62", HS_STICK, False),
        ("class=08/06/62", UAS_STICK, True),  # in an alternate setting
        ("class=00/00/00", HS_STICK, True),  # the device's own
        ("serial=*", device(stick(), texts=StringTable()), False),
        ("name=*", device(stick(), texts=strings({2: "thing"})), True),
        ("serial=*", device(stick(), descriptor=DEVICE.replace(iSerialNumber=0)), False),
        ("name=*", device(stick(), texts=StringTable()), False),
        ("1-1", HS_STICK, None),
    ],
)
def test_what_the_device_tells(text: str, tree: DeviceTree, expected: bool | None) -> None:
    assert DeviceSelector.parse(text).matches(facts_of_tree(tree)) is expected


@pytest.mark.parametrize("text", ["1-1.4", "0781:5581", "serial=4C53*", "class=08/*/*", "name=a b"])
def test_what_is_printed_is_understood(text: str) -> None:
    assert str(DeviceSelector.parse(text)) == text
