"""How `bind`, `unbind` and `list` talk to a running serve: one line asked, one answered.

    {"command": "reconcile"}   policy and bindings are read again and applied; answered when done
    {"command": "state"}       who uses what

The socket is root's alone, by its mode, and the kernel says who is at the other end (SO_PEERCRED).
A socket file that a killed daemon left is replaced; a daemon that runs holds a lock, so that it
cannot be replaced by accident (`daemon`).
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gadgetip.errors import GadgetipError
from gadgetip.server.surroundings import RUN_DIRECTORY

SOCKET_NAME = "serve.sock"
ASK_LIMIT_S = 20.0
READ_LIMIT_S = 5.0
MAX_LINE_BYTES = 1 << 20
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid

Handler = Callable[[str], Awaitable[dict[str, object]]]


def ask_serve(
    request: dict[str, Any], path: Path | None = None, limit_s: float = ASK_LIMIT_S
) -> dict[str, Any] | None:
    """Ask the serve that runs on this machine; its answer, None if none runs or we may not ask.

    Raises `GadgetipError` when it does not answer within `limit_s` seconds, or answers with an
    error.
    """
    path = path or RUN_DIRECTORY / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(limit_s)
        try:
            stream.connect(str(path))
        except OSError:
            return None
        try:
            stream.sendall(json.dumps(request).encode("ascii") + b"\n")
            line = _read_line(stream)
        except TimeoutError:
            raise GadgetipError(
                f"gadgetip serve runs and does not answer within {limit_s:.0f} s: "
                "`systemctl status gadgetip-serve` or its log may say why"
            ) from None
        except OSError as error:
            raise GadgetipError(f"gadgetip serve ended while it was asked: {error}") from None
    return _answer_in(line)


def _read_line(stream: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = stream.recv(65536)
        line += data
        if not data or len(line) > MAX_LINE_BYTES:
            break
    return line


def _answer_in(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise GadgetipError("gadgetip serve ended, or gave no answer that makes sense") from None
    if not isinstance(answer, dict):
        raise GadgetipError("gadgetip serve gave no answer that makes sense")
    if answer.get("ok") is not True:
        raise GadgetipError(str(answer.get("error", "gadgetip serve could not do it")))
    return answer


class ControlServer:
    """The socket's other end; open while the context lasts."""

    def __init__(self, path: Path, handle: Handler) -> None:
        """`handle` is given the command; a `GadgetipError` that it raises is its answer."""
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "ControlServer":
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, str(self._path), limit=MAX_LINE_BYTES
            )
        finally:
            os.umask(mask)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _is_allowed(writer.get_extra_info("socket")):
                async with asyncio.timeout(READ_LIMIT_S):
                    line = await reader.readline()
                writer.write(json.dumps(await self._answer(line)).encode("ascii") + b"\n")
                async with asyncio.timeout(READ_LIMIT_S):
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone, or asks for longer than anybody waits
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        command = request.get("command") if isinstance(request, dict) else None
        if not isinstance(command, str):
            return {"ok": False, "error": "a request is one line, a JSON object with a command"}
        try:
            return {"ok": True, **await self._handle(command)}
        except GadgetipError as error:
            return {"ok": False, "error": str(error)}


def _is_allowed(stream: socket.socket) -> bool:
    """Root, or whoever runs the daemon."""
    raw = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return uid in {0, os.geteuid()}
