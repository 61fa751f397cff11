import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadgetip.matching import Match
from gadgetip.profiles import (
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    LinkWishes,
    Profile,
    decode_profile,
    parse_profile,
)
from gadgetip.strict_toml import FileError
from gadgetip.usb import Speed
from tests.unit.profiles.files import CONTRACT, HEAD


def fault_of(text: str) -> str:
    with pytest.raises(FileError) as error:
        parse_profile(text, "p.toml")
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_whole_profile() -> None:
    assert parse_profile(CONTRACT, "p.toml") == Profile(
        name="stm32-serial",
        summary="STM32 virtual serial port",
        matches=(
            Match(ids=("0483:5740",), classes=("02/02/*",), excluded=Match(serials=("TEST*",))),
        ),
        gadget=GadgetWishes(
            max_speed=Speed.HIGH,
            identity=IdentityWishes(serialnumber="BENCH-7", bcdDevice=0x0200, max_power_ma=500),
        ),
        interfaces=(InterfaceWish(2, drop=True), InterfaceWish(1, alternate_setting=0)),
        endpoints=(EndpointWish(0x82, "packet", 16, 16384, 1000, True),),
        link=LinkWishes(),
    )


def test_a_controller_a_class_and_a_back_off() -> None:
    made = parse_profile(
        HEAD
        + '[gadget]\nudc = "20980000.usb"\n[[interface]]\nnumber = 3\nclass = "FF/0a/00"\n'
        + "[link]\nretry_min_s = 0.25\nretry_max_s = 60",
        "p.toml",
    )
    assert made.gadget.udc == "20980000.usb"
    assert made.interfaces == (InterfaceWish(3, class_triple=(0xFF, 0x0A, 0)),)
    assert (made.link.retry_min_s, made.link.retry_max_s) == (0.25, 60)
    assert parse_profile(HEAD + '[gadget]\nudc = "auto"', "p.toml") == Profile("x")


