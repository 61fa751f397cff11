"""How commands talk to a service that runs: one line asked, one answered, both JSON objects.

    {"command": "state"}       of `gadgetip serve`: who uses what

What the commands are, the service says. The socket is root's: its mode is 0600, and the kernel says
who is at the other end (SO_PEERCRED), because a socket may be handed on. Where the service names a
group it is that group's too, with mode 0660. Whether somebody is in a group the kernel knows best:
it lets nobody connect who may not write to the socket, and that is what counts then. Each user has
so many connections at a time, so that one in the group cannot use up the service's open files, nor
keep root from asking.

A socket file that a killed daemon left is replaced; a daemon that runs holds a lock, so that it
cannot be replaced by accident (`daemon`).
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gadgetip.errors import GadgetipError
from gadgetip.service.asking import MAX_LINE_BYTES

READ_LIMIT_S = 5.0
MAX_CONNECTIONS = 16
"""At a time, of one user."""
_TOO_MANY = b'{"ok": false, "error": "too many ask at once: try again"}\n'
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid

Request = dict[str, Any]
"""What was asked: `command`, a text, and what belongs to it."""

Handler = Callable[[Request], Awaitable[dict[str, object]]]


class ControlServer:
    """The socket's other end; open while the context lasts."""

    def __init__(self, path: Path, handle: Handler, *, group: int | None = None) -> None:
        """`handle` is given the request; a `GadgetipError` that it raises is its answer.

        Members of `group` may ask as well.
        """
        self._path = path
        self._handle = handle
        self._group = group
        self._server: asyncio.Server | None = None
        self._connections: Counter[int] = Counter()

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
        if self._group is not None:
            try:
                os.chown(self._path, -1, self._group)  # nobody else's before it is the group's
                self._path.chmod(0o660)
            except OSError:
                self._group = None
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _uid_of(writer.get_extra_info("socket"))
        self._connections[uid] += 1
        try:
            if self._connections[uid] > MAX_CONNECTIONS:
                writer.write(_TOO_MANY)
            elif self._group is not None or uid in {0, os.geteuid()}:
                async with asyncio.timeout(READ_LIMIT_S):
                    line = await reader.readline()
                writer.write(json.dumps(await self._answer(line)).encode("ascii") + b"\n")
                async with asyncio.timeout(READ_LIMIT_S):
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone, or asks for longer than anybody waits
        finally:
            self._connections[uid] -= 1
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return {"ok": False, "error": "a request is one line, a JSON object with a command"}
        try:
            return {"ok": True, **await self._handle(request)}
        except GadgetipError as error:
            return {"ok": False, "error": str(error)}


def _uid_of(stream: socket.socket) -> int:
    raw = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)
