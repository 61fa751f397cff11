r"""String descriptors: the names that a device gives itself (USB 2.0 §9.6.7).

String 0 is the list of languages, every other one is UTF-16LE text in one of them. Devices are
careless here: odd lengths, junk behind the text, half surrogate pairs, answers shorter than they
claim. A name is for people and for matching, never a reason to refuse a working device, so what
Linux reads is read here as well: the smaller of what the descriptor says and what came, without
an odd last byte. Only a thing that is no string descriptor at all is refused.

Half a surrogate pair survives as a lone surrogate in the `str`, so that building the descriptor
again gives the device's bytes. Such text, and text with escape sequences or a right-to-left
override in it, must not reach a terminal or a log as it is: `printable` makes it harmless.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gadgetip.errors import LocalProtocolError
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.setup import DescriptorType

US_ENGLISH = 0x0409

# bLength is one byte, two bytes are the header, and a code unit has two.
_MAX_UNITS = (0xFF - 2) // 2


@dataclass(frozen=True, slots=True)
class StringTable:
    """All texts of a device: its languages, and a text by (string index, langid)."""

    langids: tuple[int, ...] = ()
    # Left out of the hash because a mapping has none; equality still compares it.
    texts: Mapping[tuple[int, int], str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", dict(self.texts))

    def get(self, index: int, langid: int | None = None) -> str | None:
        """The text of a string index, None when the device has none.

        Without a language: US English if the device has it, for messages and profiles are
        written in it; else the first of the device's languages that has this text.
        """
        if langid is not None:
            return self.texts.get((index, langid))
        for candidate in sorted(self.langids, key=lambda known: known != US_ENGLISH):
            if (index, candidate) in self.texts:
                return self.texts[index, candidate]
        return None

    @property
    def indices(self) -> tuple[int, ...]:
        """The string indices that have a text in any language, ascending."""
        return tuple(sorted({index for index, _ in self.texts}))


def parse_langids(data: bytes) -> tuple[int, ...]:
    """The languages in string descriptor 0 (USB 2.0 table 9-15); none is a legal answer."""
    payload = _payload(data)
    return tuple(int.from_bytes(payload[at : at + 2], "little") for at in range(0, len(payload), 2))


def parse_string_descriptor(data: bytes) -> str:
    """The text of a string descriptor (USB 2.0 table 9-16)."""
    return _payload(data).decode("utf-16-le", "surrogatepass")


def build_langids(langids: tuple[int, ...]) -> bytes:
    """String descriptor 0 for these languages."""
    return _build(b"".join(langid.to_bytes(2, "little") for langid in langids), "languages")


def build_string_descriptor(text: str) -> bytes:
    """The string descriptor of a text; at most 126 UTF-16 code units fit."""
    return _build(text.encode("utf-16-le", "surrogatepass"), "UTF-16 code units")


def printable(text: str) -> str:
    r"""The text with everything escaped that could act on a terminal, a log or a reader's eye.

    That is: control characters and line ends, direction overrides and other invisible format
    characters, lone surrogates, unassigned code points, and the backslash itself, so that no two
    texts look alike.
    """
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _payload(data: bytes) -> bytes:
    """What follows the header of a string descriptor, cut to whole 16-bit units."""
    if len(data) < 2:
        problem = "a string descriptor has at least 2 bytes"
        raise DescriptorError(Fault("string", 0, "length", len(data), problem))
    length, kind = data[0], data[1]
    if kind != DescriptorType.STRING:
        problem = f"a string descriptor's is 0x{DescriptorType.STRING:02x}"
        raise DescriptorError(Fault("string", 0, "bDescriptorType", kind, problem))
    if length < 2:
        problem = "a descriptor has at least 2 bytes"
        raise DescriptorError(Fault("string", 0, "bLength", length, problem))
    size = min(length, len(data))
    return data[2 : size - size % 2]


def _build(payload: bytes, what: str) -> bytes:
    units = len(payload) // 2
    if units > _MAX_UNITS:
        raise LocalProtocolError(f"{units} {what} do not fit a string descriptor ({_MAX_UNITS} do)")
    return bytes((2 + len(payload), DescriptorType.STRING)) + payload
