"""Which systems are tried, and what they are given."""

import struct
import subprocess
from pathlib import Path

import pytest

from tests.packages import stage, target
from tests.packages.report import PackageError

NAMES = {each.name for each in target.TARGETS}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], NAMES),
        (["trixie-armel"], {"trixie-armel"}),
        (["armhf"], {"trixie-armhf", "bookworm-armhf"}),
        (["bookworm"], {"bookworm-amd64", "bookworm-armhf"}),
        (["bookworm", "armhf"], {"bookworm-armhf"}),
        (["armel", "arm64"], {"trixie-armel", "trixie-arm64"}),
    ],
)
def test_suites_and_architectures_choose(words: list[str], names: set[str]) -> None:
    assert {each.name for each in target.chosen(words)} == names


def test_what_does_not_exist_is_not_passed_over() -> None:
    with pytest.raises(PackageError, match="no such target: armv6"):
        target.chosen(["armel", "armv6"])


def test_a_package_of_a_higher_version_is_the_same_but_for_that(tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: x\nVersion: 1.0\nArchitecture: all\nMaintainer: N <n@x.invalid>\nDescription: x\n"
    )
    (tmp_path / "tree" / "file").write_text("content")
    deb, higher = tmp_path / "x.deb", tmp_path / "higher.deb"
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", deb], check=True, capture_output=True)
    stage.raised(deb, higher)
    field = ["dpkg-deb", "--field", str(higher), "Version"]
    version = subprocess.run(field, check=True, capture_output=True, text=True).stdout.strip()
    assert version == f"1.0{stage.HIGHER}"
    newer = ["dpkg", "--compare-versions", version, "gt", "1.0"]
    assert subprocess.run(newer, check=False).returncode == 0
    subprocess.run(["dpkg-deb", "--extract", higher, tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "file").read_text() == "content"


def test_the_stick_is_a_device_with_one_configuration() -> None:
    assert struct.unpack_from("<H", stage.STICK, 20) == (len(stage.STICK) - 18,)
