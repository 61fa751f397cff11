"""Recorded conversations of real kernels and tools, replayed byte for byte.

The first conversation is one of our own, so that the replayer itself is tested.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gadgetip.wire import (
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    OpStatus,
    RepDevlist,
    ReqDevlist,
    RetSubmit,
    RetUnlink,
)
from tests.unit.wire.pair import DEVID, ConnectionPair
from tests.unit.wire.replay import replay

CAPTURES = Path(__file__).parents[2] / "captures"
FILES = sorted(CAPTURES.glob("*.json"))


def our_own() -> dict[str, Any]:
    pair = ConnectionPair.imported()
    pair.to_server(CmdSubmit(1, DEVID, Direction.IN, 0, 0x200, 18, setup=b"\x80\6\0\1\0\0\x12\0"))
    pair.to_server(CmdSubmit(2, DEVID, Direction.OUT, 1, transfer_buffer_length=3, data=b"abc"))
    pair.to_client(RetSubmit(1, 0, 18, data=bytes(range(18))))
    pair.to_client(RetSubmit(2, 0, 3))
    packets = (IsoPacketDescriptor(0, 8), IsoPacketDescriptor(8, 8))
    pair.to_server(
        CmdSubmit(3, DEVID, Direction.IN, 2, 2, 16, number_of_packets=2, iso_packets=packets)
    )
    pair.to_server(CmdUnlink(4, DEVID, 3))
    pair.to_client(RetUnlink(4, 0))
    done = (packets[0]._replace(actual_length=1), packets[1]._replace(actual_length=2))
    pair.to_client(RetSubmit(3, 0, 3, number_of_packets=2, data=b"abc", iso_packets=done))
    return {"description": "own", "kernel": "none", "conversation": pair.conversation}


def load(file: Path | None) -> dict[str, Any]:
    if file is None:
        return our_own()
    recording: dict[str, Any] = json.loads(file.read_text())
    return recording


@pytest.mark.parametrize("file", [None, *FILES], ids=lambda file: file.name if file else "own")
def test_replay_is_byte_exact(file: Path | None) -> None:
    assert replay(load(file))


@pytest.mark.parametrize("size", [1, 5, 48])
@pytest.mark.parametrize("file", [None, *FILES], ids=lambda file: file.name if file else "own")
def test_replay_does_not_depend_on_the_pieces(file: Path | None, size: int) -> None:
    recording = load(file)
    pieces = []
    for piece in recording["conversation"]:
        raw = bytes.fromhex(piece["hex"])
        pieces += [
            {"from": piece["from"], "hex": raw[at : at + size].hex()}
            for at in range(0, len(raw), size)
        ]
    assert replay({**recording, "conversation": pieces}) == replay(recording)


def test_replay_notices_a_byte_that_is_not_kept() -> None:
    """A server that fills `devid` in its replies is understood, but not byte-exact."""
    pair = ConnectionPair.imported()
    pair.to_server(CmdSubmit(1, DEVID, Direction.IN, 0))
    pair.to_client(RetSubmit(1, 0, 0))
    raw = bytearray.fromhex(pair.conversation[-1]["hex"])
    raw[11] = 1
    pair.conversation[-1]["hex"] = raw.hex()
    with pytest.raises(AssertionError, match="the server's bytes differ"):
        replay({"conversation": pair.conversation})


def test_replay_notices_an_unfinished_message() -> None:
    pair = ConnectionPair()
    pair.to_server(ReqDevlist())
    pair.to_client(RepDevlist(OpStatus.OK))
    pair.conversation[-1]["hex"] = pair.conversation[-1]["hex"][:-2]
    with pytest.raises(AssertionError, match="the server's bytes differ"):
        replay({"conversation": pair.conversation})


def test_there_are_captures() -> None:
    """Without this, a lost directory's worth of recordings would look like success."""
    if CAPTURES.is_dir():
        assert len(FILES) >= 3, f"{CAPTURES} holds {len(FILES)} recordings, at least 3 are needed"
