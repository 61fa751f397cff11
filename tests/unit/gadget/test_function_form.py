"""What FunctionFS carries, how it is numbered, and what it is refused for."""

from dataclasses import replace

import pytest

from gadgetip.gadget import Severity
from gadgetip.gadget.deviations import Deviation
from gadgetip.gadget.function_form import note_what_functions_lose
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC2_BCM2835, DWC3, USBIP_VUDC, UdcModel
from gadgetip.usb import DeviceTree, Speed, StringTable

from .devices import (
    CAMERA,
    DEVICE,
    HS_STICK,
    SERIAL,
    configuration,
    device,
    emulated,
    endpoint,
    interface,
    stick,
    strings,
)
from .planning import data, functionfs, gadgetfs, only, texts

DEGRADED, INFO, REFUSED = Severity.DEGRADED, Severity.INFO, Severity.REFUSED


# --- what is lost of any device ---------------------------------------------------------------


def lost(tree: DeviceTree, model: UdcModel = DUMMY_HCD) -> list[Deviation]:
    """What every replica loses on a backend of this form, as the plan tells it."""
    found: list[Deviation] = []
    note_what_functions_lose(tree, model, found)
    assert {each.severity for each in found} <= {DEGRADED}
    assert set(found) <= set(functionfs(tree, model).deviations)
    assert not set(found) & set(gadgetfs(tree, model).deviations)
    return found


def test_nothing_is_lost_of_a_plain_device() -> None:
    assert lost(SERIAL) == []


@pytest.mark.parametrize("code", [0, 0x20])
def test_microsofts_extended_properties_are_lost(code: int) -> None:
    (told,) = lost(replace(HS_STICK, ms_os_vendor_code=code))
    assert told.subject == "Microsoft OS descriptor"


def test_a_controller_that_can_be_a_host_adds_a_descriptor() -> None:
    otg = replace(DUMMY_HCD, is_otg=True)
    (told,) = lost(HS_STICK, otg)
    assert told.subject == "OTG descriptor"
    assert "set its dr_mode to peripheral" in told.reason


# --- descriptors ----------------------------------------------------------------------------


def test_a_serial_port_is_refused_and_each_descriptor_named() -> None:
    assert texts(functionfs(SERIAL), REFUSED) == [
        f"interface 1: FunctionFS takes no cs interface descriptor (type 0x24, {size} bytes) "
        "in class 02/02/01"
        for size in (5, 4)
    ]


def test_a_camera_is_refused() -> None:
    made = functionfs(CAMERA)
    assert {deviation.subject for deviation in made.refusals} == {"interface 0", "interface 1"}
    assert any("cs endpoint descriptor (type 0x25, 5 bytes)" in r for r in texts(made, REFUSED))


@pytest.mark.parametrize(
    ("triple", "kind", "length", "carried"),
    [
        ((3, 0, 0), 0x21, 9, True),
        ((3, 0, 0), 0x21, 12, False),  # two report descriptors
        ((0x0B, 0, 0), 0x21, 54, True),
        ((0x0B, 0, 0), 0x21, 9, False),
        ((0xFE, 1, 2), 0x21, 9, True),
        ((0xFE, 1, 2), 0x21, 7, False),  # DFU 1.0
        ((0xFE, 2, 0), 0x21, 9, False),
        ((0xFF, 0, 0), 0x21, 9, False),
        ((3, 0, 0), 0x22, 9, False),
        ((2, 2, 1), 0x24, 5, False),
        ((0xFF, 0, 0), 0x41, 4, False),
    ],
)
def test_class_specific_descriptors(
    triple: tuple[int, int, int], kind: int, length: int, carried: bool
) -> None:
    extra = bytes((length, kind)) + bytes(length - 2)
    refusals = functionfs(device(configuration(interface(0, 0, triple), extra))).refusals
    assert (not refusals) is carried
    if not carried:
        (refusal,) = refusals
        assert refusal.subject == "interface 0"
        assert f"(type 0x{kind:02x}, {length} bytes) in class {triple[0]:02x}" in refusal.reason


@pytest.mark.parametrize(
    ("descriptors", "problem"),
    [
        ([b"\x0a" + interface(0, 0)[1:] + b"\0"], "interface descriptor (type 0x04, 10 bytes)"),
        ([interface(0, 1), b"\x08" + endpoint(0x81)[1:] + b"\0"], "endpoint .*0x05, 8 bytes"),
        (
            [interface(0, 1), endpoint(0x81), b"\x07\x30" + bytes(5)],
            "endpoint companion descriptor (type 0x30, 7 bytes)",
        ),
        ([b"\x09\x0b" + bytes(7), interface(0, 0)], "interface association descriptor of 9 bytes"),
    ],
)
def test_standard_descriptors_of_another_length(descriptors: list[bytes], problem: str) -> None:
    """Legal, kept by the parser, and refused by the kernel with the whole set."""
    refusals = texts(functionfs(device(configuration(*descriptors))), REFUSED)
    assert len(refusals) == 1
    assert all(word in refusals[0] for word in problem.split(".*")), refusals


