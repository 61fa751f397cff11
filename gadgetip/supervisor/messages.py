"""What an attachment process tells the supervisor: one packet, one message, in JSON.

The process runs as root and is ours, but it has read what a server and a device say. So a message
is small, has the fields that its kind has and no others, and each is of the right type; anything
else is no message, and whoever sends such a thing is ended.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_MESSAGE_BYTES = 64 * 1024
MAX_TEXT_CHARACTERS = 1000

Value = str | int | float | bool | None


class News(StrEnum):
    """What a message is about."""

    WAITING = "waiting"
    IMPORTING = "importing"
    IMPORTED = "imported"
    BOUND = "bound"
    ATTACHED = "attached"
    CONFIGURED = "configured"
    HOST = "host"
    NOTICE = "notice"
    HELD = "held"
    RESUMED = "resumed"
    TRAFFIC = "traffic"
    LOST = "lost"
    PAUSED = "paused"
    REFUSED = "refused"
    ENDED = "ended"


_TEXT: tuple[type, ...] = (str,)
_NUMBER: tuple[type, ...] = (int, float)
_COUNT: tuple[type, ...] = (int, type(None))
_MAYBE_TEXT: tuple[type, ...] = (str, type(None))

FIELDS: Mapping[News, Mapping[str, tuple[type, ...]]] = {
    News.WAITING: {"awaited": _TEXT, "reason": _TEXT, "pause_s": _NUMBER},
    News.IMPORTING: {"busid": _TEXT},
    News.IMPORTED: {"busid": _TEXT, "id": _TEXT, "device": _TEXT},
    News.BOUND: {"backend": _TEXT, "profile": _TEXT, "speed": _TEXT},
    News.ATTACHED: {
        "port": (int,),
        "busid": _TEXT,
        "id": _TEXT,
        "device": _TEXT,
        "speed": _TEXT,
    },
    News.CONFIGURED: {"speed": _MAYBE_TEXT},
    News.HOST: {"text": _TEXT},
    News.NOTICE: {"text": _TEXT},
    News.HELD: {"reason": _TEXT, "limit_s": _NUMBER},
    News.RESUMED: {"after_s": _NUMBER},
    News.TRAFFIC: {
        "bytes_in": (int,),
        "bytes_out": (int,),
        "urbs_in": _COUNT,
        "urbs_out": _COUNT,
        "discarded": _COUNT,
        "halts": _COUNT,
        "errors": _COUNT,
        "saved_round_trips": _COUNT,
        "round_trip_ms": (int, float, type(None)),
    },
    News.LOST: {"reason": _TEXT, "crashed": (bool,)},
    News.PAUSED: {"pause_s": _NUMBER},
    News.REFUSED: {"reason": _TEXT},
    News.ENDED: {"detached": (bool,)},
}
"""The fields of each kind of message, all of which are there."""


class MessageError(Exception):
    """What was received is no message; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `fields` are those that `FIELDS` has for its kind."""

    news: News
    fields: Mapping[str, Value]

    def text(self, name: str) -> str:
        """A field that is a text."""
        return str(self.fields[name])

    def number(self, name: str) -> float:
        """A field that is a number."""
        value = self.fields[name]
        assert isinstance(value, int | float)
        return value


def encode(news: News, **fields: Value) -> bytes:
    """The packet; texts are cut to `MAX_TEXT_CHARACTERS`."""
    short = {
        name: value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value
        for name, value in fields.items()
    }
    return json.dumps({"news": news, **short}).encode("ascii")


def decode(data: bytes) -> Message:
    """Read a packet; raises `MessageError`."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError(f"it has more than {MAX_MESSAGE_BYTES} bytes")
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise MessageError("it is no JSON") from None
    if not isinstance(fields, dict):
        raise MessageError("it is no object")
    news = fields.pop("news", None)
    if not isinstance(news, str) or news not in set(News):
        raise MessageError("its kind is not known")
    expected = FIELDS[News(news)]
    if fields.keys() != expected.keys():
        raise MessageError(f"{news} has other fields")
    for name, value in fields.items():
        if type(value) not in expected[name]:
            raise MessageError(f"{name} of {news} has the wrong type")
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
            raise MessageError(f"{name} of {news} is too long")
        if isinstance(value, float) and not 0 <= value < 1e12:  # nor NaN
            raise MessageError(f"{name} of {news} is out of range")
        if type(value) is int and not 0 <= value < 2**63:
            raise MessageError(f"{name} of {news} is out of range")
    return Message(News(news), fields)
