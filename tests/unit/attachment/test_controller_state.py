"""What is read from the controller's files; that they can be polled, a real kernel shows."""

import asyncio
from pathlib import Path

import pytest

from gadgetip.attachment import controller_state
from gadgetip.attachment.controller_state import ControllerState
from gadgetip.gadget import udc


class Gone(Exception):
    """The controller was said to be gone."""


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(udc, "SYSFS_UDC", tmp_path)
    monkeypatch.setattr(controller_state, "DRIVER_POLL_S", 0.001)
    directory = tmp_path / "udc.0"
    directory.mkdir()
    (directory / "state").write_text("configured\n")
    (directory / "function").write_text("\n")
    return directory


def nothing() -> None:
    raise Gone


@pytest.mark.parametrize(
    ("state", "reset"),
    [
        ("configured", False),
        ("addressed", False),
        ("suspended", False),
        ("default", True),
        ("not attached", True),
        ("powered", True),
    ],
)
def test_a_reset_is_told_by_the_state_and_remembered(
    controller: Path, state: str, reset: bool
) -> None:
    seen = ControllerState("udc.0", nothing)
    assert not seen.reset_seen
    (controller / "state").write_text(f"{state}\n")
    seen.look()
    (controller / "state").write_text("configured\n")
    seen.look()
    assert seen.reset_seen is reset
    seen.forget_reset()
    assert not seen.reset_seen


def test_a_driver_that_leaves_is_the_end(controller: Path) -> None:
    """GadgetFS does not tell that it lost its controller; before it is bound there is none."""

    async def scenario() -> None:
        gone = asyncio.Event()
        seen = ControllerState("udc.0", gone.set)
        seen._loop = asyncio.get_running_loop()
        seen._look_at_driver(False)
        await asyncio.sleep(0.02)
        assert not gone.is_set()
        (controller / "function").write_text("USB Gadget filesystem\n")
        await asyncio.sleep(0.02)
        assert not gone.is_set()
        (controller / "function").write_text("\n")
        await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(scenario())