def test_what_is_left_out_is_automatic() -> None:
    assert parse_profile(HEAD, "p.toml") == Profile("x")
    empty = HEAD + "match = []\ninterface = []\n[gadget]\n[gadget.identity]\n[link]\n"
    assert parse_profile(empty, "p.toml") == Profile("x")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ('match = { id = "ABCD:57*" }', [Match(ids=("abcd:57*",))]),
        ('[match]\nname = ["a", "b"]', [Match(names=("a", "b"))]),
        ('match = [{ class = "FF" }]', [Match(classes=("ff/*/*",))]),
        ('match = { class = "03/1" }', None),
        ('match = { class = "0[1-3]/*" }', [Match(classes=("0[1-3]/*/*",))]),
        (
            '[[match]]\nbusid = "1-1.4"\n[[match]]\nserial = "S"\n[match.not]\nid = "1:*"',
            None,
        ),
        (
            '[[match]]\nbusid = "1-1.4"\n[[match]]\nserial = "S"\n[match.not]\nid = "*:0001"',
            [
                Match(busids=("1-1.4",)),
                Match(serials=("S",), excluded=Match(ids=("*:0001",))),
            ],
        ),
    ],
)
def test_matches(match: str, expected: list[Match] | None) -> None:
    if expected is None:
        assert "four hex" in (said := fault_of(HEAD + match)) or "two hex" in said
    else:
        assert parse_profile(HEAD + match, "p.toml").matches == tuple(expected)


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ('[gadget]\nbakend = "auto"', 4, "[gadget] has no key bakend: did you mean backend?"),
        ("[gadgte]", 3, "a profile has no key gadgte: did you mean gadget?"),
        ("[gadget]\nvendor = 1", 4, "known are backend, udc, max_speed, forward_reset,"),
        (
            "[gadget.identity]\n\nidvendor = 1",
            5,
            "[gadget.identity] has no key idvendor: did you mean idVendor?",
        ),
        ("[gadget.identity]\nidVendor = 65536", 4, "idVendor is 0x10000: it has to be 0x0 to"),
        ("[gadget.identity]\nbcdDevice = 0x0a00", 4, "bcdDevice is 0x0a00: its digits"),
        ("[gadget.identity]\nmax_power_ma = 501", 4, "max_power_ma is 501: it has to be 0 to 500"),
        ('[gadget.identity]\nproduct = ""', 4, 'product is "": it has to be 1 to 126 bytes'),
        (f'[gadget.identity]\nproduct = "{"ä" * 64}"', 4, "1 to 126 bytes"),
        ('[gadget.identity]\nproduct = "\\u001b[2J"', 4, "printable text"),
        ('[gadget]\nbackend = "functionfs2"', 4, "it is no backend: did you mean functionfs?"),
        ('[gadget]\nmax_speed = "highspeed"', 4, "it is no max_speed: did you mean high-speed?"),
        ('[gadget]\nmax_speed = "low-speed"', 4, "max_speed is"),
        ('[gadget]\nforward_reset = "yes"', 4, "is a text: it has to be true or false"),
        ("gadget = 1", 3, "gadget is a whole number: it has to be a table, [gadget]"),
        ("[interface]\nnumber = 1", 3, "it has to be a list of tables, [[interface]]"),
        ("interface = [1]", 3, "interface holds a whole number: it has to hold tables"),
        ("[[interface]]\ndrop = true", 3, "[[interface]] number is missing"),
        ("[[interface]]\nnumber = 256", 4, "number is 256: it has to be 0 to 255"),
        ("[[interface]]\nnumber = true", 4, "number is true or false: it has to be a whole"),
        ("[[interface]]\nnumber = 1\n[[interface]]\nnumber = 1", 6, "an earlier [[interface]]"),
        (
            "[[interface]]\nnumber = 1\ndrop = true\nalternate_setting = 1",
            6,
            "cannot be had with drop",
        ),
        ('[[interface]]\nnumber = 1\nclass = "ff/00"', 5, "CLASS/SUBCLASS/PROTOCOL, two hex"),
        ('[[interface]]\nnumber = 1\nclass = "ff/00/*"', 5, "two hexadecimal digits each"),
        (
            '[[interface]]\nnumber = 1\ndrop = true\nclass = "ff/00/00"',
            6,
            "class cannot be had with drop",
        ),
        ('[gadget]\nudc = ""', 4, "write a name that `gadgetip udc` lists"),
        ('[gadget]\nudc = ".."', 4, "write a name that `gadgetip udc` lists"),
        ('[gadget]\nudc = "a/b"', 4, "write a name that `gadgetip udc` lists"),
        ('[gadget]\nudc = "\\u202e"', 4, "a controller's name is printable"),
        ("[link]\nretry_min_s = 0.01", 4, "retry_min_s is 0.01: it has to be 0.1 to 3600"),
        ("[link]\nretry_max_s = 4000", 4, "retry_max_s is 4000: it has to be 0.1 to 3600"),
        ("[link]\nretry_max_s = 1\nretry_min_s = 2", 5, "retry_min_s is 2: retry_max_s is less, 1"),
        ("[[endpoint]]\n\naddress = 0", 5, "[[endpoint]] address is 0x0: it has to be 0x1 to"),
        ("[[endpoint]]\naddress = 0x80", 4, "address is 0x80: it has to be 0x01 to 0x0f (OUT)"),
        ("[[endpoint]]\naddress = 16", 4, "address is 0x10"),
        ("[[endpoint]]\naddress = 0x90", 4, "address is 0x90"),
        ("[[endpoint]]\naddress = 1\n[[endpoint]]\naddress = 1", 6, "an earlier [[endpoint]]"),
        ('[[endpoint]]\naddress = 1\nshaper = "Bot"', 5, "it is no shaper: did you mean bot?"),
        ('[[endpoint]]\naddress = 1\nshaper = "?"', 5, "known are auto, packet, bot, short"),
        ("[[endpoint]]\naddress = 1\nwindow_urbs = 0", 5, "window_urbs is 0"),
        ("[[endpoint]]\naddress = 1\nwindow_urbs = 1025", 5, "it has to be 1 to 1024"),
        ("[[endpoint]]\naddress = 1\ntransfer_bytes = 1048577", 5, "it has to be 1 to 1048576"),
        ("[[endpoint]]\naddress = 1\ninterval_us = 1e3", 5, "interval_us is a number: it has to"),
        ("[[endpoint]]\naddress = 1\nread_ahead = true", 5, "read_ahead is for IN endpoints"),
        ('[link]\non_loss = "hold"', 4, 'on_loss is "hold": say for how many seconds'),
        ("[link]\nhold_s = -1", 4, "hold_s is -1: it has to be 0 to 86400"),
        ("[link]\nhold_s = nan", 4, "hold_s is nan"),
        ("[link]\nhold_s = inf", 4, "hold_s is inf"),
        ("[link]\nhold_s = 1979-05-27", 4, "hold_s is a date or time: it has to be a number"),
        ("[link]\ncontrol_timeout_ms = 0", 4, "control_timeout_ms is 0"),
        (f"[link]\ncontrol_timeout_ms = 0x{'f' * 9999}", 4, "is a huge number: it has to be"),
        ("match = {}", 3, "[match] fits every device: give one of id, serial, name, class, busid"),
        ("[[match]]\nid = []", 4, "id is an empty list"),
        ("[[match]]\nid = [\n'*:*',\n1]", 6, "id holds a whole number: it has to hold texts"),
        ("[[match]]\nid = ['*:*',\n'483:5740']", 5, 'id is "483:5740": write VID:PID'),
        ("[[match]]\nid = 0x0483", 4, "it has to be a text or a list of texts"),
        ("[[match]]\nserial = ''", 4, "a pattern has 1 to 256 printable characters"),
        ("[[match]]\nbusid = 'a b'", 4, "a bus id has 1 to 31 bytes and no spaces"),
        ("[[match]]\nid = '*:*'\nnot = {}", 5, "[match.not] fits every device"),
        ("[[match]]\nnot = { id = '*:*' }", 3, "[[match]] fits every device"),
        ("[[match]]\nid = '*:*'\nnot = { id = '*:*', not = {} }", 5, "[match.not] has no key not"),
        ("name = 'y'", 3, "this is no TOML: Cannot overwrite a value"),
        ("[gadget", 3, "this is no TOML: Expected ']'"),
        ("summary = '''a\nb'''", 3, "summary is"),
        (f"a = {'9' * 5000}", 1, "this is no TOML: Exceeds the limit"),
    ],
)
def test_faults_have_a_line_and_an_advice(body: str, line: int, said: str) -> None:
    message = fault_of(HEAD + body)
    assert message.startswith(f"p.toml:{line}: ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'p.toml:1: schema is missing: the file has to say schema = "profile/1"'),
        (
            'schema = "profile/2"',
            'p.toml:1: schema is "profile/2": this release does not know that, but "profile/1"',
        ),
        ('\nschema = "config/1"\nx = 1', 'p.toml:2: schema is "config/1"'),
        ('schema = "profile/1"', "p.toml:1: name is missing"),
        ('schema = "profile/1"\nname = "auto"', "p.toml:2: name is"),
        ('schema = "profile/1"\nname = "../x"', "p.toml:2: name is"),
        ('schema = "profile/1"\n"na\\u001bme" = 1', "(and 1 more)"),
    ],
)
def test_what_a_profile_begins_with(text: str, said: str) -> None:
    assert said in fault_of(text)


