"""What GadgetFS is given: the device's own bytes, and what does not fit."""

import pytest

from gadgetip.gadget import Severity
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC2_BCM2835, MUSB_AM335X, UDC_MODELS, UdcModel
from gadgetip.usb import Speed, build_configuration, parse_configuration
from tests.emulated.devices import DEVICES
from tests.unit.usb.examples import CONFIGURATIONS, WEBCAM

from .devices import (
    CAMERA,
    DEVICE,
    UAS_STICK,
    configuration,
    device,
    emulated,
    endpoint,
    hexadecimal,
    interface,
    stick,
)
from .planning import REBUILT, STOCK, gadgetfs, only, plan, texts

DEGRADED, INFO, REFUSED = Severity.DEGRADED, Severity.INFO, Severity.REFUSED
ALONE = "gadgetfs: a system has one such replica: a second device cannot use it meanwhile"
REMEDY = "build the larger module from board/dkms to go beyond that"


# --- every byte -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_at_the_devices_own_speed_every_byte_is_its_own(name: str) -> None:
    tree = emulated(name)
    made = gadgetfs(tree)
    planned = only(made)
    own = bytearray(build_configuration(tree.configuration(planned.value)))
    own[7] = own[7] & ~0x20 | 0x80  # wakeup is not claimed, which is told
    assert planned.data[made.speed] == own
    for data in planned.data.values():
        assert build_configuration(parse_configuration(data)) == data


@pytest.mark.parametrize("name", [n for n in CONFIGURATIONS if n != "stick at SuperSpeed"])
def test_devices_from_the_field(name: str) -> None:
    data = bytearray(CONFIGURATIONS[name])
    planned = only(gadgetfs(device(bytes(data))))
    data[7] &= ~0x20
    assert planned.data[Speed.HIGH] == data
    parse_configuration(planned.data[Speed.FULL])


def test_a_companion_at_high_speed_is_kept() -> None:
    """Useless there, and some devices have one; at full speed it is not the device's own."""
    companion = b"\x06\x30" + bytes(4)
    own = configuration(interface(0, 1), endpoint(0x81), companion)
    planned = only(gadgetfs(device(own)))
    assert planned.data[Speed.HIGH] == own
    assert companion not in planned.data[Speed.FULL]


def test_from_superspeed_to_high_speed() -> None:
    made = gadgetfs(UAS_STICK)
    assert made.speed is Speed.HIGH
    assert only(made).data[Speed.HIGH] == hexadecimal("""
        09 02 55 00 01 01 00 80 fa
        09 04 00 00 02 08 06 50 00
        07 05 81 02 00 02 00
        07 05 02 02 00 02 00
        09 04 00 01 04 08 06 62 00
        07 05 81 02 00 02 00   04 24 03 00
        07 05 02 02 00 02 00   04 24 04 00
        07 05 83 02 00 02 00   04 24 02 00
        07 05 04 02 00 02 00   04 24 01 00
    """)
    assert texts(made, DEGRADED)[1:] == ["bMaxPower: the replica says 500 mA, the device 896 mA"]
    assert "BOS descriptor: the kernel makes none at this speed" in texts(made, INFO)


def test_the_device_descriptor() -> None:
    descriptor = DEVICE.replace(bcdUSB=0x0110, bMaxPacketSize0=8, bcdDevice=0x0A0F)
    made = gadgetfs(device(stick(), stick(), descriptor=descriptor))
    assert made.device_descriptor == bytes(
        descriptor.replace(bcdUSB=0x0200, bMaxPacketSize0=64, bNumConfigurations=1).data
    )
    assert texts(made, INFO) == [
        ALONE,
        "bMaxPacketSize0: the controller's 64 instead of 8",
        "bcdUSB: the kernel writes 0x0200 for 0x0110",
    ]


def test_what_gadgetfs_answers_by_itself() -> None:
    made = gadgetfs(device(configuration(interface(0, 0), attributes=0xC0)))
    assert texts(made, INFO) == [
        ALONE,
        "device status: GET_STATUS says bus-powered: gadgetfs has no way to say otherwise",
    ]


def test_more_power_than_a_port_gives() -> None:
    own = bytearray(configuration(interface(0, 0)))
    own[8] = 255
    made = gadgetfs(device(bytes(own)))
    assert only(made).data[Speed.HIGH][8] == 255
    (told,) = made.with_severity(DEGRADED)
    assert (told.subject, told.reason[:6]) == ("bMaxPower", "510 mA")


# --- limits ---------------------------------------------------------------------------------


def sized(length: int) -> bytes:
    """A configuration of so many bytes, of descriptors that FunctionFS takes none of."""
    body = interface(0, 0)
    while len(body) < length - 9:
        size = min(length - 9 - len(body), 200)
        size -= 2 if length - 9 - len(body) - size == 1 else 0
        body += bytes((size, 0x41)) + bytes(size - 2)
    made = configuration(body)
    assert len(made) == length
    return made


