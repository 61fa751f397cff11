"""Gadget schemes: files of `gt` and libusbgx, in libconfig's format, and what is like them here.

A scheme builds a gadget of the kernel's functions; a profile changes how a device is rebuilt. They
overlap in who the gadget says it is: ids, versions, strings, power. Everything else is lost on the
way, in either direction, and every thing that is lost is named.

libusbgx documents bMaxPower in units of 2 mA and writes it to configfs's MaxPower as it is, where
it means milliamperes (usbg_set_config_max_power): so it is read, and written, here.

`@include` is not followed: a file that somebody sent must not have others read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import libconf

from gadgetip.profiles.profile import GadgetWishes, IdentityWishes, Profile
from gadgetip.profiles.toml_form import MAX_POWER_MA, MAX_STRING_BYTES
from gadgetip.profiles.writing import (
    Pairs,
    endpoint_pairs,
    gadget_pairs,
    interface_pairs,
    link_pairs,
    match_pairs,
)
from gadgetip.strict_toml import FileError, FileFault, shown
from gadgetip.usb import US_ENGLISH, printable

MAX_SCHEME_BYTES = 64 * 1024
MAX_LOST = 100
KNOWN = ("attrs", "strings", "functions", "configs")
TEXTS = ("manufacturer", "product", "serialnumber")
IDS = ("idVendor", "idProduct", "bcdDevice")

_ROW = re.compile(r"row (\d+), column")
_TWICE = re.compile(r"; ([-\w*]{1,40}) is set twice$")
_KEPT = "the device's own stays"


def read_scheme(text: str, source: str, name: str) -> tuple[Profile, tuple[str, ...]]:
    """The profile, under this name, that a scheme amounts to, and what is lost, item by item.

    Raises `FileError` for what is no scheme, and nothing else whatever the text is.
    """
    source = printable(source)
    scheme = _parse(text, source)
    lost = [f"{section}: gadgetip does not know this" for section in scheme if section not in KNOWN]
    fields = _attributes(_group(scheme, "attrs", source), lost)
    fields |= _strings(_list(scheme, "strings", source), source, lost)
    for label, function in _group(scheme, "functions", source).items():
        kind = function.get("type") if isinstance(function, dict) else None
        lost.append(f"functions.{label}, {_shown(kind)}: the interfaces are the device's own")
    fields |= _power(_list(scheme, "configs", source), source, lost)
    lost = [printable(item) for item in lost]
    if len(lost) > MAX_LOST:
        lost[MAX_LOST:] = [f"and {len(lost) - MAX_LOST} more"]
    summary = "Imported from a gadget scheme"
    wishes = GadgetWishes(identity=IdentityWishes(**fields))
    return Profile(name, summary, gadget=wishes), tuple(lost)


def write_scheme(profile: Profile) -> tuple[str, tuple[str, ...]]:
    """The scheme that a profile amounts to, and what is lost, item by item."""
    wishes = profile.gadget.identity
    lines = ["attrs :", "{"]
    ids = [(key, getattr(wishes, key)) for key in IDS]
    lines += [f"    {key} = 0x{number:04x};" for key, number in ids if number is not None]
    lines.append("};")
    texts = [(key, text) for key in TEXTS if (text := getattr(wishes, key)) is not None]
    if texts:
        lines += ["strings :", "(", "    {", f"        lang = 0x{US_ENGLISH:x};"]
        lines += [f"        {key} = {libconf.dump_string(text)};" for key, text in texts]
        lines += ["    }", ");"]
    if wishes.max_power_ma is not None:
        lines += ["configs :", "(", "    {", "        id = 1;", '        name = "c";']
        lines += ["        attrs :", "        {"]
        lines += [f"            bMaxPower = {wishes.max_power_ma};", "        };", "    }", ");"]
    return "\n".join(lines) + "\n", tuple(_lost_on_the_way_out(profile))


def _lost_on_the_way_out(profile: Profile) -> Iterator[str]:
    yield "name: a gadget gets its name when gt loads it"
    if profile.summary:
        yield "summary: a scheme has none"
    for match in profile.matches:
        yield from _said("[[match]]", match_pairs(match), "a scheme is for whoever loads it")
    for header, pairs in (
        ("[gadget]", gadget_pairs(profile.gadget)),
        *(("[[interface]]", interface_pairs(wish)) for wish in profile.interfaces),
        *(("[[endpoint]]", endpoint_pairs(wish)) for wish in profile.endpoints),
        ("[link]", link_pairs(profile.link)),
    ):
        yield from _said(header, pairs, "a scheme cannot say it")


def _said(header: str, pairs: Pairs, reason: str) -> Iterator[str]:
    return (printable(f"{header} {key} = {value}: {reason}") for key, value in pairs)


class _Parser(libconf.Parser):  # type: ignore[misc]  # the package has no types
    """As the package's, but that nothing is set twice: one of the two would be lost in silence."""

    def setting_list_or_empty(self) -> dict[str, Any]:
        """The settings of a group."""
        settings: dict[str, Any] = {}
        while (setting := self.setting()) is not None:
            name, value = setting
            if name in settings:
                self.tokens.error(f"{name} is set twice")
            settings[name] = value
        return settings


