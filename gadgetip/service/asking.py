"""Asking a service that runs on this machine: the socket's end that commands have (`control`).

It is a module of its own because whoever asks has no event loop, and need not import one: `board
watch` starts while a slow board has better things to do.
"""

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gadgetip.errors import GadgetipError

ASK_LIMIT_S = 20.0
MAX_LINE_BYTES = 1 << 20


class NoAnswerError(GadgetipError):
    """The service ended while it was asked, or gave no answer that makes sense."""


@dataclass(frozen=True, slots=True)
class Service:
    """Whom to ask: the socket, and what a person calls the service and its unit."""

    path: Path
    command: str
    unit: str


def ask(
    service: Service, request: dict[str, Any], limit_s: float = ASK_LIMIT_S
) -> dict[str, Any] | None:
    """Ask a service that runs on this machine; its answer, None if none runs or we may not ask.

    Raises `NoAnswerError` when it ends meanwhile, `GadgetipError` when it does not answer within
    `limit_s` seconds, or answers with an error.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(limit_s)
        try:
            stream.connect(str(service.path))
        except OSError:
            return None
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may say why
                stream.sendall(json.dumps(request).encode("ascii") + b"\n")
            line = _read_line(stream)
        except TimeoutError:
            raise GadgetipError(
                f"{service.command} runs and does not answer within {limit_s:.0f} s: "
                f"`systemctl status {service.unit}` or its log may say why"
            ) from None
        except OSError as error:
            raise NoAnswerError(f"{service.command} ended while it was asked: {error}") from None
    return _answer_in(line, service.command)


def _read_line(stream: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = stream.recv(65536)
        line += data
        if not data or len(line) > MAX_LINE_BYTES:
            break
    return line


def _answer_in(line: bytes, command: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise NoAnswerError(f"{command} ended, or gave no answer that makes sense") from None
    if not isinstance(answer, dict):
        raise NoAnswerError(f"{command} gave no answer that makes sense")
    if answer.get("ok") is not True:
        raise GadgetipError(str(answer.get("error", f"{command} could not do it")))
    return answer
