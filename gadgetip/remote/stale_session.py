"""Sessions that outlived us: a server still holds a device for a client that died.

A client that loses power says nothing. The stock usbipd sets no time limit on its connections, so
the kernel's stub holds the device for that client for ever, and whoever comes next, be it the same
machine after its restart, is told "device busy". An idle session never ends by itself.

But the same machine can end it, by connecting again *from the same local port*. To the server's
TCP that is a SYN on a connection which it believes to be established. It answers with a challenge
ACK (RFC 5961, section 4.2) that names the sequence number it expects; our TCP, which knows no such
connection, answers that with a RST of exactly this number, and the server drops the dead session.
Our SYN is sent again and meets the listener. On Linux both happen within a round trip or two: the
device was free again 0.4 s after the connect, where it had been held for good (Linux 6.12, IPv4 and
IPv6).

So what an attachment imported is remembered on disk, with the local port; when an import is
answered "device busy", it is asked for once more from there. Elsewhere this is an import like any
other. A session of this machine that lives has its port: the kernel refuses to bind or to connect,
and nothing is sent. Another machine's session has another address. Behind a router that translates
ports it does not help.
"""

import contextlib
import hashlib
import json
import logging
import os
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gadgetip.link import Endpoints, HostAddress, connect_between
from gadgetip.matching import Wanted
from gadgetip.wire import DeviceRecord

log = logging.getLogger(__name__)

DIRECTORY = Path("/var/lib/gadgetip/imports")
RECORDS = 64
RECORD_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class PastImport:
    """An import of this machine: the server's and our own address and port, and what it was.

    `server` is HOST and `selector` DEVICE as the user wrote them, `id` is VID:PID.
    """

    server: str
    selector: str
    busid: str
    id: str
    peer_host: str
    peer_port: int
    local_host: str
    local_port: int


def remember_import(
    stream: socket.socket, record: DeviceRecord, address: HostAddress, selector: Wanted
) -> None:
    """Write down an import that is about to be used; it survives a loss of power.

    What cannot be written (no root, a read-only disk) is not: only this comfort is lost.
    """
    ends = Endpoints.of(stream)
    if ends is None:
        return
    past = PastImport(
        str(address),
        str(selector),
        record.busid,
        f"{record.idVendor:04x}:{record.idProduct:04x}",
        *ends.peer[:2],
        *ends.local[:2],
    )
    try:
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        _write_through(_path(past.peer_host, past.peer_port, past.busid), past)
        _prune()
    except OSError as error:
        log.info("the import of %s is not remembered: %s", past.busid, error.strerror)


def forget_import(stream: socket.socket, busid: str) -> None:
    """An import that is given back leaves nothing to be ended; call before the stream is closed."""
    ends = Endpoints.of(stream)
    if ends is not None:
        with contextlib.suppress(OSError):
            _path(ends.peer[0], ends.peer[1], busid).unlink()


def past_imports(server: str) -> list[PastImport]:
    """What this machine imported from a server, by the server's HOST."""
    found = (_read(path) for path in sorted(_files()))
    return [past for past in found if past is not None and past.server == server]


async def connect_as_before(refused: Endpoints, busid: str) -> socket.socket | None:
    """Connect from the local port of our last import of a device.

    `refused` are the ends of the connection on which the server said that the device is in use;
    the new one goes between the same addresses. Gives None where there was no import, or its
    connection is still in use on this machine.
    """
    past = _read(_path(refused.peer[0], refused.peer[1], busid))
    if past is None or past.busid != busid or past.local_host != refused.local[0]:
        return None
    if past.local_port == refused.local[1]:
        return None
    local = (refused.local[0], past.local_port, *refused.local[2:])
    try:
        stream = await connect_between(replace(refused, local=local))
    except (TimeoutError, OSError) as error:
        log.info("no connection from port %d as before: %s", past.local_port, error)
        return None
    log.info("connected from port %d as before, to end a session that outlived us", local[1])
    return stream


def parse_record(data: bytes) -> PastImport | None:
    """Read one record; None if it is none."""
    try:
        past = PastImport(**json.loads(data))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (past.server, past.selector, past.busid, past.id, past.peer_host, past.local_host)
    ports = (past.peer_port, past.local_port)
    if not all(isinstance(text, str) for text in texts):
        return None
    return past if all(type(port) is int and 0 < port < 65536 for port in ports) else None


def _path(peer_host: str, peer_port: int, busid: str) -> Path:
    """A file for each device of each server; names come from the network and are not used."""
    key = f"{peer_host} {peer_port} {busid}".encode("utf-8", "surrogateescape")
    return DIRECTORY / f"{hashlib.sha256(key).hexdigest()[:32]}.json"


def _files() -> list[Path]:
    return list(DIRECTORY.glob("*.json"))


def _read(path: Path) -> PastImport | None:
    try:
        with path.open("rb") as file:
            data = file.read(RECORD_LIMIT_BYTES + 1)
    except OSError:
        return None
    return parse_record(data) if len(data) <= RECORD_LIMIT_BYTES else None


def _write_through(path: Path, past: PastImport) -> None:
    """Replace a record in one step, and have it on the disk before this returns."""
    draft = path.with_suffix(f".{os.getpid()}")
    with draft.open("wb") as file:
        file.write(json.dumps(asdict(past)).encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _prune() -> None:
    files = sorted(_files(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[RECORDS:]:
        path.unlink(missing_ok=True)
