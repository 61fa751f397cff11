"""What is on the ports: from which server, under which bus id.

vhci_hcd knows a socket and a number, not a name. The stock tool therefore writes a file for each
port, `/var/run/vhci_hcd/portN` with the line "HOST PORT BUSID" (tools/usb/usbip/src/
usbip_attach.c), which its `usbip port` reads and its `usbip detach` removes. The same files are
written and read here, so each tool names what the other attached. What they cannot hold (which
device it was, when, what the user asked for) is in `/run/gadgetip/vhci/portN.json`.

Neither file goes away by itself when a device is unplugged or a link is lost. A record is believed
only while its port is taken, ours only while the device id is the one that was attached; the
younger of the two wins. `forget_stale` removes the rest.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gadgetip.vhci.ports import PortStatus, VhciPort

STOCK_DIRECTORY = Path("/var/run/vhci_hcd")
DIRECTORY = Path("/run/gadgetip/vhci")
RECORD_LIMIT_BYTES = 4096
STOCK_PARTS = 3


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where the device on a port came from.

    `host` is what the user wrote, without brackets; `port` is the server's TCP port as text, since
    the stock tool also takes a service name. `devid` is None in the stock tool's record, `started`
    is in seconds of the epoch.
    """

    host: str
    port: str
    busid: str
    devid: int | None = None
    started: float | None = None
    selector: str | None = None

    @property
    def server(self) -> str:
        """HOST as `attach` takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == "3240" else f"{host}:{self.port}"


def remember(number: int, remembered: Remembered) -> None:
    """Write both records of a port that was just attached; what cannot be written is left out."""
    with contextlib.suppress(OSError):
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        _write(DIRECTORY / f"port{number}.json", json.dumps(asdict(remembered)).encode(), 0o644)
    stock = STOCK_DIRECTORY / f"port{number}"
    parts = (remembered.host, remembered.port, remembered.busid)
    with contextlib.suppress(OSError):
        if any(not part or any(c.isspace() for c in part) for part in parts):
            stock.unlink()  # the stock tool could not read it; better none than an old one
            return
        with contextlib.suppress(FileExistsError):
            STOCK_DIRECTORY.mkdir(mode=0o700)
        _write(stock, (" ".join(parts) + "\n").encode("utf-8", "surrogateescape"), 0o700)


def forget(number: int, ours: Remembered | None = None) -> None:
    """Remove both records of a port; with `ours`, only what still says that.

    Whoever lost a device may come after somebody else who took the port that became free.
    """
    stock_path, own_path = _paths(number)
    if ours is None or is_recorded(number, ours):
        _remove(stock_path)
        with contextlib.suppress(OSError):
            STOCK_DIRECTORY.rmdir()  # the stock tool removes it with the last record
    if ours is None or ((own := _read(own_path)) is not None and parse_own(own[1]) == ours):
        _remove(own_path)


def is_recorded(number: int, remembered: Remembered) -> bool:
    """Whether the stock tool's record of a port says this; its `detach` removes it."""
    stock = _read(_paths(number)[0])
    if stock is None or (parsed := parse_stock(stock[1])) is None:
        return False
    fields = (parsed.host, parsed.port, parsed.busid)
    return fields == (remembered.host, remembered.port, remembered.busid)


def remembered_on(port: VhciPort) -> Remembered | None:
    """Where the device on this port came from, if anybody wrote it down."""
    if port.is_free:
        return None
    stock_path, own_path = _paths(port.number)
    stock = _read(stock_path)
    own = _read(own_path)
    candidates = []
    if stock is not None and (parsed := parse_stock(stock[1])) is not None:
        candidates.append((stock[0], parsed))
    if own is not None and (parsed := parse_own(own[1])) is not None and _fits(parsed, port):
        # Of the two that `remember` wrote, ours says more.
        candidates.append((own[0] + 1.0, parsed))
    return max(candidates, key=lambda each: each[0])[1] if candidates else None


def still_shows(now: VhciPort, devid: int | None, seen: Remembered | None) -> bool:
    """Whether a port, as it is `now`, still has the device that was seen on it.

    `devid` and `seen` are what was known of it then, each None if it was not. A record that is gone
    does not speak against it, since whoever detaches removes it first; another one does.
    """
    if now.is_free:
        return False
    if now.status is PortStatus.USED and devid is not None and now.devid != devid:
        return False
    current = remembered_on(now)
    return current is None or (seen is not None and _same(current, seen))


def forget_stale(ports: Iterable[VhciPort], *, spare: Iterable[int] = ()) -> None:
    """Remove records of ports that are free, and ours of another device than is there now.

    `ports` is how the ports were after the records were written: an attach that goes on meanwhile
    takes the port first and writes afterwards, so a record that is younger than a second stays.
    Ports in `spare` are somebody's who will use them again.
    """
    kept = set(spare)
    for port in ports:
        if port.number in kept:
            continue
        stock_path, own_path = _paths(port.number)
        own = _read(own_path)
        parsed = parse_own(own[1]) if own is not None else None
        stale = [stock_path, own_path] if port.is_free else []
        if own is not None and (parsed is None or not _fits(parsed, port)):
            stale.append(own_path)
        for path in stale:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > 1.0:
                    path.unlink()


def parse_stock(data: bytes) -> Remembered | None:
    """Read the stock tool's line; None if it is none."""
    line, newline, rest = data.partition(b"\n")
    parts = line.decode("utf-8", "surrogateescape").split(" ")
    if not newline or rest or len(parts) != STOCK_PARTS or not all(parts):
        return None
    host, port, busid = parts
    return Remembered(host, port, busid)


def parse_own(data: bytes) -> Remembered | None:
    """Read our record; None if it is none."""
    try:
        fields = json.loads(data)
        found = Remembered(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    sound = (
        all(isinstance(each, str) and each for each in (found.host, found.port, found.busid))
        and type(found.devid) in (int, type(None))
        and type(found.started) in (int, float, type(None))
        and isinstance(found.selector, str | None)
    )
    return found if sound else None


def _fits(remembered: Remembered, port: VhciPort) -> bool:
    if port.status is PortStatus.FREE:
        return False
    # A port shows the device's id only while it is used.
    return port.status is not PortStatus.USED or remembered.devid == port.devid


def _same(one: Remembered, other: Remembered) -> bool:
    """Whether two records are of one attachment; the stock tool's says less than ours."""
    if one.devid is None or other.devid is None:
        return (one.host, one.port, one.busid) == (other.host, other.port, other.busid)
    return one == other


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _paths(number: int) -> tuple[Path, Path]:
    return STOCK_DIRECTORY / f"port{number}", DIRECTORY / f"port{number}.json"


def _read(path: Path) -> tuple[float, bytes] | None:
    """The time of the last change, and the contents; None if it cannot be read, or is no record."""
    try:
        with path.open("rb") as file:
            data = file.read(RECORD_LIMIT_BYTES + 1)
            when = os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    return (when, data) if len(data) <= RECORD_LIMIT_BYTES else None


def _write(path: Path, data: bytes, mode: int) -> None:
    """Put a whole new file in place: nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    draft.replace(path)
