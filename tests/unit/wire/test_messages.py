"""Messages are values."""

from dataclasses import FrozenInstanceError

import pytest

from gadgetip.wire import CmdSubmit, ConnectionClosed, Direction, Message, RetUnlink
from gadgetip.wire.messages import WIRE_NAMES
from tests.unit.wire.pair import DEVICE


def test_devid() -> None:
    assert DEVICE.devid == 0x0001_0007


@pytest.mark.parametrize(
    ("message", "field"),
    [(RetUnlink(1, 0), "status"), (CmdSubmit(1, 2, Direction.IN, 0), "ep")],
)
def test_messages_cannot_be_changed(message: Message, field: str) -> None:
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(message, field, 1)


def test_equal_messages_are_one() -> None:
    assert len({RetUnlink(1, 0), RetUnlink(1, 0), ConnectionClosed()}) == 2


def test_every_message_has_a_wire_name() -> None:
    assert len(set(WIRE_NAMES.values())) == len(WIRE_NAMES) == 8
