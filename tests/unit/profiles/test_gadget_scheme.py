import re
from contextlib import suppress

import libconf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gadgetip.profiles import GadgetWishes, IdentityWishes, Profile, parse_profile
from gadgetip.profiles.gadget_scheme import MAX_LOST, read_scheme, write_scheme
from gadgetip.profiles.writing import profile_text
from gadgetip.strict_toml import FileError
from tests.unit.profiles.files import CONTRACT

from .strategies import identities, profiles

SAVED = """\
attrs :
{
  bcdUSB = 0x200;
  bDeviceClass = 0x0;
  idVendor = 0x1D6B;
  idProduct = 0x104;
  bcdDevice = 0x100;
};
strings = (
  {
    lang = 0x409;
    manufacturer = "Foo Inc.";
    product = "Bar \\"Gadget\\"";
    serialnumber = "0123456789";
  },
  { lang = 0x407; product = "Ding"; manufacturer = "Foo Inc."; }
);
functions :
{
  acm_usb0 : { instance = "usb0"; type = "acm"; };
};
configs = (
  {
    id = 1;
    name = "The only one";
    attrs : { bmAttributes = 0x80; bMaxPower = 0xFA; };
    strings = ( { lang = 0x409; configuration = "Config id 1"; } );
    functions = ( { name = "acm.GS0"; function = "acm_usb0"; } );
  }
);
"""
"""As `gt save` writes it."""


def lost(text: str) -> tuple[str, ...]:
    return read_scheme(text, "x.scheme", "x")[1]


def test_what_is_carried_over_and_what_is_lost() -> None:
    profile, gone = read_scheme(SAVED, "x.scheme", "x")
    assert profile.gadget == GadgetWishes(
        identity=IdentityWishes(
            "Foo Inc.", 'Bar "Gadget"', "0123456789", 0x1D6B, 0x0104, 0x0100, max_power_ma=250
        )
    )
    assert gone == (
        "attrs.bcdUSB = 0x200: the device's own stays",
        "attrs.bDeviceClass = 0x0: the device's own stays",
        "strings 0x407 product: a profile has one text for all languages",
        'functions.acm_usb0, "acm": the interfaces are the device\'s own',
        "configs 0x1 id: the device's own stays",
        "configs 0x1 name: the device's own stays",
        "configs 0x1 strings: the device's own stays",
        "configs 0x1 functions: the device's own stays",
        "configs 0x1 bmAttributes: the device's own stays",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attrs = { idVendor = 0x10000; }", "attrs.idVendor = 0x10000: it has to be 0x0 to 0xffff"),
        ("attrs = { idVendor = -1; }", "attrs.idVendor = -1: it has to be"),
        ('attrs = { idVendor = "a"; }', 'attrs.idVendor = "a": it has to be'),
        ("attrs = { idVendor = true; }", "attrs.idVendor = true: it has to be"),
        (f"attrs = {{ idVendor = 0x{'f' * 9999}; }}", "attrs.idVendor = a huge number: it has to"),
        (
            "attrs = { bcdDevice = 0x0a00; }",
            "attrs.bcdDevice = 0xa00: its digits have",
        ),
        ("attrs = { idvendor = 1; }", "attrs.idvendor = 0x1: the device's own stays"),
        ("os_descs = { use = 1; }", "os_descs: gadgetip does not know this"),
        (
            'strings = ( { lang = 0x409; product = ""; } )',
            "strings 0x409 product: it has to",
        ),
        (
            "strings = ( { lang = 0x409; color = 1; } )",
            "strings 0x409 color: gadgetip does",
        ),
        (
            "configs = ( { id = 1; attrs = { bMaxPower = 501; } } )",
            "configs 0x1 bMaxPower: it has to be 0 to 500 mA",
        ),
        (
            "configs = ( { attrs = { bMaxPower = 1; } }, { attrs = { bMaxPower = 2; } } )",
            "configs: bMaxPower differs, and a profile has one for all configurations",
        ),
        ("functions = { a = 1; }", "functions.a, ?: the interfaces are the device's own"),
    ],
)
def test_what_cannot_be_had_is_said(text: str, said: str) -> None:
    assert any(item.startswith(said) for item in lost(text))
    assert read_scheme(text, "x", "x")[0].gadget == GadgetWishes()


def test_the_first_language_where_there_is_no_english() -> None:
    text = 'strings = ( { lang = 0x407; product = "Ding"; } )'
    assert read_scheme(text, "x", "x")[0].gadget.identity.product == "Ding"