def test_an_audio_endpoint_is_two_bytes_longer_and_carried() -> None:
    long = b"\x09" + endpoint(0x81)[1:] + b"\0\0"
    assert functionfs(device(configuration(interface(0, 1), long))).refusals == ()


def test_a_class_descriptor_in_front_of_its_interface_would_be_taken_for_another_class() -> None:
    association = bytes((8, 0x0B, 1, 1, 3, 0, 0, 0))
    hid = bytes((9, 0x21)) + bytes(7)
    tree = device(
        configuration(interface(0, 0), association, hid, interface(1, 0, (3, 0, 0)), interfaces=2)
    )
    assert [d.subject for d in functionfs(tree).refusals] == ["interface 1"]


def test_a_companion_at_high_speed_is_kept() -> None:
    companion = b"\x06\x30" + bytes(4)
    parts = [interface(0, 1), endpoint(0x81), companion]
    made = functionfs(device(configuration(*parts)))
    assert made.refusals == ()
    assert data(made, Speed.HIGH) == b"".join(parts)
    assert companion not in data(made, Speed.FULL)


def test_without_companions_nothing_runs_at_superspeed() -> None:
    tree = device(stick(size=1024), speed=Speed.SUPER)
    assert [d.subject for d in functionfs(tree, DWC3).refusals] == [
        "endpoint 0x81",
        "endpoint 0x02",
    ]
    assert functionfs(tree, DWC3, udc_speed=Speed.HIGH).refusals == ()


def test_a_control_endpoint_is_refused_by_name() -> None:
    tree = device(configuration(interface(0, 1), endpoint(0x02, 0, 64)))
    assert "endpoint 0x02: a control endpoint other than 0 cannot be rebuilt" in texts(
        functionfs(tree, USBIP_VUDC), REFUSED
    )


def test_a_descriptor_in_front_of_all_interfaces_is_left_out_and_told() -> None:
    made = functionfs(device(configuration(b"\x03\x41\x00", interface(0, 0))))
    assert data(made, Speed.HIGH) == interface(0, 0)
    assert texts(made, DEGRADED) == [
        (
            "configuration: its unknown (0x41) descriptor is left out: "
            "FunctionFS has none outside of an interface"
        )
    ]


@pytest.mark.parametrize(("triple", "name"), [((1, 1, 0), "audio"), ((14, 1, 0), "video")])
def test_entities_cannot_be_addressed(triple: tuple[int, int, int], name: str) -> None:
    made = functionfs(device(configuration(interface(0, 0, triple))))
    assert texts(made, DEGRADED) == [
        (
            f"interface 0: {name} entities cannot be addressed: "
            "FunctionFS drops the high byte of wIndex"
        )
    ]


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "refused"), [(32, False), (33, True)])
def test_interfaces_are_counted(count: int, refused: bool) -> None:
    tree = device(configuration(*(interface(n, 0) for n in range(count)), interfaces=count))
    told = texts(functionfs(tree), REFUSED)
    assert told == (
        [f"configuration: it has {count} interfaces, the kernel takes 32"] if refused else []
    )


def test_a_configuration_is_no_longer_than_the_kernels_buffer() -> None:
    smart_card = bytes((54, 0x21)) + bytes(52)
    tree = device(configuration(interface(0, 0, (0x0B, 0, 0)), smart_card * 80))
    assert texts(functionfs(tree), REFUSED) == [
        "configuration: it has 4338 bytes, functionfs takes 4096"
    ]


def test_a_longer_header_is_told() -> None:
    own = bytearray(configuration(interface(0, 0)))
    own[0:1], own[9:9] = b"\x0b", b"\xaa\xbb"
    own[2] += 2
    assert texts(functionfs(device(bytes(own))), INFO) == [
        "configuration: its own descriptor has 11 bytes, the kernel makes 9"
    ]


def test_two_endpoints_of_the_same_address_are_refused() -> None:
    tree = device(configuration(interface(0, 8), *(endpoint(0x81 + n) for n in range(8))))
    assert "endpoints: dummy_hcd would give two of them the same address" in texts(
        functionfs(tree), REFUSED
    )


# --- numbers --------------------------------------------------------------------------------


