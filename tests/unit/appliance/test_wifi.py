"""A wireless network's key, and wpa_supplicant's file."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.appliance.wifi import (
    MAX_BYTES,
    WifiKey,
    format_key,
    key_of,
    parse_key,
    supplicant_text,
)
from gadgetip.supervisor.board_config import Wifi

NAMES = st.text(min_size=1, max_size=8).filter(str.isprintable)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)


@pytest.mark.parametrize(
    ("passphrase", "ssid", "key"),
    [  # IEEE 802.11-2020, J.4.2
        ("password", "IEEE", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
        (
            "ThisIsAPassword",
            "ThisIsASSID",
            "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af",
        ),
        ("a" * 32, "Z" * 32, "becb93866bb8c3832cb777c2f559807c8c59afcb6eae734885001300a981cc62"),
    ],
)
def test_the_standards_examples(passphrase: str, ssid: str, key: str) -> None:
    assert key_of(Wifi("DE", ssid, passphrase), None) == WifiKey(ssid, key)
    assert key_of(Wifi("DE", ssid, key.upper()), None) == WifiKey(ssid, key)


def test_a_moved_one_is_that_of_its_network() -> None:
    stored = WifiKey("lab", "ab" * 32)
    assert key_of(Wifi("DE", "lab", "moved"), stored) == stored
    assert key_of(Wifi("DE", "home", "moved"), stored) is None
    assert key_of(Wifi("DE", "lab", "moved"), None) is None
    assert key_of(Wifi("DE", "lab", ""), stored) == WifiKey("lab", "")


@given(st.text(min_size=1, max_size=32), st.just(b"") | st.binary(min_size=32, max_size=32))
def test_what_is_kept_is_read_again(ssid: str, key: bytes) -> None:
    kept = WifiKey(ssid, key.hex())
    assert len(format_key(kept)) <= MAX_BYTES
    assert parse_key(format_key(kept)) == kept


@given(st.binary(max_size=99))
def test_what_is_no_key(data: bytes) -> None:
    assert parse_key(data) is None
    assert parse_key(b'{"schema": "wifi-key/1", ' + data) is None


@pytest.mark.parametrize("key", ["ab" * 31, "AB" * 32, "ab" * 33, 5, None, []])
def test_a_key_of_another_form(key: object) -> None:
    record = json.loads(format_key(WifiKey("lab", "ab" * 32)))
    assert parse_key(json.dumps(record).encode()) is not None
    assert parse_key(json.dumps({**record, "key": key}).encode()) is None


@settings(max_examples=20)
@given(NAMES, st.text(PRINTABLE, min_size=8, max_size=63))
def test_whatever_a_network_is_called(ssid: str, psk: str) -> None:
    wifi = Wifi("DE", ssid, psk)
    key = key_of(wifi, None)
    assert key is not None
    lines = supplicant_text(wifi, key).splitlines()
    assert f"\tssid={ssid.encode().hex()}" in lines
    assert "country=DE" in lines
    assert sum(line.startswith("\tpsk=") for line in lines) == (psk != "moved")
    assert psk not in lines


def test_wpa2_with_protected_management_frames_where_there_are_some() -> None:
    text = supplicant_text(Wifi("DE", "lab", "moved"), WifiKey("lab", "ab" * 32))
    assert "\tproto=RSN\n" in text
    assert "\tieee80211w=1\n" in text
    assert "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n" in text


def test_an_open_network() -> None:
    text = supplicant_text(Wifi("DE", "cafe", ""), WifiKey("cafe", ""))
    assert "key_mgmt=NONE" in text
    assert "RSN" not in text
    assert "psk" not in text
