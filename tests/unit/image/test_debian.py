"""What apt's words are taken for."""

from pathlib import Path

from board.image.debian import DEBIAN, Origin, key_of, older_kernels

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
