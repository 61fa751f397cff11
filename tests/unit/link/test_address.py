import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import ExitStatus, UsageError
from gadgetip.link import HostAddress


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("nas", "nas", 3240),
        ("nas.lan:1234", "nas.lan", 1234),
        ("10.0.0.1", "10.0.0.1", 3240),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("fd00::7", "fd00::7", 3240),
        ("::1", "::1", 3240),
        ("[::1]", "::1", 3240),
        ("[fd00::7]:65535", "fd00::7", 65535),
        ("[fe80::1%eth0]:3241", "fe80::1%eth0", 3241),
        ("nas:03240", "nas", 3240),
        ("b\u00fccher.example", "b\u00fccher.example", 3240),
    ],
)
def test_what_is_understood(text: str, host: str, port: int) -> None:
    assert HostAddress.parse(text) == HostAddress(host, port)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no host"),
        (":3240", "is no host"),
        ("nas:", "ends where a port should follow"),
        ("[::1]:", "ends where a port should follow"),
        ("[::1", r"written \[ADDRESS\]:PORT"),
        ("[::1]3240", r"written \[ADDRESS\]:PORT"),
        ("[]:3240", "is no host"),
        ("nas:0", "is no port"),
        ("nas:00000", "is no port"),
        ("nas:65536", "is no port"),
        ("nas:0000655360", "is no port"),
        ("nas:-1", "is no port"),
        ("nas:+1", "is no port"),
        ("nas:1_0", "is no port"),
        ("nas:usbip", "is no port"),
        ("nas:\u0663", "is no port"),
        ("nas:\u00b2", "is no port"),
        ("nas:" + "9" * 10_000, "is no port"),
        ("my nas", "is no host"),
        ("nas\n", "is no host"),
        ("\x1b[2Jnas", "is no host"),
        ("na\0s", "is no host"),
    ],
)
def test_what_is_not(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as error:
        HostAddress.parse(text)
    assert error.value.exit_status is ExitStatus.USAGE
    assert str(error.value).isprintable()


@given(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", fullmatch=True),
    st.integers(1, 65535),
)
def test_what_is_printed_is_understood(host: str, port: int) -> None:
    address = HostAddress(host, port)
    assert HostAddress.parse(str(address)) == address


def test_the_usual_port_is_not_printed() -> None:
    assert str(HostAddress("nas")) == "nas"
    assert str(HostAddress("::1")) == "[::1]"
    assert str(HostAddress("::1", 1)) == "[::1]:1"


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = HostAddress.parse(text)
    except UsageError:
        return
    assert address.host
    assert 0 < address.port < 65536
