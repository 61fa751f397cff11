"""The form of `[board]`: what is checked before an image believes it.

A board without screen and keyboard cannot be asked what it did not understand, so that whatever can
be told wrong from the text is. A passphrase is never quoted, nor what stands beside it, where one
may have been written by mistake: messages go to logs, to the serial console and to a file that
anybody can read.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable

from gadgetip.strict_toml import StrictTable
from gadgetip.supervisor.board_config import MOVED, BoardConfig, Wifi

MAX_SSH_KEYS = 32
MAX_SSID_BYTES = 32
MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 63

SSH_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)

_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,31}){0,2}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_PASSPHRASE = re.compile(r"[ -~]*")


def read_board(table: StrictTable) -> BoardConfig:
    """What `[board]` says; faults go to the table's list."""
    default = BoardConfig()
    board = BoardConfig(
        hostname=table.text("hostname", default.hostname, _hostname_problem),
        timezone=table.text("timezone", default.timezone, _timezone_problem),
        ssh_keys=table.texts("ssh_keys", ssh_key_problem, MAX_SSH_KEYS),
        wifi=_read_wifi(table.table("wifi")) if table.has("wifi") else None,
    )
    table.close()
    return board


def _read_wifi(table: StrictTable) -> Wifi:
    table.need("country", 'where the board is, as two capital letters ("DE"): radio laws differ')
    table.need("ssid", "the name of the network")
    table.need("psk", 'the passphrase of the network; "" if it is open')
    country = _unquoted(table, "country", _country_problem)
    ssid = _unquoted(table, "ssid", _ssid_problem)
    psk = _unquoted(table, "psk", psk_problem)
    table.close(may_quote=False)
    return Wifi(country, ssid, psk)


def _unquoted(table: StrictTable, key: str, problem_of: Callable[[str], str | None]) -> str:
    """A text that no message has: the passphrase may have got into the wrong line."""
    default: str | None = None
    value = table.text(key, default, lambda _: None)
    if value is None:
        return ""
    if problem := problem_of(value):
        table.fault(key, f"{key} {problem}")
    return value


def _hostname_problem(text: str) -> str | None:
    if _HOSTNAME.fullmatch(text) and text.lower() != "localhost":
        return None
    return "a host name has 1 to 63 letters, digits and -, without - at its ends, and no domain"


def _timezone_problem(text: str) -> str | None:
    if _TIMEZONE.fullmatch(text):
        return None
    return 'write a name of the time zone database, "Europe/Berlin" or "Etc/UTC"'


def ssh_key_problem(text: str) -> str | None:
    """What is wrong with a line of a `.pub` file; None if it is a public key of OpenSSH's.

    Options in front of a key ("command=...") are refused: there is one account, and it is root's.
    """
    if "PRIVATE KEY" in text:
        return "this is a private key, which belongs to nobody else: give the line of the .pub file"
    if not text.isprintable():
        return "a key is one line, as the .pub file has it"
    kind, _, rest = text.partition(" ")
    if kind not in SSH_KEY_TYPES:
        return 'a key begins with its type, as "ssh-ed25519 AAAA..." in the .pub file'
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return "the key is cut off or changed: give the whole line of the .pub file"
    # The type stands at the beginning of the key, too (RFC 4253, section 6.6).
    name = kind.encode()
    if not blob.startswith(struct.pack(">I", len(name)) + name) or len(blob) < len(name) + 36:
        return "the key is cut off or changed: give the whole line of the .pub file"
    return None


def _country_problem(text: str) -> str | None:
    if _COUNTRY.fullmatch(text):
        return None
    return 'has to be the two capital letters of the country, "DE", "GB", "US"'


def _ssid_problem(text: str) -> str | None:
    if text.isprintable() and 1 <= len(text.encode()) <= MAX_SSID_BYTES:
        return None
    return f"is no name of a network, which has 1 to {MAX_SSID_BYTES} bytes, all of them printable"


def psk_problem(psk: str) -> str | None:
    """What is wrong with a passphrase, in words that do not have it; None if nothing is."""
    if psk in {"", MOVED} or _KEY.fullmatch(psk):
        return None
    if not _PASSPHRASE.fullmatch(psk):
        return "has a character that is not ASCII: give the key instead, 64 hexadecimal digits"
    if MIN_PASSPHRASE <= len(psk) <= MAX_PASSPHRASE:
        return None
    return f"has {len(psk)} characters: a passphrase has {MIN_PASSPHRASE} to {MAX_PASSPHRASE}"
