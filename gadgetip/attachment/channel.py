"""What keeper and worker tell each other: one packet, one message, in JSON.

The channel is also the leash: when one end closes, the other process is dead.
"""

import json
import select
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum

MAX_MESSAGE_BYTES = 64 * 1024
ENDING_LIMIT_S = 2.0


class Word(StrEnum):
    """What a message is about; the first five are the worker's, the last is the keeper's."""

    READY = "ready"
    HOST = "host"
    NOTICE = "notice"
    LINK_ENDED = "link ended"
    ENDED = "ended"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `text` is for people."""

    word: Word
    text: str = ""


def channel() -> tuple["Channel", "Channel"]:
    """The two ends."""
    keeper, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(keeper), Channel(worker)


class Channel:
    """One end of the channel."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    def fileno(self) -> int:
        """For an event loop."""
        return self._end.fileno()

    def send(self, word: Word, text: str = "") -> None:
        """Send a message; a dead or stuck reader loses it, for nobody could act on the error.

        How it ended is worth a wait.
        """
        data = json.dumps(asdict(Message(word, text[:4096]))).encode()
        if word in {Word.ENDED, Word.LINK_ENDED}:
            select.select([], [self._end], [], ENDING_LIMIT_S)
        try:
            self._end.send(data)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Message | None:
        """The next message; None when the other process is gone. Raises `BlockingIOError`."""
        try:
            data = self._end.recv(MAX_MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        if not data:
            return None
        fields = json.loads(data)
        return Message(Word(fields["word"]), str(fields["text"]))

    def close(self) -> None:
        """Let go of this end."""
        self._end.close()