@pytest.mark.parametrize(
    ("backends", "length", "refused"),
    [
        (STOCK, 256, False),
        (STOCK, 257, True),
        (REBUILT, 257, False),
        (REBUILT, 4096, False),
        (REBUILT, 4097, True),
    ],
)
def test_the_length_of_a_configuration(
    backends: tuple[object, ...], length: int, refused: bool
) -> None:
    made = plan(device(sized(length)), backends=STOCK if backends is STOCK else REBUILT)
    assert made.backend == "gadgetfs"
    if not refused:
        assert made.refusals == ()
        return
    limit = 256 if backends is STOCK else 4096
    (told,) = texts(made, REFUSED)
    assert told.startswith(f"configuration: it has {length} bytes, gadgetfs takes {limit}")
    assert told.endswith(REMEDY) is (backends is STOCK)


def test_a_webcam_needs_the_larger_module() -> None:
    assert texts(plan(CAMERA, MUSB_AM335X), REFUSED) == [
        f"configuration: it has {len(WEBCAM)} bytes, gadgetfs takes 256; {REMEDY}"
    ]
    assert plan(CAMERA, DUMMY_HCD, REBUILT).refusals == ()


@pytest.mark.parametrize(("length", "refused"), [(256, False), (257, True)])
def test_a_long_report_descriptor(length: int, refused: bool) -> None:
    hid = bytes((9, 0x21, 0x11, 1, 0, 1, 0x22)) + length.to_bytes(2, "little")
    tree = device(configuration(interface(0, 1, (3, 0, 0)), hid, endpoint(0x81, 3, 8, 4)))
    refusals = texts(plan(tree, backends=STOCK[1:]), REFUSED)
    assert [refusal.partition(",")[0] for refusal in refusals] == (
        [f"interface 0: its HID report descriptor has {length} bytes"] if refused else []
    )
    assert plan(tree).backend == "functionfs"
    assert gadgetfs(tree).refusals == ()


def test_control_requests_are_cut_and_that_is_told() -> None:
    assert any(text.startswith("control requests: ") for text in texts(plan(CAMERA), INFO))
    larger = texts(plan(CAMERA, backends=REBUILT), INFO)
    assert not any(text.startswith("control requests: ") for text in larger)


def test_a_longer_header_is_refused() -> None:
    own = bytearray(configuration(interface(0, 0)))
    own[0:1], own[9:9] = b"\x0b", b"\xaa\xbb"
    own[2] += 2
    assert texts(gadgetfs(device(bytes(own))), REFUSED) == [
        "configuration: its own descriptor has 11 bytes, gadgetfs takes 9"
    ]


def test_a_control_endpoint_is_refused_by_name() -> None:
    tree = device(configuration(interface(0, 1), endpoint(0x02, 0, 64)))
    assert texts(gadgetfs(tree), REFUSED) == [
        "endpoint 0x02: a control endpoint other than 0 cannot be rebuilt"
    ]


def test_reserved_bits_are_made_true() -> None:
    made = gadgetfs(device(configuration(interface(0, 0), attributes=0x1F)))
    assert only(made).data[Speed.HIGH][7] == 0x80
    assert any(text.startswith("bmAttributes: ") for text in texts(made, INFO))


# --- endpoints ------------------------------------------------------------------------------


def test_one_address_in_several_settings_has_one_file() -> None:
    planned = only(gadgetfs(emulated("four-settings-one-address"), DWC2_BCM2835))
    assert planned.endpoint_files == {
        (0, alternate, address): {0x81: "ep1in", 0x01: "ep1out"}[address]
        for alternate in range(4)
        for address in (0x81, 0x01)
    }
    descriptors = planned.endpoint_descriptors[0, 3, 0x81]
    assert descriptors[Speed.HIGH] == endpoint(0x81, 3, 1024, 4)
    assert descriptors[Speed.FULL] == endpoint(0x81, 3, 64, 1)
    routes = planned.routes[Speed.HIGH]
    assert [(r.alternate, r.device_max_packet) for r in routes if r.address == 0x81] == [
        (0, 16),
        (1, 64),
        (2, 512),
        (3, 1024),
    ]


def test_an_audio_endpoint_is_opened_with_seven_bytes() -> None:
    planned = only(gadgetfs(emulated("usb-midi")))
    assert planned.endpoint_descriptors[1, 0, 0x81][Speed.HIGH] == endpoint(0x81)


@pytest.mark.parametrize("model", UDC_MODELS, ids=lambda model: str(model.name))
def test_addresses_and_interfaces_are_the_devices_own(model: UdcModel) -> None:
    planned = only(gadgetfs(emulated("interface-gaps"), model))
    assert planned.interfaces == (0, 2, 5)
    assert all(route.host_address == route.address for route in planned.routes[Speed.HIGH])


def test_an_address_that_the_hardware_does_not_have() -> None:
    (told,) = texts(gadgetfs(device(stick(0x8F, 0x02)), DWC2_BCM2835), REFUSED)
    assert told.startswith("endpoints: endpoint 0x8f: ")
    assert told.endswith("the IN endpoints of dwc2-bcm2835 are 1 to 7")