def test_what_is_lost_is_bounded() -> None:
    text = "".join(f"s{number} = 1;" for number in range(1000))
    assert len(lost(text)) == MAX_LOST + 1
    assert lost(text)[-1] == "and 900 more"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attrs", "x.scheme:1: this is no gadget scheme"),
        ("attrs = {\n\n}}", "x.scheme:3: this is no gadget scheme"),
        ('schema = "profile/1"\n[gadget]\n', "x.scheme:2: this is no gadget scheme"),
        ("attrs = { idVendor = 1; idVendor = 2; }", "x.scheme:1: idVendor is set twice"),
        ('@include "/etc/passwd"', "x.scheme:1: @include is not followed"),
        ('attrs = {\n@include "/etc/passwd"\n}', "x.scheme:2: @include is not followed"),
        ("attrs = 1", "attrs has to be a group"),
        ("strings = { lang = 1; }", "strings has to be a list of groups"),
        ('strings = ( "a" )', "strings has to be a list of groups"),
        ('strings = ( { product = "a"; } )', "each has to have a lang = 0x409"),
        ("configs = ( { attrs = 1; } )", "attrs has to be a group"),
        ("a = 0123", "x.scheme:1: this is no gadget scheme"),
        (f"a = {'9' * 5000}", "x.scheme:1: this is no gadget scheme"),
        ("a = .", "x.scheme:1: this is no gadget scheme"),
        ("a = " + "(" * 9000, "nested too deeply"),
        ("a = " + "{ a = " * 9000, "nested too deeply"),
        ("/*" * 9000, "this is no gadget scheme"),
        ('a = "' + "\\" * 9001, "this is no gadget scheme"),
        ("#" * 70000, "a gadget scheme has at most 64 KiB"),
    ],
)
def test_what_is_no_scheme_is_one_line(text: str, said: str) -> None:
    with pytest.raises(FileError, match=re.escape(said)) as error:
        read_scheme(text, "x.scheme", "x")
    assert str(error.value).isprintable()


def test_nothing_at_all_is_a_scheme() -> None:
    assert read_scheme("", "x", "x") == (Profile("x", "Imported from a gadget scheme"), ())


words = st.sampled_from(
    [
        *("attrs", "strings", "configs", "lang", "idVendor", "bMaxPower", "@include"),
        *("=", ":", "{", "}", "(", ")", "[", "]", ";", ",", "#", "\n", "\x00", "é"),
        *("1", "0x409", "1.5", "true", '"a"'),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(words, max_size=30).map(" ".join)))
@example('strings = ( { lang = 0x409; product = "\\x00"; } )')
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(FileError):
        profile, gone = read_scheme(text, "x", "x")
        assert parse_profile(profile_text(profile), "x") == profile
        assert all(item.isprintable() for item in gone)


@given(identities)
def test_who_it_is_survives_both_ways(identity: IdentityWishes) -> None:
    text, _ = write_scheme(Profile("x", gadget=GadgetWishes(identity=identity)))
    profile, gone = read_scheme(text, "x", "x")
    assert profile.gadget.identity == identity
    assert set(gone) <= {f"configs 0x1 {key}: the device's own stays" for key in ("id", "name")}
    libconf.loads(text)


def test_everything_that_a_scheme_cannot_say() -> None:
    text, gone = write_scheme(parse_profile(CONTRACT, "x"))
    assert text == (
        "attrs :\n{\n    bcdDevice = 0x0200;\n};\n"
        "strings :\n(\n    {\n        lang = 0x409;\n"
        '        serialnumber = "BENCH-7";\n    }\n);\n'
        'configs :\n(\n    {\n        id = 1;\n        name = "c";\n        attrs :\n        {\n'
        "            bMaxPower = 500;\n        };\n    }\n);\n"
    )
    assert gone == (
        "name: a gadget gets its name when gt loads it",
        "summary: a scheme has none",
        '[[match]] id = "0483:5740": a scheme is for whoever loads it',
        '[[match]] class = "02/02/*": a scheme is for whoever loads it',
        '[[match]] not = { serial = "TEST*" }: a scheme is for whoever loads it',
        '[gadget] max_speed = "high-speed": a scheme cannot say it',
        "[[interface]] number = 2: a scheme cannot say it",
        "[[interface]] drop = true: a scheme cannot say it",
        "[[interface]] number = 1: a scheme cannot say it",
        "[[interface]] alternate_setting = 0: a scheme cannot say it",
        "[[endpoint]] address = 0x82: a scheme cannot say it",
        '[[endpoint]] shaper = "packet": a scheme cannot say it',
        "[[endpoint]] window_urbs = 16: a scheme cannot say it",
        "[[endpoint]] transfer_bytes = 16384: a scheme cannot say it",
        "[[endpoint]] interval_us = 1000: a scheme cannot say it",
        "[[endpoint]] read_ahead = true: a scheme cannot say it",
    )


@given(profiles())
def test_any_profile_can_be_exported(profile: Profile) -> None:
    text, gone = write_scheme(profile)
    assert all(item.isprintable() for item in gone)
    assert read_scheme(text, "x", "x")[0].gadget.identity == profile.gadget.identity
