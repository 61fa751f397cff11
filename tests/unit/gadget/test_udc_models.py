import pytest

from gadgetip.gadget.udc_models import (
    DUMMY_HCD,
    DWC2_BCM2835,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
    model_of_driver,
)
from gadgetip.usb import Direction


@pytest.mark.parametrize(
    ("driver", "model"),
    [
        ("dummy_udc", DUMMY_HCD),
        ("usbip-vudc", USBIP_VUDC),
        ("dwc2", DWC2_BCM2835),
        ("musb-hdrc", MUSB_AM335X),
        ("dwc3", UNKNOWN_UDC),
        ("", UNKNOWN_UDC),
    ],
)
def test_a_controller_is_known_by_its_driver(driver: str, model: UdcModel) -> None:
    assert model_of_driver(driver) is model


def test_names_and_drivers_are_unique() -> None:
    names = [model.name for model in (*UDC_MODELS, UNKNOWN_UDC)]
    drivers = [driver for model in UDC_MODELS for driver in model.drivers]
    assert len(set(names)) == len(names)
    assert len(set(drivers)) == len(drivers)


@pytest.mark.parametrize("model", [*UDC_MODELS, UNKNOWN_UDC], ids=lambda model: model.name)
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