def test_all_faults_in_the_order_of_the_lines() -> None:
    text = HEAD + "[link]\nhold_s = -1\nx = 1\n[gadget]\nbackend = 1\n"
    with pytest.raises(FileError) as error:
        parse_profile(text, "p.toml")
    assert [fault.line for fault in error.value.faults] == [4, 5, 7]
    assert str(error.value) == f"{error.value.faults[0]} (and 2 more)"


def test_a_hopeless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(FileError) as error:
        parse_profile(HEAD + "".join(f"key{n} = 1\n" for n in range(20000)), "p.toml")
    assert len(error.value.faults) == 20


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 120_000 + " = 1",
        "[" + ".".join("a" * 120_000) + "]",
        "a = " + "[" * 200_000,
        "a = " + "{a=" * 60_000,
        HEAD + "gadget = " + "[" * 9 + "]" * 9,
    ],
)
def test_depth_is_bounded(text: str) -> None:
    assert "nested too deeply" in fault_of(text)


def test_size_is_bounded() -> None:
    assert "at most 256 KiB" in fault_of(HEAD + "#" * 256 * 1024)
    with pytest.raises(FileError, match="at most 256 KiB"):
        decode_profile(b"#" * (256 * 1024 + 1), "p.toml")


def test_bytes() -> None:
    assert decode_profile(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode(), "p") == Profile(
        "x"
    )
    with pytest.raises(
        FileError, match=r"^p\.toml:3: byte 0xff is not UTF-8: save the file as UTF-8$"
    ):
        decode_profile(HEAD.encode() + b"# \xff", "p.toml")


