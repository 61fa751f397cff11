"""Who the replica says it is, and that no device can say more through it than it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.deviations import Deviation
from gadgetip.gadget.identity import MAX_STRING_BYTES, Identity
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC3, UDC_MODELS, UdcModel
from gadgetip.usb import DeviceDescriptor, StringTable

from .devices import DEVICE, UAS_STICK, device, stick, strings
from .planning import functionfs, gadgetfs, only, texts


def identity(
    table: StringTable | None = None, descriptor: DeviceDescriptor = DEVICE
) -> tuple[Identity, list[Deviation]]:
    made = functionfs(device(stick(), texts=table, descriptor=descriptor))
    assert made.refusals == ()
    return made.identity, list(made.deviations)


def powered(attributes: int, power: int) -> Plan:
    data = bytearray(stick())
    data[7], data[8] = attributes, power
    return functionfs(device(bytes(data)))


def test_the_devices_own() -> None:
    descriptor = DEVICE.replace(
        idVendor=0xFFFF, bDeviceClass=0xEF, bDeviceSubClass=2, bDeviceProtocol=1, bcdDevice=0x9999
    )
    own, deviations = identity(descriptor=descriptor)
    assert deviations == []
    assert (own.idVendor, own.idProduct, own.bcdDevice) == (0xFFFF, 0x5581, 0x9999)
    assert (own.bDeviceClass, own.bDeviceSubClass, own.bDeviceProtocol) == (0xEF, 2, 1)
    assert own.strings == {
        0x0409: {"manufacturer": "SanDisk", "product": "Ultra", "serialnumber": "4C530001"}
    }


@pytest.mark.parametrize(
    ("own", "shown"), [(0x0A10, 0x0910), (0xFFFF, 0x9999), (0x12AB, 0x1299), (0x0F00, 0x0900)]
)
def test_a_version_that_is_no_decimal_number(own: int, shown: int) -> None:
    made, deviations = identity(descriptor=DEVICE.replace(bcdDevice=own))
    assert made.bcdDevice == shown
    assert [str(d) for d in deviations] == [
        f"bcdDevice: 0x{own:04x} is no decimal number, which the kernel insists on: 0x{shown:04x}"
    ]


@pytest.mark.parametrize(
    ("attributes", "power", "shown", "text"),
    [
        (0x80, 250, 500, ""),
        (0x80, 255, 500, "the replica says 500 mA, the device 510 mA"),
        (0x80, 0, 2, "the replica says 2 mA, the device 0 mA"),
        (0xC0, 0, 0, ""),
        (0xC0, 50, 100, ""),
    ],
)
def test_power(attributes: int, power: int, shown: int, text: str) -> None:
    made = powered(attributes, power)
    assert only(made).max_power_ma == shown
    assert [d.reason for d in made.deviations] == ([text] if text else [])
    assert only(made).bmAttributes == attributes


def test_more_power_than_can_be_said_is_no_cosmetic_difference() -> None:
    assert [d.severity for d in powered(0x80, 255).deviations] == [Severity.DEGRADED]
    assert [d.severity for d in powered(0x80, 0).deviations] == [Severity.INFO]


def test_power_at_superspeed_is_counted_in_8_ma() -> None:
    assert only(functionfs(UAS_STICK, DWC3)).max_power_ma == 896
    assert only(functionfs(UAS_STICK, DUMMY_HCD)).max_power_ma == 500


def test_reserved_bits_are_made_true_and_told() -> None:
    made = powered(0x5F, 50)
    assert only(made).bmAttributes == 0xC0
    assert texts(made, Severity.INFO) == [
        "bmAttributes: reserved bits are as the specification has them: 0xc0 for 0x5f"
    ]


@pytest.mark.parametrize("model", UDC_MODELS, ids=lambda model: str(model.name))
@pytest.mark.parametrize("bcd_usb", [0x0110, 0x0200, 0x0201, 0x0210, 0x0320])
def test_the_version_of_usb_is_the_kernels(model: UdcModel, bcd_usb: int) -> None:
    tree = device(stick(), descriptor=DEVICE.replace(bcdUSB=bcd_usb))
    for make, shown in ((functionfs, 0x0210 if model is DWC3 else 0x0200), (gadgetfs, 0x0200)):
        told = [d for d in make(tree, model).deviations if d.subject == "bcdUSB"]
        assert bool(told) is (shown != bcd_usb)
        assert all(f"0x{shown:04x} for 0x{bcd_usb:04x}" in each.reason for each in told)


def test_a_binary_object_store() -> None:
    tree = device(stick(), bos=bytes.fromhex("050f050000"))
    none = "BOS descriptor: the kernel makes none at this speed"
    assert none in texts(functionfs(tree), Severity.INFO)
    assert none in texts(gadgetfs(tree, DWC3), Severity.INFO)
    assert "BOS descriptor: the kernel's own" in texts(functionfs(tree, DWC3), Severity.INFO)


# --- strings --------------------------------------------------------------------------------


HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "line\nline\r\nline",
    "nul\0nul",
    "\u202egnp.exe",
    "half \ud800 pair",
    "\x9b31m",
    "\u2028\u2029\ufeff",
    "tab\tand\x7f",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_disarmed(text: str) -> None:
    made, deviations = identity(strings({1: text, 2: "Ultra", 3: text}))
    assert made.strings[0x0409]["manufacturer"] == "".join(c for c in text if c.isprintable())
    assert {d.subject for d in deviations} == {"manufacturer", "serialnumber"}
    assert {d.severity for d in deviations} == {Severity.DEGRADED}
    assert all(str(d).isprintable() for d in deviations)


@given(st.text(max_size=200))
def test_what_reaches_the_kernel_is_short_and_printable(text: str) -> None:
    made, deviations = identity(strings({1: text, 2: "Ultra", 3: "S"}))
    shown = made.strings[0x0409]["manufacturer"]
    assert len(shown.encode()) <= MAX_STRING_BYTES
    assert shown.replace("\u00a0", " ").isprintable()
    assert (shown == text) is (deviations == [])
    assert all(str(d).replace("\u00a0", " ").isprintable() for d in deviations)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 126, "x" * 126),
        ("x" * 127, "x" * 126),
        ("\u00e9" * 63, "\u00e9" * 63),
        ("x" + "\u00e9" * 63, "x" + "\u00e9" * 62),  # no half characters
        ("\u20ac" * 43, "\u20ac" * 42),
        ("", ""),
    ],
)
def test_long_strings_are_cut_between_characters(text: str, shown: str) -> None:
    made, _ = identity(strings({1: text, 2: "Ultra", 3: "S"}))
    assert made.strings[0x0409]["manufacturer"] == shown


def test_interface_and_configuration_strings_are_disarmed_too() -> None:
    data = bytearray(stick())
    data[6], data[9 + 8] = 4, 5
    table = strings({1: "m", 2: "p", 3: "s", 4: "conf\x1b[0m\n", 5: "iface\0\r"})
    planned = only(functionfs(device(bytes(data), texts=table)))
    assert planned.strings == {0x0409: "conf[0m"}
    assert planned.interface_strings == {0x0409: ("iface",)}


@pytest.mark.parametrize(
    ("langids", "shown"),
    [
        ((0x0409,), (0x0409,)),
        ((0x0407, 0x0409), (0x0407, 0x0409)),
        ((0x0409, 0x0407, 0x040C), (0x0409, 0x0407)),
        ((0x0000,), (0x0409,)),  # seen in the field; the kernel makes no such directory
        ((0xFFFF, 0x0009, 0x0407), (0x0407,)),
        ((0x0409, 0x0409), (0x0409,)),
        ((0x0462, 0x04FE, 0x0500), (0x0409,)),
        ((0x04FF, 0x0461), (0x04FF, 0x0461)),
        ((), ()),
    ],
)
def test_languages_that_the_kernel_takes(langids: tuple[int, ...], shown: tuple[int, ...]) -> None:
    made, deviations = identity(strings({1: "m", 2: "p", 3: "s"}, langids))
    assert tuple(made.strings) == shown
    for named in made.strings.values():
        assert named == {"manufacturer": "m", "product": "p", "serialnumber": "s"}
    told = [str(d) for d in deviations if d.subject == "languages"]
    assert bool(told) is (langids not in {shown, ()})
    assert all(f"0x{lang:04x}" in told[0] for lang in (*langids, *shown) if told)


def test_a_serial_number_alone() -> None:
    descriptor = DEVICE.replace(iManufacturer=0, iProduct=0, iSerialNumber=1)
    made, deviations = identity(strings({1: "S"}), descriptor)
    assert made.strings == {0x0409: {"serialnumber": "S"}}
    # One string makes the kernel show all three.
    assert [str(d) for d in deviations] == [
        "iManufacturer: string index 1 instead of 0, an empty string",
        "iProduct: string index 2 instead of 0, an empty string",
        "iSerialNumber: string index 3 instead of 1",
    ]
