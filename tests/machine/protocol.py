"""How the two sides of the agent's port talk: one JSON object a line, bytes in base64.

The port is a virtio-serial port: a byte stream without connections of its own. A client that
vanished in the middle of a line leaves half of it behind, so a client opens with a newline and a
`hello` that carries a nonce, and ignores everything until the answer with its nonce. A line that is
no JSON object is such a remainder and is dropped.

To the agent (`do`): hello, exec, input, resize, signal, blocked.
From the agent (`is`): hello, output, exit, blocked, error.
"""

from __future__ import annotations

import base64
import json
from typing import Any

Message = dict[str, Any]

PORT_NAME = "gadgetip.bench.{}"
PORTS = 4  # so many clients can use one machine at the same time


def encode(message: Message) -> bytes:
    """One message as it goes over the port."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def pack(data: bytes) -> str:
    """Bytes, as they travel inside a message."""
    return base64.b64encode(data).decode("ascii")


def unpack(text: str) -> bytes:
    """The bytes that `pack` made into text."""
    return base64.b64decode(text)


class Decoder:
    """Cuts a byte stream into messages, whatever the sizes the bytes come in."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages = []
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                messages.append(message)
        return messages
