"""Parking: a controller that somebody takes at the same moment is out of GadgetFS's way as well."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.errors import PrerequisiteError
from gadgetip.gadget.backends import parking
from gadgetip.gadget.udc import Udc
from gadgetip.gadget.udc_models import DUMMY_HCD
from gadgetip.usb import Speed
from tests.unit.gadget.kernel_tree import KernelTree

FREE = Udc("dummy_udc.3", "not attached", Speed.UNKNOWN, Speed.HIGH, None, DUMMY_HCD)
TAKEN = replace(FREE, owner="gadget somebody")


def park(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[Udc]
) -> tuple[parking.Parking, Path]:
    """Park while the kernel says EBUSY; `shown` is what the controller looks like each time."""
    KernelTree(tmp_path).install(monkeypatch)
    monkeypatch.setattr(parking, "CONFIGFS_GADGETS", tmp_path)
    monkeypatch.setattr(parking, "load_module", lambda name: True)
    monkeypatch.setattr(parking, "list_udcs", lambda: [shown.pop(0)])
    write = Path.write_text

    def refuse(path: Path, text: str, *rest: object) -> int:
        if path.name == "UDC" and text.strip() == FREE.name:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", refuse)
    return parking.Parking(), tmp_path


def test_one_that_was_taken_meanwhile_need_not_be_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked, gadgets = park(tmp_path, monkeypatch, [FREE, TAKEN])
    parked.park_all_but("dummy_udc.7")
    assert list(gadgets.iterdir()) == []


def test_one_that_is_still_free_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked, gadgets = park(tmp_path, monkeypatch, [FREE, FREE])
    with pytest.raises(PrerequisiteError, match="cannot be parked"):
        parked.park_all_but("dummy_udc.7")
    assert list(gadgets.iterdir()) == []
