"""Controllers as sysfs shows them."""

from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget import Udc, choose_udc, list_udcs, udc
from gadgetip.gadget.udc_models import DUMMY_HCD, UNKNOWN_UDC
from gadgetip.usb import Speed


class Sysfs:
    def __init__(self, root: Path) -> None:
        self.classes, self.gadgets = root / "udc", root / "usb_gadget"
        self.root = root

    def add(
        self, name: str, *, driver: str = "dummy_udc", function: str = "", **files: str
    ) -> None:
        directory = self.classes / name
        directory.mkdir(parents=True)
        contents = {
            "state": "not attached",
            "current_speed": "UNKNOWN",
            "maximum_speed": "high-speed",
            "function": function,
            **files,
        }
        for file, text in contents.items():
            (directory / file).write_text(text + "\n")
        (directory / "device").mkdir()
        if driver:
            (self.root / "drivers" / driver).mkdir(parents=True, exist_ok=True)
            (directory / "device" / "driver").symlink_to(self.root / "drivers" / driver)

    def bind(self, gadget: str, name: str) -> None:
        (self.gadgets / gadget).mkdir(parents=True, exist_ok=True)
        (self.gadgets / gadget / "UDC").write_text(f"{name}\n")


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    sysfs = Sysfs(tmp_path)
    monkeypatch.setattr(udc, "SYSFS_UDC", sysfs.classes)
    monkeypatch.setattr(udc, "CONFIGFS_GADGETS", sysfs.gadgets)
    return sysfs


def test_none(sysfs: Sysfs) -> None:
    assert list_udcs() == ()
    with pytest.raises(PrerequisiteError, match="has no USB device controller"):
        choose_udc(None)


def test_what_there_is(sysfs: Sysfs) -> None:
    sysfs.add("dummy_udc.1", state="configured", current_speed="high-speed")
    sysfs.add("dummy_udc.0", driver="dwc9")
    sysfs.bind("g1", "dummy_udc.1")
    sysfs.bind("idle", "")
    first, second = list_udcs()
    assert first == Udc("dummy_udc.0", "not attached", Speed.UNKNOWN, Speed.HIGH, None, UNKNOWN_UDC)
    assert second == Udc(
        "dummy_udc.1", "configured", Speed.HIGH, Speed.HIGH, "gadget g1", DUMMY_HCD
    )
    assert (first.is_free, second.is_free) == (True, False)


def test_a_driver_that_is_no_gadget_of_configfs_owns_it_too(sysfs: Sysfs) -> None:
    sysfs.add("dummy_udc.0", function="g_mass_storage")
    assert list_udcs()[0].owner == "g_mass_storage"


def test_files_that_are_missing_or_odd(sysfs: Sysfs) -> None:
    sysfs.add("odd", driver="", maximum_speed="warp-speed", current_speed="")
    (sysfs.classes / "odd" / "state").unlink()
    (found,) = list_udcs()
    assert (found.state, found.maximum_speed, found.model) == ("", Speed.UNKNOWN, UNKNOWN_UDC)


def test_the_only_free_one_is_chosen(sysfs: Sysfs) -> None:
    for number in range(3):
        sysfs.add(f"dummy_udc.{number}")
    sysfs.bind("a", "dummy_udc.0")
    sysfs.bind("b", "dummy_udc.2")
    assert choose_udc(None).name == "dummy_udc.1"


def test_a_choice_that_is_not_clear_lists_what_there_is(sysfs: Sysfs) -> None:
    for number in range(2):
        sysfs.add(f"dummy_udc.{number}")
    with pytest.raises(PrerequisiteError, match=r"several .*0 \(free\); .*1 \(free\)\. .* --udc"):
        choose_udc(None)
    for number in range(2):
        sysfs.bind(f"g{number}", f"dummy_udc.{number}")
    with pytest.raises(PrerequisiteError, match=r"no controller is free: .*0 \(gadget g0\)"):
        choose_udc(None)


@pytest.mark.parametrize("name", ["nope", "../udc/dummy_udc.0", "", "dummy_udc.0/"])
def test_only_a_name_that_is_there_is_taken(sysfs: Sysfs, name: str) -> None:
    sysfs.add("dummy_udc.0")
    with pytest.raises(GadgetipError, match=r"there is no controller .* dummy_udc\.0 \(free\)"):
        choose_udc(name)


def test_one_in_use_may_be_named(sysfs: Sysfs) -> None:
    sysfs.add("dummy_udc.0", current_speed="full-speed")
    sysfs.bind("g1", "dummy_udc.0")
    assert choose_udc("dummy_udc.0").owner == "gadget g1"
    assert udc.current_speed("dummy_udc.0") is Speed.FULL
    assert udc.current_speed("gone") is Speed.UNKNOWN
    assert udc.state_file("dummy_udc.0").read_text() == "not attached\n"
