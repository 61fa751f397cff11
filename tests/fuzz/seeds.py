"""Where a fuzzer begins: recorded conversations, shipped files, random tapes, old findings.

A recorded client becomes a tape of the targets that listen to clients: those bytes of the tape
that choose "raw bytes" stand before each piece of it.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from gadgetip.wire import NEED_DATA, CmdSubmit, CmdUnlink, ConnectionClosed, ServerConnection, build
from tests.fuzz.grammar import DEVID

CAPTURES = Path(__file__).parents[1] / "captures"
PROFILES = Path(__file__).parents[2] / "gadgetip" / "configfs_profiles"
REGRESSIONS = Path(__file__).parent / "regressions"
LONGEST = 4096
TAPES = 64
IMPORT_BYTES = 40


def recorded_clients() -> list[bytes]:
    """What clients said in the URB phase of each recorded conversation, as if to our device."""
    found = []
    for path in sorted(CAPTURES.glob("*.json")):
        pieces = json.loads(path.read_text())["conversation"]
        said = b"".join(bytes.fromhex(p["hex"]) for p in pieces if p["from"] == "client")
        urbs = said[IMPORT_BYTES:]
        if urbs:
            found.append(_readdressed(urbs)[:LONGEST])
    return found


def _readdressed(urbs: bytes) -> bytes:
    connection = ServerConnection.after_import(int.from_bytes(urbs[8:12], "big"))
    connection.receive_data(urbs)
    out = b""
    while (message := connection.next_event()) is not NEED_DATA:
        assert not isinstance(message, ConnectionClosed)
        if isinstance(message, CmdSubmit):
            out += build(message._replace(devid=DEVID))
        elif isinstance(message, CmdUnlink):
            out += build(CmdUnlink(message.seqnum, DEVID, message.unlink_seqnum))
    return out


def as_raw_pieces(said: bytes, prefix: bytes, choice: int) -> bytes:
    """A tape on which a target says these bytes, 96 at a time, uncut: see its `run`."""
    tape = prefix
    for at in range(0, len(said), 96):
        piece = said[at : at + 96]
        tape += bytes((choice, len(piece))) + piece + b"\0"
    return tape


def tapes() -> list[bytes]:
    """Random tapes of several lengths, the same each time."""
    source = random.Random(1)
    return [source.randbytes(8 << n % 9) for n in range(TAPES)]


def regressions(name: str) -> list[bytes]:
    """Inputs that once found something."""
    return [path.read_bytes() for path in sorted((REGRESSIONS / name).glob("*"))]


OWN: dict[str, Callable[[], list[bytes]]] = {
    "server": lambda: [as_raw_pieces(said, b"\x01", 63) for said in recorded_clients()],
    "session": lambda: [as_raw_pieces(said, b"\0", 62) for said in recorded_clients()],
    "toml": lambda: [b"\0" + path.read_bytes() for path in sorted(PROFILES.glob("*.toml"))],
}


def seeds(name: str) -> list[bytes]:
    """All that a target begins with."""
    own = OWN.get(name)
    return [*(own() if own else ()), *tapes(), *regressions(name)]
