"""Replays a recorded conversation through both ends, byte for byte.

A recording is what went over one TCP connection, in the order in which it was seen:

    {"description": "...", "kernel": "...",
     "conversation": [{"from": "client" or "server", "hex": "..."}, ...]}

A piece may hold a part of a message or several. The client's bytes go to a `ServerConnection`,
and what it understands is sent again by a `ClientConnection`; the server's bytes the other way
round. Each must have given exactly the recorded bytes in the end.
"""

from typing import Any

from gadgetip.wire import (
    ClientConnection,
    ClientMessage,
    ConnectionClosed,
    ServerConnection,
    ServerMessage,
)
from tests.unit.wire.pair import events


def replay(recording: dict[str, Any]) -> list[ClientMessage | ServerMessage]:
    """Replay `recording`; give its messages, or fail with an AssertionError."""
    client, server = ClientConnection(), ServerConnection()
    recorded = {"client": b"", "server": b""}
    built = {"client": b"", "server": b""}
    messages: list[ClientMessage | ServerMessage] = []
    for piece in recording["conversation"]:
        data = bytes.fromhex(piece["hex"])
        recorded[piece["from"]] += data
        if piece["from"] == "client":
            server.receive_data(data)
            for request in events(server):
                assert not isinstance(request, ConnectionClosed)
                built["client"] += client.send(request)
                messages.append(request)
        else:
            client.receive_data(data)
            for reply in events(client):
                assert not isinstance(reply, ConnectionClosed)
                built["server"] += server.send(reply)
                messages.append(reply)
    for side in ("client", "server"):
        assert built[side].hex(" ") == recorded[side].hex(" "), f"the {side}'s bytes differ"
    server.receive_eof()
    client.receive_eof()
    assert events(server) == events(client) == [ConnectionClosed()]
    assert messages, "the recording is empty"
    return messages
