"""Whether the native pump is in, and why not."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gadgetip import pump
from gadgetip.pump.native_module import NAME, native_module, pump_in, why_not


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder in which alone the module is looked for."""
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.delattr(pump, "_native", raising=False)
    monkeypatch.setattr(pump, "__path__", [str(tmp_path)])
    return tmp_path


def test_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, module)
    assert native_module() is module
    assert why_not() == ""
    assert pump_in() == "native pump"


def test_it_is_not_built(elsewhere: Path) -> None:
    assert native_module() is None
    assert why_not() == "is not built"
    assert pump_in() == "Python pump: the native one is not built"


def test_it_was_built_for_another_machine(elsewhere: Path) -> None:
    (elsewhere / "_native.abi3.so").write_bytes(b"\x7fELF")
    assert native_module() is None
    assert "cannot be loaded" in why_not()
    assert "_native.abi3.so" in why_not()


def test_it_lacks_what_it_imports(elsewhere: Path) -> None:
    (elsewhere / "_native.py").write_text("import gadgetip.no_such_module\n")
    assert native_module() is None
    assert why_not() == "cannot be loaded (No module named 'gadgetip.no_such_module')"
