r"""Log lines as systemd's journal stores them: with a priority, and with fields to search by.

    journalctl -u gadgetip GADGETIP_NAME=stick -p warning

A service's standard error already goes to the journal, as text. Where that is so, systemd says
which file it is (`JOURNAL_STREAM`, systemd.exec(5)), and the same lines can be sent with fields
instead: one datagram each to /run/systemd/journal/socket (the native protocol,
systemd.io/JOURNAL_NATIVE_PROTOCOL). A field is `KEY=value\n`; a value of several lines is `KEY\n`,
its length as 64 bits, little-endian, the value and `\n`.

What cannot be sent goes to standard error with syslog's priority in front ("<4>"), which systemd
takes off again (`SyslogLevelPrefix=`).
"""

import contextlib
import logging
import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import Protocol

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "gadgetip"
NAME_FIELD = "GADGETIP_NAME"
"""The attachment or export that a line is about."""
MAX_VALUE_BYTES = 48 * 1024
SEND_LIMIT_S = 0.2
_FIELD = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
"""Syslog's priorities, as far as they are used here (sys/syslog.h)."""

_PRIORITIES = ((logging.ERROR, ERROR), (logging.WARNING, WARNING), (logging.INFO, INFO))


class _Stream(Protocol):
    def fileno(self) -> int: ...


def is_the_journal(stream: _Stream, environment: Mapping[str, str] | None = None) -> bool:
    """Whether what is written to this file goes to the journal, as systemd says."""
    told = (os.environ if environment is None else environment).get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return bool(told) and told == f"{status.st_dev}:{status.st_ino}"


def build_entry(fields: Mapping[str, str]) -> bytes:
    """One entry of the native protocol; a name that the journal would not take is left out."""
    parts = []
    for name, value in fields.items():
        if not _FIELD.fullmatch(name):
            continue
        data = value.encode("utf-8", "backslashreplace")[:MAX_VALUE_BYTES]
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


def priority_of(level: int) -> int:
    """Syslog's priority of one of `logging`'s levels."""
    return next((priority for least, priority in _PRIORITIES if level >= least), DEBUG)


class Journal:
    """A way into the journal; a line costs one system call."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    @classmethod
    def behind(cls, stream: _Stream) -> "Journal | None":
        """The journal, if it is what this file is written to."""
        return cls() if is_the_journal(stream) else None

    def send(self, text: str, priority: int = INFO, **fields: str) -> bool:
        """Send one line with these fields; False if it was not taken, and should be printed."""
        entry = build_entry(
            {
                "MESSAGE": text,
                "PRIORITY": str(priority),
                "SYSLOG_IDENTIFIER": IDENTIFIER,
                **fields,
            }
        )
        try:
            if self._socket is None:
                stream = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                stream.settimeout(SEND_LIMIT_S)
                stream.connect(self._path)
                self._socket = stream
            self._socket.send(entry)
        except OSError:
            # Started anew, it has another socket behind the same name.
            self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of the socket; the next line opens it again."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


class JournalHandler(logging.Handler):
    """Sends records to the journal, and what it does not take to another handler.

    A record's `gadgetip_name` (`log.info("...", extra={"gadgetip_name": "stick"})`) becomes the
    field GADGETIP_NAME, its logger and place become LOGGER, CODE_FILE and CODE_LINE.
    """

    def __init__(self, journal: Journal, otherwise: logging.Handler) -> None:
        super().__init__()
        self._journal = journal
        self._otherwise = otherwise

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            fields = {
                "LOGGER": record.name,
                "CODE_FILE": record.pathname,
                "CODE_LINE": str(record.lineno),
            }
            name = getattr(record, "gadgetip_name", "")
            if name:
                fields[NAME_FIELD] = str(name)
            if not self._journal.send(self.format(record), priority_of(record.levelno), **fields):
                self._otherwise.handle(record)
        except Exception:
            self.handleError(record)


class PrefixFormatter(logging.Formatter):
    """Syslog's priority in front of every line, for a standard error that systemd reads."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        prefix = f"<{priority_of(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines() or [""])


def journal_handler(stream: _Stream) -> logging.Handler | None:
    """The handler for a service whose standard error is the journal; None for any other."""
    journal = Journal.behind(stream)
    if journal is None:
        return None
    otherwise = logging.StreamHandler()
    otherwise.setFormatter(PrefixFormatter("%(name)s: %(message)s"))
    handler = JournalHandler(journal, otherwise)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler
