"""Making and removing a gadget, by configfs's rules in a temporary directory."""

import contextlib
from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget import configfs
from gadgetip.gadget.configfs import ConfigfsGadget, require_configfs

from .devices import device, emulated, stick, strings
from .kernel_tree import KernelTree
from .planning import functionfs


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KernelTree:
    tree = KernelTree(tmp_path)
    tree.install(monkeypatch)
    return tree


def made(instances: list[str] | None = None) -> ConfigfsGadget:
    data = bytearray(stick())
    data[5], data[6] = 3, 4
    texts = strings({1: "SanDisk", 2: "Ultra \u00e9", 3: "4C53", 4: "both\n"}, (0x0409, 0x0407))
    plan = functionfs(device(bytes(data), texts=texts))
    gadget = ConfigfsGadget("dummy_udc.1")
    gadget.make(plan, {3: instances or ["x", "f"]})
    return gadget


def test_what_is_written(tree: KernelTree) -> None:
    path = made().path
    assert path == tree.root / "gadgetip.dummy_udc.1"
    for attribute, value in {
        "idVendor": "0x781",
        "idProduct": "0x5581",
        "bcdDevice": "0x100",
        "bcdUSB": "0x200",
        "bDeviceClass": "0x0",
        "max_speed": "high-speed",
        "strings/0x409/manufacturer": "SanDisk",
        "strings/0x407/product": "Ultra \u00e9",
        "strings/0x409/serialnumber": "4C53",
        "configs/replica.3/bmAttributes": "0x80",
        "configs/replica.3/MaxPower": "100",
        "configs/replica.3/strings/0x409/configuration": "both",
    }.items():
        assert (path / attribute).read_text() == value, attribute
    assert sorted(p.name for p in (path / "functions").iterdir()) == ["ffs.f", "ffs.x"]


def test_functions_are_linked_in_their_order(tree: KernelTree) -> None:
    gadget = made(["x", "f"])
    gadget.link(3, ["x", "f"])
    configuration = gadget.path / "configs" / "replica.3"
    assert (configuration / "ffs.x").readlink() == gadget.path / "functions" / "ffs.x"
    assert (configuration / "ffs.f").readlink() == gadget.path / "functions" / "ffs.f"


def test_each_configuration_has_its_own_functions(tree: KernelTree) -> None:
    plan = functionfs(emulated("two-configurations"))
    gadget = ConfigfsGadget("dummy_udc.1")
    gadget.make(plan, {1: ["f1"], 2: ["f2"]})
    for value, attributes, text in ((1, "0x80", "Echo"), (2, "0xa0", "Keyboard")):
        gadget.link(value, [f"f{value}"])
        configuration = gadget.path / "configs" / f"replica.{value}"
        assert (configuration / "bmAttributes").read_text() == attributes
        assert (configuration / "strings/0x409/configuration").read_text() == text
        assert [p.name for p in configuration.iterdir() if p.is_symlink()] == [f"ffs.f{value}"]
    gadget.remove()
    assert list(tree.root.iterdir()) == []


def test_binding_and_unbinding(tree: KernelTree) -> None:
    gadget = made()
    states = [gadget.is_bound]
    gadget.bind()
    assert (gadget.path / "UDC").read_text() == "dummy_udc.1"
    states.append(gadget.is_bound)
    gadget.unbind()
    states.append(gadget.is_bound)
    assert states == [False, True, False]


def test_removal_is_the_reverse_of_making(tree: KernelTree) -> None:
    gadget = made()
    gadget.link(3, ["x", "f"])
    gadget.bind()
    tree.log.clear()
    gadget.remove()
    assert not gadget.exists
    assert list(tree.root.iterdir()) == []
    assert tree.log[0].startswith("unlink")
    assert tree.log[-1] == "rmdir gadgetip.dummy_udc.1"


@pytest.mark.parametrize("stage", range(8))
def test_whatever_a_crash_has_left_is_removed(
    tree: KernelTree, stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process dies after so many directories; another, which knows the name alone, cleans up."""
    left = [stage]

    def die_in_time(path: Path, mode: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        tree.make(path, mode)

    monkeypatch.setattr("os.mkdir", die_in_time)
    with contextlib.suppress(KeyboardInterrupt):
        made().link(3, ["x", "f"])
    monkeypatch.setattr("os.mkdir", tree.make)
    ConfigfsGadget("dummy_udc.1").remove()
    assert list(tree.root.iterdir()) == []


def test_removing_nothing_is_no_error(tree: KernelTree) -> None:
    gadget = ConfigfsGadget("dummy_udc.1")
    assert not gadget.is_bound
    gadget.unbind()
    gadget.remove()
    assert tree.log == []


def test_other_gadgets_are_left_alone(tree: KernelTree) -> None:
    for name in ("g1", "gadgetip.dummy_udc.10"):
        (tree.root / name).mkdir()
    made().remove()
    assert sorted(p.name for p in tree.root.iterdir()) == ["g1", "gadgetip.dummy_udc.10"]


def test_a_refused_binding_says_why(tree: KernelTree) -> None:
    gadget = made()
    (gadget.path / "UDC").unlink()
    (gadget.path / "UDC").symlink_to("/dev/full")
    with pytest.raises(GadgetipError, match=r"would not bind .* dummy_udc\.1: No space left"):
        gadget.bind()


def test_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configfs, "CONFIGFS_ROOT", tmp_path)
    monkeypatch.setattr(configfs, "CONFIGFS_GADGETS", tmp_path / "usb_gadget")
    with pytest.raises(PrerequisiteError, match="configfs is not mounted: mount -t configfs"):
        require_configfs()
    (tmp_path / "something").mkdir()
    with pytest.raises(PrerequisiteError, match="modprobe libcomposite"):
        require_configfs()
    (tmp_path / "usb_gadget").mkdir()
    require_configfs()
