"""No serial number survives, whatever it looks like and wherever it stands."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadgetip.diagnosis.redaction import ANYWHERE, SHORT, Redactor

# What devices really have: letters, digits, signs, spaces between; some have letters of any script.
SERIALS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), include_characters=" "),
    min_size=1,
    max_size=40,
).map(str.strip)
LONG = SERIALS.filter(lambda s: len(s) >= ANYWHERE and len(s.casefold()) == len(s))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=80)
PLAIN = st.text("0123456789ABCDEFabcdefXYZ-", min_size=1, max_size=30)


@given(LONG, TEXTS, TEXTS)
def test_a_known_serial_is_nowhere_any_more(serial: str, before: str, behind: str) -> None:
    text = Redactor([serial]).redact(before + serial + behind)
    # The token itself is the only text of ours.
    assert serial.casefold() not in text.replace("<serial-", "").casefold()


@given(LONG)
def test_nor_as_others_write_it(serial: str) -> None:
    written = [
        json.dumps({"x": serial}),
        json.dumps({"x": serial}, ensure_ascii=False),
        f"/dev/serial/by-id/usb-ACME_{serial.replace(' ', '_')}-if00",
        f"usb 1-1: {serial.upper() if len(serial.upper()) == len(serial) else serial}",
        serial.encode("unicode_escape").decode("ascii"),
    ]
    for text in written:
        redacted = Redactor([serial]).redact(text)
        assert "<serial-1>" in redacted, text


@given(PLAIN, st.sampled_from(["", "x", "\n", "usb 1-1: "]), TEXTS)
@example("1", "", "")
@pytest.mark.parametrize(
    "form",
    [
        "SerialNumber: {}",
        'serial = "{}"',
        "serial = '{}'",
        '"serial": "{}"',
        "serial={}",
        "ID_SERIAL_SHORT={}",
        "E: ID_SERIAL={}",
        'serialnumber = "{}"',
        'not = {{ serial = "{}" }}',
        "serial = [ \"{0}\", '{0}' ]",
    ],
)
def test_a_serial_that_a_word_points_at(form: str, serial: str, before: str, behind: str) -> None:
    redactor = Redactor()
    text = redactor.redact(f"{before} {form.format(serial)}\n{behind}")
    assert text.startswith(f"{before} {form.format('<serial-1>')}\n")
    assert redactor.counts["serial numbers"] >= 1


@given(PLAIN.map(str.strip), TEXTS)
@example("1", "")
@example("ABCDEF", "")
def test_a_serial_in_a_list_of_devices(serial: str, behind: str) -> None:
    redactor = Redactor()
    text = redactor.redact(f"1-1 (0781:5581, serial {serial}, Ultra) {behind}")
    assert text.startswith("1-1 (0781:5581, serial <serial-1>, Ultra) ")
    spaced = Redactor().redact(f"1-1 (0781:5581, serial A {serial})")
    assert spaced == "1-1 (0781:5581, serial <serial-1>)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stick with serial 4C530001 is away", "stick with serial <serial-1> is away"),
        ("serial number AB-12", "serial number <serial-1>"),
        ("The serial number is 7", "The serial number is <serial-1>"),
        ("serial AB12-CD34-EF: 4C", "serial <serial-1>: 4C"),
        ("Its serial number is 4C530001.", "Its serial number is <serial-1>."),
        ("no serial 4C530001", "no serial <serial-1>"),
    ],
)
def test_a_serial_in_a_sentence(text: str, expected: str) -> None:
    redactor = Redactor()
    assert redactor.redact(text) == expected
    assert redactor.counts["serial numbers"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "FTDI USB Serial Device converter now attached to ttyUSB0",
        "usbserial: USB Serial support registered for pl2303",
        "serial port ttyUSB0",
        "serial ttyUSB000",
        "USB Serial CH340",
        "a serial number that nobody knows; serial 12",
        "serial adapters (0403:6001)",
    ],
)
def test_words_that_follow_serial(text: str) -> None:
    assert Redactor().redact(text) == text


@pytest.mark.parametrize("serial", ["serial", "SerialNumber", "serial-1"])
def test_a_serial_that_is_its_own_word(serial: str) -> None:
    text = Redactor().redact(f'x = 1, serial = "{serial}"')
    assert serial not in text.replace("<serial-1>", "")


@pytest.mark.parametrize("value", ["null", "true", "None"])
def test_a_word_without_a_value(value: str) -> None:
    line = f'{{"serial": {value}, "name": "null"}}'
    assert Redactor().redact(line) == line


@given(st.text("0123456789ABCDEF", min_size=ANYWHERE, max_size=20), TEXTS)
def test_what_one_text_tells_goes_from_the_others(serial: str, other: str) -> None:
    redactor = Redactor()
    redactor.learn(f"[1.0] usb 1-1: SerialNumber: {serial}\n")
    assert serial not in redactor.redact(f"{other} usb-ACME_{serial}-0:0")


@given(TEXTS)
def test_nothing_known_nothing_changed_but_what_looks_private(text: str) -> None:
    words = ("serial", "psk", "pass", "secret", "token", "-----", "ssh-", "ecdsa")
    if not any(word in text.lower() for word in words):
        assert Redactor().redact(text) == text


def test_the_same_device_has_the_same_token() -> None:
    redactor = Redactor(["4C530001", "ABCDEFGH"])
    text = redactor.redact("4C530001 abcdefgh 4c530001")
    assert text == "<serial-1> <serial-2> <serial-1>"
    assert redactor.counts["serial numbers"] == 3


def test_short_ones_stay_where_nothing_says_what_they_are() -> None:
    redactor = Redactor(["1", "0001"])
    assert redactor.redact('interface 1, serial = "1"') == 'interface 1, serial = "<serial-1>"'
    assert redactor.redact("0001 and 10001 and usb_0001-0") == (
        "<serial-2> and 10001 and usb_<serial-2>-0"
    )
    assert len("0001") == SHORT


def test_numbers_of_strings_are_no_serial_numbers() -> None:
    line = "usb 1-1: New USB device strings: Mfr=1, Product=2, SerialNumber=3"
    assert Redactor().redact(line) == line


def test_root_hubs_are_called_what_their_controllers_are() -> None:
    line = "[1.0] usb usb1: SerialNumber: dummy_hcd.0\n[2.0] dummy_hcd dummy_hcd.0: up"
    assert Redactor().redact(line) == line
    line = "[1.0] usb 1-1: SerialNumber: dummy_hcd.0\n[2.0] dummy_hcd.0"
    assert Redactor().redact(line) == "[1.0] usb 1-1: SerialNumber: <serial-1>\n[2.0] <serial-1>"


def test_longer_first() -> None:
    assert Redactor(["ABCD1234", "ABCD12345678"]).redact("ABCD12345678") == "<serial-2>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('psk = "correct horse"', "psk = <secret>"),
        ("psk=hunter2", "psk=<secret>"),
        ("wpa_passphrase=hunter2", "wpa_passphrase=<secret>"),
        ("the password is hunter2.", "the password is <secret>"),
        ('passphrase is "correct horse"', "passphrase is <secret>"),
        ("its token is notable1", "its token is <secret>"),
        (
            'ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1 me@desk"]',
            'ssh_keys = ["<secret>"]',
        ),
        (
            "a\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\nb",
            "a\n<secret>\nb",
        ),
    ],
)
def test_secrets(text: str, expected: str) -> None:
    redactor = Redactor()
    assert redactor.redact(text) == expected
    assert redactor.counts["passphrases and keys"] == 1


@pytest.mark.parametrize("text", ["the password is wrong", "psk is not set, a token is missing"])
def test_what_is_said_of_secrets(text: str) -> None:
    assert Redactor().redact(text) == text


def test_addresses_stay_unless_asked_for() -> None:
    text = "nas.lan (192.168.1.5, fe80::1) 00:11:22:33:44:55"
    assert Redactor(names=["nas.lan"]).redact(text) == text


def test_addresses_go_when_asked_for() -> None:
    redactor = Redactor(addresses=True, names=["nas.lan", "paula"])
    text = redactor.redact(
        "paula@nas.lan [fd00::5]:3240 192.168.1.5:3240 192.168.1.5 00:11:22:33:44:55 paulaner"
    )
    assert text == (
        "<name-2>@<name-1> [<address-2>]:3240 <address-3>:3240 <address-3> "
        "<hardware-address-1> paulaner"
    )


@pytest.mark.parametrize(
    "text", ["127.0.0.1 ::1 0.0.0.0 ::", "12:34:56.789", "08/06/50", "1-1.4:1.0"]
)
def test_what_is_no_address_of_anybody(text: str) -> None:
    assert Redactor(addresses=True).redact(text) == text


@given(st.ip_addresses().filter(lambda a: not (a.is_loopback or a.is_unspecified)), st.booleans())
def test_every_address_goes(address: object, bracketed: bool) -> None:
    text = f"from [{address}]:99" if bracketed else f"from {address} to"
    assert str(address) not in Redactor(addresses=True).redact(text)


@given(st.text(max_size=400), st.lists(st.text(max_size=30), max_size=4))
def test_any_text_can_be_redacted(text: str, serials: list[str]) -> None:
    Redactor(serials, addresses=True, names=serials).redact(text)