def test_the_files_name_is_harmless() -> None:
    with pytest.raises(FileError, match=re.escape(r"\x1b[2J:1: schema is missing")):
        parse_profile("", "\x1b[2J")


LINES = st.sampled_from([*CONTRACT.splitlines(), "'''", '"""', "x = [", "]", "{", "\\", "=", "\r"])


@given(st.lists(LINES | st.text(max_size=20), max_size=30).map("\n".join))
@example(CONTRACT)
@example("a = '\ud800'")
@example("\ud800 = 1")
def test_any_text_is_a_profile_or_a_profile_error(text: str) -> None:
    error = None
    try:
        hash(parse_profile(text, "p.toml"))
    except FileError as raised:
        error = raised
    if error:
        assert str(error).isprintable()
        assert all(1 <= fault.line <= text.count("\n") + 1 for fault in error.faults)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_a_profile_error(data: bytes) -> None:
    with pytest.raises(FileError):
        decode_profile(data, "p.toml")


VALUES = st.recursive(
    st.integers(-2, 2**17).map(str)
    | st.floats().map(lambda f: str(f) if "e" not in str(f) else "1.5")
    | st.sampled_from(["true", "false", "'auto'", "'x'", "'08'", "'*:*'", "07:32:00", "''"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]")
        | st.lists(
            st.tuples(st.sampled_from("abc"), inner), max_size=3, unique_by=lambda t: t[0]
        ).map(lambda pairs: "{" + ", ".join(f"{k} = {v}" for k, v in pairs) + "}")
    ),
    max_leaves=5,
)


@given(st.data())
def test_any_value_of_any_key_is_understood_or_refused_in_its_line(data: st.DataObject) -> None:
    lines = CONTRACT.splitlines()
    settings = [index for index, line in enumerate(lines) if " = " in line and index]
    at = data.draw(st.sampled_from(settings))
    key = lines[at].split(" = ")[0]
    lines[at] = f"{key} = {data.draw(VALUES)}"
    try:
        parse_profile("\n".join(lines), "p.toml")
    except FileError as error:
        header = max((i for i in range(at) if lines[i].startswith("[")), default=0)
        end = min(
            (i for i in range(at, len(lines)) if lines[i].startswith("[")), default=len(lines)
        )
        lines_named = {fault.line - 1 for fault in error.faults}
        # Two keys of one table may contradict each other.
        assert lines_named <= set(range(header, end))
