"""Limits as data, and kernel versions as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import UsageError
from gadgetip.gadget import BACKENDS, KernelVersion
from gadgetip.gadget.backends.gadgetfs import GADGETFS, STOCK_LIMIT, limit_of, with_limit
from gadgetip.gadget.capabilities import OLDEST_KERNEL
from gadgetip.profiles import BACKENDS as BACKEND_WORDS


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.12", (6, 12)),
        ("6.12.117", (6, 12)),
        ("6.1.0-rpi8-rpi-v8", (6, 1)),
        ("6.12.115+deb12-amd64", (6, 12)),
    ],
)
def test_a_version(text: str, numbers: tuple[int, int]) -> None:
    version = KernelVersion.parse(text)
    assert (version.major, version.minor) == numbers
    assert str(version) == f"{numbers[0]}.{numbers[1]}"


@pytest.mark.parametrize("text", ["", "6", "six", ".1", "6.", "v6.12", "99999.1", "6.99999"])
def test_no_version(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no kernel version: write it like 6\.12"):
        KernelVersion.parse(text)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_a_usage_error(text: str) -> None:
    try:
        version = KernelVersion.parse(text)
    except UsageError:
        return
    assert KernelVersion.parse(str(version)) == version


def test_versions_are_ordered_by_number() -> None:
    assert KernelVersion(5, 15) < OLDEST_KERNEL < KernelVersion(6, 12)


def test_a_backend_that_cannot_be_used_says_why_and_is_otherwise_the_same() -> None:
    gone = GADGETFS.without("no such module")
    assert gone.unavailable == "no such module"
    assert gone.max_configuration_bytes == GADGETFS.max_configuration_bytes


def test_the_two_gadgetfs_modules() -> None:
    assert with_limit(256) == GADGETFS
    larger = with_limit(4096)
    assert (larger.max_configuration_bytes, larger.max_control_bytes) == (4096, 4096)
    assert larger.remedy == ""


@pytest.mark.parametrize(
    ("version", "limit"),
    [
        ("1.0+rbuf4096\n", 4096),
        ("1.0+rbuf512", 512),
        ("2.1+rbuf1024-dkms", 1024),
        ("", STOCK_LIMIT),
        ("24 Aug 2004\n", STOCK_LIMIT),
        ("rbuf", STOCK_LIMIT),
    ],
)
def test_a_modules_version_names_its_limit(version: str, limit: int) -> None:
    assert limit_of(version) == limit


@given(st.text(max_size=30))
def test_any_version_names_some_limit(version: str) -> None:
    assert limit_of(version) >= 0


def test_each_backend_has_one_name_everywhere() -> None:
    assert set(BACKENDS) | {"auto"} == set(BACKEND_WORDS)
    for name, backend in BACKENDS.items():
        assert backend.name == backend.declared().name == name