def _parse(text: str, source: str) -> dict[str, Any]:
    if len(text) > MAX_SCHEME_BYTES:
        size = f"a gadget scheme has at most {MAX_SCHEME_BYTES // 1024} KiB"
        raise FileError.of(FileFault(source, 1, size))
    try:
        tokens = libconf.Tokenizer(source).tokenize(text)
        return cast("dict[str, Any]", _Parser(libconf.TokenStream(tokens)).parse())
    except RecursionError:
        problem, row = "groups or lists are nested too deeply", 1
    except (libconf.ConfigParseError, ValueError) as error:
        said = str(error)
        found = _ROW.search(said)
        row = int(found[1]) if found else 1
        problem = "this is no gadget scheme of gt or libusbgx (libconfig)"
        if twice := _TWICE.search(said):
            problem = f"{twice[1]} is set twice"
        elif "@include" in said:
            problem = "@include is not followed: put the text of the other file in its place"
    raise FileError.of(FileFault(source, row, problem))


def _group(scheme: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    value = scheme.get(key, {})
    if isinstance(value, dict):
        return value
    raise FileError.of(FileFault(source, 1, f"{key} has to be a group, {key} = {{ ... }}"))


def _list(scheme: Mapping[str, Any], key: str, source: str) -> list[dict[str, Any]]:
    """A list of groups. An empty one may be an array, which looks alike."""
    value = scheme.get(key, ())
    if isinstance(value, tuple | list) and all(isinstance(each, dict) for each in value):
        return list(value)
    raise FileError.of(
        FileFault(source, 1, f"{key} has to be a list of groups, {key} = ( {{ ... }} )")
    )


def _attributes(attributes: Mapping[str, Any], lost: list[str]) -> dict[str, Any]:
    fields = {}
    for key, value in attributes.items():
        item = f"attrs.{key} = {_shown(value)}"
        if key not in IDS:
            lost.append(f"{item}: {_KEPT}")
        elif not _is_number(value, 0xFFFF):
            lost.append(f"{item}: it has to be 0x0 to 0xffff")
        elif key == "bcdDevice" and not f"{value:x}".isdecimal():
            lost.append(f"{item}: its digits have to be 0 to 9")
        else:
            fields[key] = int(value)
    return fields


def _strings(groups: list[dict[str, Any]], source: str, lost: list[str]) -> dict[str, Any]:
    """The texts of US English, else of the first language: a profile has one for all."""
    for group in groups:
        if not _is_number(group.get("lang"), 0xFFFF):
            raise FileError.of(FileFault(source, 1, "strings: each has to have a lang = 0x409"))
    ordered = sorted(groups, key=lambda group: group["lang"] != US_ENGLISH)
    fields: dict[str, Any] = {}
    for position, group in enumerate(ordered):
        for key, text in group.items():
            item = f"strings 0x{group['lang']:x} {key}"
            if key == "lang":
                continue
            if key not in TEXTS or not isinstance(text, str):
                lost.append(f"{item}: gadgetip does not know this")
            elif not position and _is_text(text):
                fields[key] = text
            elif not position:
                lost.append(f"{item}: it has to be 1 to {MAX_STRING_BYTES} bytes of printable text")
            elif fields.get(key) != text:
                lost.append(f"{item}: a profile has one text for all languages")
    return fields


def _power(groups: list[dict[str, Any]], source: str, lost: list[str]) -> dict[str, Any]:
    powers = set()
    for group in groups:
        where = f"configs {_shown(group.get('id'))}"
        lost += [f"{where} {key}: {_KEPT}" for key in group if key != "attrs"]
        for key, value in _group(group, "attrs", source).items():
            if key == "bMaxPower" and _is_number(value, MAX_POWER_MA):
                powers.add(int(value))
            elif key == "bMaxPower":
                lost.append(f"{where} bMaxPower: it has to be 0 to {MAX_POWER_MA} mA")
            else:
                lost.append(f"{where} {key}: {_KEPT}")
    if len(powers) > 1:
        lost.append("configs: bMaxPower differs, and a profile has one for all configurations")
    return {"max_power_ma": powers.pop()} if len(powers) == 1 else {}


def _shown(value: object) -> str:
    """A value in a few characters; a number may have more digits than Python prints."""
    if _is_number(value, 2**64):
        return f"0x{value:x}"
    return shown(value) if isinstance(value, str | bool | int) else "?"


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_text(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text.encode()) <= MAX_STRING_BYTES
