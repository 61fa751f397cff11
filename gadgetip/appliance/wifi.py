"""A wireless network's key, and the file that makes wpa_supplicant join the network.

A passphrase opens the network for anybody and is often used elsewhere too. What WPA2 needs is a key
that is derived from it and from the network's name (IEEE 802.11-2020, annex J.4). The board keeps
that, so that no passphrase is at rest anywhere once it has been taken over.
"""

import hashlib
import json
import re
from dataclasses import dataclass

from gadgetip.supervisor.board_config import MOVED, Wifi

SCHEMA = "wifi-key/1"
MAX_BYTES = 4096
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WifiKey:
    """The key of one network; "" for an open one. `key` has 64 hexadecimal digits otherwise."""

    ssid: str
    key: str


def key_of(wifi: Wifi, stored: WifiKey | None) -> WifiKey | None:
    """The key of the configured network; None if it was moved here and is not here."""
    if wifi.psk == MOVED:
        return stored if stored is not None and stored.ssid == wifi.ssid else None
    if not wifi.psk:
        return WifiKey(wifi.ssid, "")
    if _HEXADECIMAL.fullmatch(wifi.psk.lower()):
        return WifiKey(wifi.ssid, wifi.psk.lower())
    derived = hashlib.pbkdf2_hmac("sha1", wifi.psk.encode("ascii"), wifi.ssid_bytes, 4096, 32)
    return WifiKey(wifi.ssid, derived.hex())


def format_key(key: WifiKey) -> bytes:
    """The file in which a board keeps a key."""
    record = {"schema": SCHEMA, "ssid": key.ssid, "key": key.key}
    return json.dumps(record, indent=2).encode("ascii") + b"\n"


def parse_key(data: bytes) -> WifiKey | None:
    """The key in such a file; None if it is none."""
    if len(data) > MAX_BYTES:
        return None
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    ssid, key = record.get("ssid"), record.get("key")
    if not isinstance(ssid, str) or not isinstance(key, str):
        return None
    return WifiKey(ssid, key) if not key or _HEXADECIMAL.fullmatch(key) else None


def supplicant_text(wifi: Wifi, key: WifiKey) -> str:
    """wpa_supplicant.conf(5) for this network alone.

    The name is written in hexadecimal, so that nothing in it can be taken for anything else.
    """
    # WPA2 alone: WPA1 can be broken, WPA3 wants the passphrase itself, which is not kept. Protected
    # management frames where the access point has them.
    secret = (
        f"proto=RSN\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tieee80211w=1\n\tpsk={key.key}"
        if key.key
        else "key_mgmt=NONE"
    )
    return f"""\
# Made by gadgetip from gadgetip.toml each time the board boots: a change here is lost.
ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev
country={wifi.country}
network={{
	ssid={wifi.ssid_bytes.hex()}
	scan_ssid=1
	{secret}
}}
"""
