"""`[board]`, as people write it into an image's configuration."""

import base64
import json
import struct
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.strict_toml import FileError
from gadgetip.supervisor import config_here
from gadgetip.supervisor.board_config import BoardConfig, Wifi
from gadgetip.supervisor.board_form import SSH_KEY_TYPES, psk_problem, ssh_key_problem
from gadgetip.supervisor.config_form import CONFIG_KIND, IMAGE_CONFIG_KIND, parse_config

HEAD = 'schema = "config/1"\n'
WIFI = '[board.wifi]\ncountry = "DE"\nssid = "lab"\npsk = "correct horse"\n'


def public_key(kind: str = "ssh-ed25519", body: bytes = bytes(36)) -> str:
    name = kind.encode()
    blob = struct.pack(">I", len(name)) + name + body
    return f"{kind} {base64.b64encode(blob).decode()} me@desk"


def faults(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_config(HEAD + text, "f", image=True)
    return [fault.problem for fault in caught.value.faults]


def test_what_is_left_out() -> None:
    assert parse_config(HEAD, "f", image=True).board is None
    assert parse_config(HEAD + "[board]", "f", image=True).board == BoardConfig()


def test_every_key() -> None:
    text = f"""{HEAD}[board]
hostname = "dongle"
timezone = "America/Argentina/Buenos_Aires"
ssh_keys = ["{public_key()}", "{public_key("ssh-rsa")}"]
{WIFI}"""
    assert parse_config(text, "f", image=True).board == BoardConfig(
        hostname="dongle",
        timezone="America/Argentina/Buenos_Aires",
        ssh_keys=(public_key(), public_key("ssh-rsa")),
        wifi=Wifi("DE", "lab", "correct horse"),
    )


def test_no_other_machine_may_have_it() -> None:
    with pytest.raises(FileError, match="images alone"):
        parse_config(HEAD + "[board]\n", "f")


def test_what_says_that_this_is_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "image"
    monkeypatch.setattr(config_here, "IMAGE_FILE", file)
    assert config_here.config_kind_here() is CONFIG_KIND
    file.touch()
    assert config_here.config_kind_here() is IMAGE_CONFIG_KIND


@pytest.mark.parametrize("key", ["country", "ssid", "psk"])
@pytest.mark.parametrize("passphrase", ["correct horse battery staple and more", "x\u0007y"])
def test_a_passphrase_in_the_wrong_place_is_not_quoted(key: str, passphrase: str) -> None:
    values = {"country": "DE", "ssid": "lab", "psk": "correct horse"} | {key: passphrase * 3}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    [fault] = faults(f"[board.wifi]\n{text}")
    assert "horse" not in fault
    assert "\u0007" not in fault


def test_a_passphrase_in_front_of_the_equals_sign_is_not_quoted() -> None:
    [fault] = faults(f'{WIFI}"battery staple" = "psk"\n')
    assert "[board.wifi] has a key that it must not have: known are country, ssid, psk" in fault


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[board]\nhostname = "my board"', '[board] hostname is "my board": a host name has'),
        ('[board]\nhostname = "dongle-"', '[board] hostname is "dongle-": a host name has'),
        ('[board]\nhostname = "a.lan"', '[board] hostname is "a.lan": a host name has'),
        ('[board]\nhostname = "localhost"', '[board] hostname is "localhost": a host name has'),
        ('[board]\ntimezone = "../passwd"', '[board] timezone is "../passwd": write a name'),
        ('[board]\ntimezone = "Europe/"', '[board] timezone is "Europe/": write a name'),
        ('[board]\nssh_keys = ["AAAA"]', '[board] ssh_keys is "AAAA": a key begins with its type'),
        ("[board]\nssh_keys = []", "[board] ssh_keys is an empty list"),
        ('[board]\nhostnaem = "x"', "[board] has no key hostnaem: did you mean hostname?"),
        ('[board]\npassword = "x"', "[board] has no key password: known are hostname, timezone"),
        (WIFI.replace("DE", "de"), "[board.wifi] country has to be the two capital letters"),
        (WIFI.replace("lab", ""), "[board.wifi] ssid is no name of a network, which has 1 to 32"),
        (WIFI.replace("lab", "ü" * 17), "no name of a network, which has 1 to 32 bytes"),
        (WIFI.replace('psk = "correct horse"', ""), "[board.wifi] psk is missing: the passphrase"),
        (WIFI.replace('"correct horse"', "1"), "[board.wifi] psk is a whole number"),
        ('[board]\nwifi = "lab"', "[board] wifi is a text: it has to be a table, [wifi]"),
    ],
)
def test_what_is_wrong(text: str, problem: str) -> None:
    assert any(problem in fault for fault in faults(text)), faults(text)


@pytest.mark.parametrize("psk", ["short12", "x" * 64, "correct hörse", "tab\there!"])
def test_a_wrong_passphrase_is_not_quoted(psk: str) -> None:
    (fault,) = faults(WIFI.replace("correct horse", psk.replace("\t", "\\t")))
    assert fault.startswith("[board.wifi] psk has ")
    assert psk not in fault


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)))
def test_passphrases(psk: str) -> None:
    assert (psk_problem(psk) is None) == (8 <= len(psk) <= 63 or psk in {"", "moved"})


@given(st.binary(min_size=32, max_size=32))
def test_keys_in_place_of_passphrases(key: bytes) -> None:
    assert psk_problem(key.hex()) is None
    assert psk_problem(key.hex() + "0") is not None


@given(st.sampled_from(SSH_KEY_TYPES), st.binary(min_size=32, max_size=600), st.data())
def test_public_keys(kind: str, body: bytes, data: st.DataObject) -> None:
    line = public_key(kind, body)
    assert ssh_key_problem(line) is None
    assert ssh_key_problem(line.rpartition(" ")[0]) is None
    cut = data.draw(st.integers(0, len(kind) + 40))
    assert ssh_key_problem(line[:cut]) is not None
    assert ssh_key_problem(f'command="x" {line}') is not None
    assert ssh_key_problem(f"{line}\nssh-rsa AAAA") is not None


def test_a_private_key_is_recognised() -> None:
    problem = ssh_key_problem("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA")
    assert problem is not None
    assert "private" in problem


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(st.text(max_size=70), st.integers(), st.lists(st.text(max_size=9)))
            for key in ("hostname", "timezone", "ssh_keys", "country", "ssid", "psk", "x")
        },
    )
)
def test_whatever_is_written(keys: dict[str, object]) -> None:
    """What passes is what was written; what does not is told in lines that print."""
    written = "\n".join(f"{key} = {toml(value)}" for key, value in keys.items())
    for table in ("[board]", "[board.wifi]"):
        text = f"{HEAD}{table}\n{written}\n"
        try:
            board = parse_config(text, "f", image=True).board
        except FileError:
            assert all(fault.isprintable() for fault in faults(f"{table}\n{written}\n"))
            continue
        assert board is not None
        assert tomllib.loads(text)["board"].get("hostname", "gadgetip") == board.hostname


def toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value)
