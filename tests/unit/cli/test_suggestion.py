"""What is suggested passes `gadgetip check`, whatever the device says of itself."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gadgetip.cli.suggestion import Suggestion, suggested_name
from gadgetip.errors import RefusedError
from gadgetip.gadget import make_plan
from gadgetip.gadget.udc_models import DUMMY_HCD
from gadgetip.matching import facts_of_tree, specificity
from gadgetip.profiles import GENERIC, EndpointWish, Profile, decode_profile, is_profile_name
from gadgetip.usb import US_ENGLISH, DeviceTree, StringTable
from tests.emulated.devices import DEVICES
from tests.unit.gadget.devices import CAMERA, HS_STICK, KEYBOARD_LS, SERIAL, emulated
from tests.unit.gadget.planning import REBUILT, STOCK
from tests.unit.gadget.plausible import plausible_devices
from tests.unit.profiles.strategies import profiles
from tests.unit.usb import strategies


def suggested(tree: DeviceTree, base: Profile = GENERIC, title: str = "a thing") -> str:
    plan = make_plan(tree, DUMMY_HCD, STOCK, profile=base)
    return Suggestion("mine", title, tree, base, plan).text()


def checked(text: str) -> Profile:
    """What `gadgetip check` reads; raises `FileError`."""
    return decode_profile(text.encode(), "mine.toml")


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


def assert_good(tree: DeviceTree, title: str = "a thing") -> None:
    text = suggested(tree, title=title)
    profile = checked(text)
    rest = (profile.gadget, profile.interfaces, profile.endpoints, profile.link)
    assert rest == (GENERIC.gadget, (), (), GENERIC.link)
    assert specificity(profile.matches, facts_of_tree(tree))
    whole = checked(uncommented(text))
    assert specificity(whole.matches, facts_of_tree(tree))
    assert {wish.number for wish in whole.interfaces} == {
        setting.interface for c in tree.configurations for setting in c.settings
    }


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_emulated_devices(name: str) -> None:
    assert_good(emulated(name))


@settings(max_examples=100, deadline=None)
@given(plausible_devices())
def test_plausible_devices(tree: DeviceTree) -> None:
    assert_good(tree)


@settings(max_examples=100, deadline=None)
@given(strategies.devices())
def test_devices_that_make_no_sense(tree: DeviceTree) -> None:
    try:
        text = suggested(tree)
    except RefusedError:
        assert not tree.configurations
    else:
        checked(text)
        checked(uncommented(text))


hostile = st.text(max_size=130)


@settings(max_examples=100, deadline=None)
@given(hostile, hostile, hostile)
@example('x"\n[gadget]\nbackend = "gadgetfs"', "\x00\x7f\x85\u2028", "\ud800")
@example("''' \\u0000", '"""', "*[?]")
@example("ä" * 64, "#serial", "]" * 260)
def test_no_device_writes_a_line_of_its_own(maker: str, product: str, serial: str) -> None:
    texts = {(1, US_ENGLISH): maker, (2, US_ENGLISH): product, (3, US_ENGLISH): serial}
    tree = replace(HS_STICK, strings=StringTable((US_ENGLISH,), texts))
    assert_good(tree, title=f"{maker} {product}")


@settings(max_examples=60, deadline=None)
@given(plausible_devices(), profiles())
def test_the_wishes_of_the_profile_it_starts_from_stay(tree: DeviceTree, base: Profile) -> None:
    base = replace(base, gadget=replace(base.gadget, backend="auto"))
    profile = checked(suggested(tree, base))
    assert profile.gadget == base.gadget
    assert set(profile.interfaces) == set(base.interfaces)
    assert set(profile.endpoints) == set(base.endpoints)
    assert profile.link == base.link


@pytest.mark.parametrize("tree", [HS_STICK, SERIAL, KEYBOARD_LS], ids=["stick", "serial", "keys"])
def test_what_holds_anyway_changes_nothing(tree: DeviceTree) -> None:
    """The keys of the endpoints and the classes, as shown, are those of the automatic plan."""
    whole = checked(uncommented(suggested(tree)))
    interfaces = tuple(replace(wish, alternate_setting=None) for wish in whole.interfaces)
    shown = replace(GENERIC, interfaces=interfaces, endpoints=whole.endpoints)
    plain = make_plan(tree, DUMMY_HCD, STOCK)
    assert make_plan(tree, DUMMY_HCD, STOCK, profile=shown) == plain


def test_what_the_plan_found_is_in_it() -> None:
    text = suggested(CAMERA)
    assert "# Planned on dummy_hcd through gadgetfs at 480 Mbit/s: is refused.\n" in text
    assert "#   refused: configuration: " in text
    assert "# It is not carried.\n" in text
    rebuilt = make_plan(CAMERA, DUMMY_HCD, REBUILT)
    assert ": works, degraded.\n" in Suggestion("c", "c", CAMERA, GENERIC, rebuilt).text()
    assert '#serial = "4C530001"  # this one alone\n' in suggested(HS_STICK)
    base = Profile("base", endpoints=(EndpointWish(0x87),))
    assert "# This device has no endpoint 0x87.\n[[endpoint]]\naddress = 0x87\n" in suggested(
        HS_STICK, base
    )


def test_texts_that_are_made_up_are_left_out() -> None:
    plan = make_plan(HS_STICK, DUMMY_HCD, STOCK)
    text = Suggestion("x", "x", HS_STICK, GENERIC, plan, has_strings=False).text()
    assert "serial" not in text
    assert "#product" not in text


def test_names() -> None:
    assert suggested_name(HS_STICK, ()) == "ultra"
    assert suggested_name(HS_STICK, ("ultra",)) == "ultra-0781-5581"
    assert suggested_name(HS_STICK, (), has_strings=False) == "device-0781-5581"
    assert suggested_name(HS_STICK, ("ultra", "ultra-0781-5581")) == "mine-0781-5581"


@given(st.text(max_size=60))
def test_every_name_may_be_one(product: str) -> None:
    tree = replace(HS_STICK, strings=StringTable((US_ENGLISH,), {(2, US_ENGLISH): product}))
    assert is_profile_name(suggested_name(tree, ("generic",)))
