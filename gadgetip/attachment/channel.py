"""What keeper and worker tell each other: one packet, one message, in JSON.

The channel is also the leash: when one end closes, the other process is dead, or as good as dead.

The worker reads what strangers say, so the keeper takes nothing from it but messages: what is none
is an error, and files that come with it are the kernel's to close.
"""

import json
import select
import socket
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_MESSAGE_BYTES = 64 * 1024
MAX_TEXT_CHARACTERS = 4096
ENDING_LIMIT_S = 2.0


class Word(StrEnum):
    """What a message is about; the last two are the keeper's, the others the worker's."""

    READY = "ready"
    CONFIGURED = "configured"
    """`text` is the speed in the kernel's words; empty: the host does not use the replica."""
    HOST = "host"
    NOTICE = "notice"
    TRAFFIC = "traffic"
    """`text` is a `Traffic` in JSON."""
    LINK_ENDED = "link ended"
    """Where the plan holds the replica the worker goes on, and waits for a `STREAM`."""
    DEVICE_GONE = "device gone"
    """The device left its port at the server: nothing to wait for."""
    RESUMED = "resumed"
    REPLACED = "replaced"
    """What came over the new stream is not what the host has."""
    ENDED = "ended"
    STOP = "stop"
    STREAM = "stream"
    """The same device over another stream; `text` is its devid and its next seqnum."""


class MessageError(Exception):
    """What was received is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `text` is for people where `Word` does not say otherwise."""

    word: Word
    text: str = ""
    stream: socket.socket | None = field(default=None, compare=False)


_WORTH_A_WAIT = frozenset(
    {Word.ENDED, Word.LINK_ENDED, Word.DEVICE_GONE, Word.REPLACED, Word.RESUMED}
)


def channel() -> tuple["Channel", "Channel"]:
    """The two ends."""
    keeper, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(keeper), Channel(worker, takes_streams=True)


class Channel:
    """One end of the channel."""

    def __init__(self, end: socket.socket, *, takes_streams: bool = False) -> None:
        self._end = end
        self._takes_streams = takes_streams
        end.setblocking(False)

    def fileno(self) -> int:
        """For an event loop."""
        return self._end.fileno()

    def send(self, word: Word, text: str = "") -> None:
        """Send a message; a dead or stuck reader loses it, for nobody could act on the error.

        How it ended is worth a wait.
        """
        data = json.dumps({"word": word, "text": text[:MAX_TEXT_CHARACTERS]}).encode()
        if word in _WORTH_A_WAIT:
            select.select([], [self._end], [], ENDING_LIMIT_S)
        try:
            self._end.send(data)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def send_stream(self, stream: socket.socket, text: str) -> None:
        """Give the worker a stream; a dead worker loses it."""
        data = json.dumps({"word": Word.STREAM, "text": text}).encode()
        try:
            socket.send_fds(self._end, [data], [stream.fileno()])
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Message | None:
        """The next message; None when the other process is gone.

        Raises `BlockingIOError`, `MessageError`.
        """
        files: list[int] = []
        try:
            if self._takes_streams:
                data, files, _, _ = socket.recv_fds(self._end, MAX_MESSAGE_BYTES, 1)
            else:
                data = self._end.recv(MAX_MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        if not data:
            return None
        stream = socket.socket(fileno=files[0]) if files else None
        return Message(*parse_message(data), stream)

    def close(self) -> None:
        """Let go of this end."""
        self._end.close()


def parse_message(data: bytes) -> tuple[Word, str]:
    """Read a packet; raises `MessageError`."""
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise MessageError("it is no JSON") from None
    if not isinstance(fields, dict) or fields.keys() != {"word", "text"}:
        raise MessageError("it has other fields")
    word, text = fields["word"], fields["text"]
    if not isinstance(word, str) or word not in set(Word):
        raise MessageError("its word is not known")
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS:
        raise MessageError("its text is none, or too long")
    return Word(word), text
