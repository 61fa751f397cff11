"""What the soak writes for the supervisor, and reads of it."""

import pytest

from gadgetip.supervisor.config_form import parse_config
from tests.soak.reports import Report
from tests.soak.supervised import configuration, drawn_holds, report_of

DEVICES = {"storage": "0781:5581", "serial": "1d6b:0108"}
CABLES = {"storage": "dummy_udc.5", "serial": "dummy_udc.7"}


def test_the_configuration_is_one() -> None:
    text = configuration("127.0.0.1:3251", DEVICES, CABLES, {"serial": 30.0})
    storage, serial = parse_config(text, "gadgetip.toml").attachments
    assert (storage.name, storage.udc, storage.on_loss) == ("storage", "dummy_udc.5", "unplug")
    assert (serial.on_loss, serial.hold_s) == ("hold", 30.0)


def test_the_seed_decides_who_holds() -> None:
    assert drawn_holds(DEVICES, 1) == drawn_holds(DEVICES, 1)
    assert len({tuple(drawn_holds(DEVICES, seed).items()) for seed in range(50)}) > 3


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("lost: the server reset the connection", None),
        ("held: the server reset the connection", None),
        ("endpoint 0x81: the link was lost; up to 512 bytes that the device sent may be lost", 512),
    ],
)
def test_a_loss_is_a_report(text: str, count: int | None) -> None:
    assert report_of(7.0, text) == Report(7.0, text, count)


@pytest.mark.parametrize("text", ["running", "importing", "the host configured the replica"])
def test_other_lines_report_nothing(text: str) -> None:
    assert report_of(7.0, text) is None