def test_interfaces_with_gaps_are_renumbered_and_told() -> None:
    tree = device(
        configuration(
            interface(2, 1), endpoint(0x81), interface(5, 1), endpoint(0x82), interfaces=2
        )
    )
    made = functionfs(tree, DWC2_BCM2835)
    assert only(made).interfaces == (2, 5)
    assert texts(made, DEGRADED) == [
        "interface 2: the kernel numbers interfaces without gaps: it becomes 0",
        "interface 5: the kernel numbers interfaces without gaps: it becomes 1",
    ]
    assert [route.interface for route in only(made).routes[Speed.HIGH]] == [2, 5]
    assert [d.data[2] for d in only(made).descriptors[Speed.HIGH] if d.data[1] == 4] == [0, 1]


def test_associations_follow_their_interfaces() -> None:
    first = bytes((8, 0x0B, 2, 4, 0xFF, 0, 0, 0))  # 2 to 5, of which there are 2 and 5
    second = bytes((8, 0x0B, 7, 2, 0xFF, 0, 0, 0))
    numbers = [interface(n, 0) for n in (2, 5, 7, 8)]
    tree = device(configuration(first, *numbers[:2], second, *numbers[2:], interfaces=4))
    shown = [d.data for d in only(functionfs(tree)).descriptors[Speed.HIGH] if d.data[1] == 0x0B]
    assert [(each[2], each[3]) for each in shown] == [(0, 2), (2, 2)]


def test_an_association_goes_along_wherever_it_stands() -> None:
    first = bytes((8, 0x0B, 0, 1, 0xFF, 0, 0, 0))
    second = bytes((8, 0x0B, 1, 1, 0xFF, 0, 0, 0))
    parts = [first, interface(0, 0), second, interface(1, 0)]
    made = functionfs(device(configuration(*parts, interfaces=2)))
    assert data(made, Speed.HIGH) == data(made, Speed.FULL) == b"".join(parts)


# --- strings --------------------------------------------------------------------------------


def test_strings_go_where_the_kernel_will_look_for_them() -> None:
    first, second = bytearray(interface(0, 0)), bytearray(interface(1, 0))
    first[8], second[8] = 9, 5
    association = bytes((8, 0x0B, 0, 2, 0xFF, 0, 0, 7))
    own = bytearray(configuration(association, bytes(first), bytes(second), interfaces=2))
    own[6] = 4
    names = {1: "maker", 2: "thing", 3: "serial", 4: "the configuration", 5: "B", 7: "F", 9: "A"}
    made = functionfs(device(bytes(own), texts=strings(names, (0x0409, 0x0407))))
    planned = only(made)
    assert planned.interface_strings == {0x0409: ("B", "F", "A"), 0x0407: ("B", "F", "A")}
    assert planned.strings == {0x0409: "the configuration", 0x0407: "the configuration"}
    # The function's own numbers.
    assert [d.data[-1] for d in planned.descriptors[Speed.HIGH]] == [2, 3, 1]
    assert texts(made, INFO) == [
        "interface 0: iInterface is string index 7 instead of 9",
        "interface association 0: iFunction is string index 6 instead of 7",
    ]


def test_a_misplaced_association_has_its_string_all_the_same() -> None:
    """Behind the last interface it introduces nothing; the kernel rewrites its index even so."""
    association = bytes((8, 0x0B, 0, 1, 0xFF, 0, 0, 9))
    tree = device(configuration(interface(0, 0), association), texts=strings({2: "p", 9: "F"}))
    planned = only(functionfs(tree))
    assert planned.descriptors[Speed.HIGH][-1].data[-1] == 1
    assert planned.interface_strings == {0x0409: ("F",)}


def test_the_second_configurations_strings_are_behind_the_firsts() -> None:
    made = functionfs(emulated("two-configurations"))
    assert [each.strings[0x0409] for each in made.configurations] == ["Echo", "Keyboard"]
    assert [text for text in texts(made, INFO) if "iConfiguration" in text] == []


def test_a_string_that_the_device_names_and_does_not_give() -> None:
    first = bytearray(interface(0, 0))
    first[8] = 9
    made = functionfs(device(configuration(bytes(first)), texts=strings({2: "thing"})))
    assert only(made).descriptors[Speed.HIGH][0].data[8] == 0
    assert made.identity.strings == {0x0409: {"product": "thing"}}
    assert "interface 0: iInterface is string index 0 instead of 9" in texts(made, INFO)


def test_no_strings_at_all() -> None:
    made = functionfs(device(stick(), texts=StringTable()))
    assert made.identity.strings == {}
    assert texts(made, INFO) == [
        f"{name}: string index 0 instead of {own}"
        for name, own in (("iManufacturer", 1), ("iProduct", 2), ("iSerialNumber", 3))
    ]
    silent = DEVICE.replace(iManufacturer=0, iProduct=0, iSerialNumber=0)
    assert functionfs(device(stick(), texts=StringTable(), descriptor=silent)).deviations == ()
