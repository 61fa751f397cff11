"""When KVM's verdict needs no boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine import kvm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("works", [True, False])
def test_a_verdict_holds_for_the_same_boot_and_qemu(tmp_path: Path, works: bool) -> None:
    path = tmp_path / "kvm.json"
    path.write_text(f'{{"key": "boot qemu-7", "works": {str(works).lower()}}}')
    assert kvm.remembered(path, "boot qemu-7") is works
    assert kvm.remembered(path, "boot qemu-8") is None


def test_no_verdict_yet_or_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "kvm.json"
    assert kvm.remembered(path, "x") is None
    path.write_text("{")
    assert kvm.remembered(path, "x") is None
