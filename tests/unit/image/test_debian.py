"""What apt's words are taken for."""

import shutil
from pathlib import Path

import pytest

from board.image.debian import DEBIAN, Archive, BuildError, Origin, key_of, older_kernels

KNOWN = [
    "linux-image-6.12.107+deb13-rpi",
    "linux-image-6.12.117+deb13-rpi",
    "linux-image-6.12.99+deb13-rpi",
    "linux-image-6.12.99+deb13-rpi-dbg",
    "linux-image-6.12.118+deb13-armmp",
    "linux-image-rpi",
]


def test_older_kernels_are_of_the_same_flavour_and_the_newer_ones_come_first() -> None:
    found = older_kernels(KNOWN, "linux-image-6.12.117+deb13-rpi", "rpi")
    assert found == ["linux-image-6.12.107+deb13-rpi", "linux-image-6.12.99+deb13-rpi"]


def test_a_kernel_that_is_not_known_has_none() -> None:
    assert older_kernels(KNOWN, "linux-image-6.12.200+deb13-rpi", "rpi") == []


def test_a_snapshot_is_asked_of_its_own_server_for_all_suites() -> None:
    lines = Origin(snapshot="20261130T000000Z").sources
    assert len(lines) == 3
    assert all("snapshot.debian.org" in line and "/20261130T000000Z " in line for line in lines)
    assert not any("snapshot" in line for line in DEBIAN.sources)


def test_a_mirror_is_asked_for_all_suites_with_its_keys() -> None:
    lines = Origin("http://mirror.lan/deb/", Path("/keys.gpg")).sources
    assert [line.split()[2:4] for line in lines] == [
        ["http://mirror.lan/deb/debian", "trixie"],
        ["http://mirror.lan/deb/debian", "trixie-updates"],
        ["http://mirror.lan/deb/debian-security", "trixie-security"],
    ]
    assert all("signed-by=/keys.gpg" in line for line in lines)


def test_a_stage_is_named_by_all_that_it_is_made_of() -> None:
    assert key_of("a", "b") == key_of("a", "b")
    assert len({key_of("a", "b"), key_of("ab"), key_of("b", "a"), key_of("a", "b", "")}) == 4


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive on a mirror that has nothing, which apt itself is asked for."""
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt here")
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    return Archive("arm64", tmp_path / "state", Origin(f"file://{tmp_path}/mirror", keyring))


def test_no_list_of_the_release_is_an_error_in_one_line(archive: Archive) -> None:
    with pytest.raises(BuildError, match=r"no list of packages: .*trixie") as raised:
        archive.update()
    assert "\n" not in str(raised.value)


def test_a_suite_without_a_list_is_told(archive: Archive) -> None:
    with pytest.raises(BuildError):
        archive.update()
    for base, suite in archive.origin.suites[:2]:
        path = base.partition("://")[2].replace("/", "_")
        (archive.lists / f"{path}_dists_{suite}_InRelease").touch()
    older, lacking = archive.update()
    assert "older" in older
    assert "WITHOUT THE PACKAGES OF trixie-security" in lacking


def test_a_release_that_nobody_has_signed_is_refused(archive: Archive, tmp_path: Path) -> None:
    suite = tmp_path / "mirror/debian/dists/trixie"
    suite.mkdir(parents=True)
    (suite / "Release").write_text("Suite: trixie\nCodename: trixie\nSHA256:\n")
    with pytest.raises(BuildError, match="is not signed"):
        archive.update()
