"""The table of controllers: that it is consistent, and that entries are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import ExitStatus, UsageError
from gadgetip.gadget.udc_models import (
    CHIPIDEA,
    DUMMY_HCD,
    DWC2_BCM2835,
    DWC3,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
    assumption,
    model_named,
    model_of_driver,
    with_tx_fifos,
)
from gadgetip.usb import Direction, Speed, TransferType

ALL = [*UDC_MODELS, UNKNOWN_UDC]


@pytest.mark.parametrize(
    ("driver", "model"),
    [
        ("dummy_udc", DUMMY_HCD),
        ("usbip-vudc", USBIP_VUDC),
        ("dwc2", DWC2_BCM2835),
        ("dwc3", DWC3),
        ("ci_hdrc", CHIPIDEA),
        ("musb-hdrc", MUSB_AM335X),
        ("musb-dsps", MUSB_AM335X),
        ("net2280", UNKNOWN_UDC),
        ("", UNKNOWN_UDC),
    ],
)
def test_a_controller_is_known_by_its_driver(driver: str, model: UdcModel) -> None:
    assert model_of_driver(driver) is model


@pytest.mark.parametrize("model", UDC_MODELS, ids=lambda model: model.name)
def test_a_model_is_known_by_its_name(model: UdcModel) -> None:
    assert model_named(model.name) is model


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"^there is no model pi-zero\. There are: dummy_hcd, "
    ) as e:
        model_named("pi-zero")
    assert e.value.exit_status is ExitStatus.USAGE
    assert all(model.name in str(e.value) for model in UDC_MODELS)


def test_the_names_are_those_that_users_were_promised() -> None:
    assert {model.name for model in UDC_MODELS} == {
        "dwc2-bcm2835",
        "musb-am335x",
        "dwc3",
        "chipidea",
        "dummy_hcd",
        "usbip-vudc",
    }


def test_names_and_drivers_are_unique() -> None:
    names = [model.name for model in ALL]
    drivers = [driver for model in UDC_MODELS for driver in model.drivers]
    assert len(set(names)) == len(names)
    assert len(set(drivers)) == len(drivers)


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_endpoint_names_mean_what_the_kernel_reads_in_them(model: UdcModel) -> None:
    for endpoint in model.endpoints:
        # epautoconf.c: a number counts if the third character is a digit.
        if endpoint.name[2].isdigit():
            assert endpoint.name.startswith(f"ep{endpoint.number}")
        else:
            assert endpoint.number is None
        assert endpoint.number is None or 1 <= endpoint.number <= 15
        named = {
            direction
            for direction, word in ((Direction.IN, "in"), (Direction.OUT, "out"))
            if word in endpoint.name.partition("-")[0] or endpoint.name.endswith(word)
        }
        assert endpoint.directions == (named or {Direction.IN, Direction.OUT})
    assert len({endpoint.name for endpoint in model.endpoints}) == len(model.endpoints)


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_a_models_data_agree(model: UdcModel) -> None:
    ins = [e for e in model.endpoints if Direction.IN in e.directions]
    if model.tx_fifos:
        assert len(model.tx_fifos) == len(ins), "each IN endpoint takes one"
    claimed = any(e.takes(TransferType.ISOCHRONOUS) for e in model.endpoints)
    assert claimed or not model.isochronous
    assert model.max_speed >= Speed.HIGH
    if not model.matches_by_descriptor:
        assert all(e.number is not None for e in model.endpoints)


@pytest.mark.parametrize(
    ("model", "first"),
    [
        (DUMMY_HCD, ["ep1in-bulk", "ep2out-bulk", "ep5in-int"]),
        (USBIP_VUDC, ["ep1out", "ep1in", "ep2out"]),
        (DWC2_BCM2835, ["ep1in", "ep1out", "ep2in"]),
        (MUSB_AM335X, ["ep1in", "ep1out", "ep2in"]),
        (DWC3, ["ep1out", "ep1in", "ep2out"]),
        (CHIPIDEA, ["ep1out", "ep1in", "ep2out"]),
    ],
)
def test_the_order_is_that_of_registration(model: UdcModel, first: list[str]) -> None:
    assert [endpoint.name for endpoint in model.endpoints[:3]] == first


@pytest.mark.parametrize(
    ("model", "ins", "outs"),
    [
        (DUMMY_HCD, 12, 12),
        (USBIP_VUDC, 15, 15),
        (DWC2_BCM2835, 7, 7),
        (MUSB_AM335X, 15, 15),
        (DWC3, 6, 6),
        (CHIPIDEA, 7, 7),
    ],
)
def test_how_many_endpoints_there_are(model: UdcModel, ins: int, outs: int) -> None:
    for direction, count in ((Direction.IN, ins), (Direction.OUT, outs)):
        assert sum(direction in endpoint.directions for endpoint in model.endpoints) == count


def test_musb_fills_its_memory_to_the_last_byte() -> None:
    # musb_core.c:1310, "mode 4 - fits in 16KB": endpoint 0 has 64 bytes.
    assert 64 + sum(endpoint.max_packet for endpoint in MUSB_AM335X.endpoints) == 16384


def test_what_drivers_can_do() -> None:
    assert {m.name for m in UDC_MODELS if not m.caps_below_high} == {"musb-am335x", "chipidea"}
    assert {m.name for m in UDC_MODELS if not m.can_signal_wakeup} == {"dwc2-bcm2835", "usbip-vudc"}
    assert {m.name for m in UDC_MODELS if not m.isochronous} == {"dummy_hcd", "usbip-vudc"}
    assert {m.name for m in UDC_MODELS if m.matches_by_descriptor} == {"dummy_hcd", "usbip-vudc"}
    assert {m.name for m in UDC_MODELS if m.zlp_doubtful} == {"musb-am335x"}
    assert {m.name for m in UDC_MODELS if m.exact_packet_sizes} == {"dummy_hcd"}
    assert {m.name for m in UDC_MODELS if m.max_speed >= Speed.SUPER} == {"dwc3"}


@pytest.mark.parametrize(
    ("model", "compatible", "assumed"),
    [
        (DUMMY_HCD, None, False),
        (DUMMY_HCD, [], False),
        (DWC2_BCM2835, None, False),
        (DWC2_BCM2835, ["brcm,bcm2835-usb"], False),
        (DWC2_BCM2835, ["rockchip,rk3288-usb", "rockchip,rk3066-usb", "snps,dwc2"], True),
        (DWC2_BCM2835, [], True),
        (MUSB_AM335X, ["ti,musb-am33xx"], False),
        (MUSB_AM335X, ["allwinner,sun8i-h3-musb"], True),
        (DWC3, None, True),
        (DWC3, ["snps,dwc3"], True),
        (CHIPIDEA, ["fsl,imx6ul-usb", "fsl,imx27-usb"], True),
        (UNKNOWN_UDC, [], True),
    ],
)
def test_what_is_assumed_is_said(
    model: UdcModel, compatible: list[str] | None, *, assumed: bool
) -> None:
    assert bool(assumption(model, compatible)) is assumed


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def test_the_fifos_of_a_live_dwc2() -> None:
    live = with_tx_fifos(DWC2_BCM2835, words(256, 256, 512, 512, 512, 768, 768))
    assert live.tx_fifos == (1024, 1024, 2048, 2048, 2048, 3072, 3072)
    assert live.name == "dwc2-bcm2835"


def test_the_model_is_no_better_than_either_device_tree() -> None:
    # bcm283x-rpi-usb-peripheral.dtsi of the kernel, and Raspberry Pi OS's overlay.
    for tree in (words(256, 256, 512, 512, 512, 768, 768), words(*[512] * 5, 256, 256)):
        live = with_tx_fifos(DWC2_BCM2835, tree)
        pairs = zip(sorted(DWC2_BCM2835.tx_fifos), sorted(live.tx_fifos), strict=True)
        assert all(ours <= theirs for ours, theirs in pairs)


@given(st.sampled_from(ALL), st.binary(max_size=80))
def test_any_property_of_a_device_tree_is_survived(model: UdcModel, data: bytes) -> None:
    live = with_tx_fifos(model, data)
    assert len(live.tx_fifos) <= len(model.tx_fifos)
    if not model.tx_fifos or len(data) % 4:
        assert live is model
