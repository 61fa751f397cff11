"""Choosing a kernel package, and trusting only a whole one in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine import kernel
from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN_12 = [
    "linux-image-6.1.0-37-amd64",
    "linux-image-6.12-amd64",
    "linux-image-6.12.99+deb12-amd64",
    "linux-image-6.12.117+deb12-amd64",
    "linux-image-6.12.117+deb12-amd64-dbg",
    "linux-image-6.12.118+deb12-amd64-unsigned",
    "linux-image-6.12.118+deb12-cloud-amd64",
    "linux-image-6.12.118+deb12-rt-amd64",
    "linux-image-6.13.1+deb12-amd64",
    "linux-image-amd64",
    "linux-image-amd64-signed-template",
]


def test_the_newest_of_the_series_is_taken_by_number_and_not_by_letter() -> None:
    chosen = kernel.choose(DEBIAN_12, "linux-image-6.1.0-37-amd64")
    assert chosen == "linux-image-6.12.117+deb12-amd64"


def test_the_distributions_own_is_taken_where_it_is_new_enough() -> None:
    own = "linux-image-6.12.57+deb13-amd64"
    assert kernel.choose([*DEBIAN_12, own], own) == own


def test_the_distributions_own_may_be_of_a_later_series() -> None:
    own = "linux-image-7.0.4+deb14-amd64"
    assert kernel.choose([own], own) == own


@pytest.mark.parametrize("packages", [[], ["linux-image-6.1.0-37-amd64"], ["linux-image-amd64"]])
def test_nothing_fits(packages: list[str]) -> None:
    assert kernel.choose(packages, None) is None


def test_the_newest_of_another_series_is_told_by_the_number_of_its_interface() -> None:
    """Up to Debian 12 the first three numbers do not tell one kernel of a series from the next."""
    known = [*DEBIAN_12, "linux-image-6.1.0-9-amd64", "linux-image-6.1-amd64"]
    assert kernel.newest_of((6, 1), known) == "linux-image-6.1.0-37-amd64"
    assert kernel.newest_of((6, 13), known) == "linux-image-6.13.1+deb12-amd64"
    assert kernel.newest_of((5, 10), known) is None


@pytest.mark.parametrize(
    ("named", "series"), [("6.1", (6, 1)), ("/opt/6.1", None), ("6.1/", None), ("", None)]
)
def test_another_kernel_is_a_series_or_a_directory(
    named: str, series: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GADGETIP_KERNEL", named)
    assert kernel.other_series() == series


@pytest.mark.parametrize("flavour", ["cloud-amd64", "rt-amd64", "amd64-unsigned", "amd64-dbg"])
def test_other_flavours_have_no_number(flavour: str) -> None:
    assert kernel.number(f"linux-image-6.12.117+deb12-{flavour}") is None


def test_the_metapackage_names_its_kernel() -> None:
    record = "Package: linux-image-amd64\nDepends: linux-image-6.12.57+deb13-amd64 (= 6.12.57-1)\n"
    assert kernel.dependency(record) == "linux-image-6.12.57+deb13-amd64"
    assert kernel.dependency("") is None


def make_kernel(root: Path, release: str) -> None:
    (root / "boot").mkdir(parents=True)
    (root / "boot" / f"vmlinuz-{release}").touch()
    modules = root / "lib/modules" / release
    modules.mkdir(parents=True)
    (modules / "modules.dep.bin").touch()


def test_the_newest_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "gadgetip/kernel"
    assert kernel.newest_cached() is None
    make_kernel(cache / "6.12.99-1", "6.12.99+deb12-amd64")
    make_kernel(cache / "6.12.117-1~deb12u1", "6.12.117+deb12-amd64")
    (cache / ".partial-x").mkdir()
    found = kernel.newest_cached()
    assert found is not None
    assert found.release == "6.12.117+deb12-amd64"
    assert found.image.exists()


def test_another_series_has_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    make_kernel(tmp_path / "gadgetip/kernel/6.12.99-1", "6.12.99+deb12-amd64")
    make_kernel(tmp_path / "gadgetip/kernel-6.1/6.1.192-3", "6.1.0-57-amd64")
    monkeypatch.setenv("GADGETIP_KERNEL", "6.1")
    assert kernel.obtain(newest=False).release == "6.1.0-57-amd64"
    monkeypatch.delenv("GADGETIP_KERNEL")
    assert kernel.obtain(newest=False).release == "6.12.99+deb12-amd64"


def test_a_kernel_without_an_index_of_its_modules_is_refused(tmp_path: Path) -> None:
    make_kernel(tmp_path, "6.12.1")
    (tmp_path / "lib/modules/6.12.1/modules.dep.bin").unlink()
    with pytest.raises(BenchError, match="depmod -b"):
        kernel.unpacked(tmp_path)


def test_a_directory_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"0 boot/vmlinuz-\* files"):
        kernel.unpacked(tmp_path)
