"""Both ends of a stream in one object, for tests: whatever one says, the other must understand."""

from collections.abc import Iterable
from typing import TypeVar

from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    ClientMessage,
    Connection,
    ConnectionClosed,
    DeviceRecord,
    OpStatus,
    RepImport,
    ReqImport,
    ServerConnection,
    ServerMessage,
)

DEVICE = DeviceRecord(
    path="/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2",
    busid="1-2",
    busnum=1,
    devnum=7,
    speed=3,
    idVendor=0x1D6B,
    idProduct=0x0104,
    bcdDevice=0x0612,
    bDeviceClass=0xEF,
    bDeviceSubClass=2,
    bDeviceProtocol=1,
    bConfigurationValue=1,
    bNumConfigurations=1,
    bNumInterfaces=2,
)
DEVID = DEVICE.devid

_Sent = TypeVar("_Sent")
_Received = TypeVar("_Received")


def events(
    connection: Connection[_Sent, _Received],
) -> list[_Received | ConnectionClosed]:
    """All events that are there; stops at the end of the stream."""
    found: list[_Received | ConnectionClosed] = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
        if isinstance(event, ConnectionClosed):
            break
    return found


def feed(
    connection: Connection[_Sent, _Received], pieces: Iterable[bytes]
) -> list[_Received | ConnectionClosed]:
    """Give pieces one by one, and collect the events after each."""
    found = []
    for piece in pieces:
        connection.receive_data(piece)
        found += events(connection)
    return found


class ConnectionPair:
    """A client and a server with a fake link between them; keeps what went over it."""

    def __init__(self) -> None:
        self.client = ClientConnection()
        self.server = ServerConnection()
        self.conversation: list[dict[str, str]] = []

    @classmethod
    def imported(cls) -> "ConnectionPair":
        pair = cls()
        pair.to_server(ReqImport(DEVICE.busid))
        pair.to_client(RepImport(OpStatus.OK, DEVICE))
        return pair

    def to_server(self, message: ClientMessage) -> None:
        data = self.client.send(message)
        self.conversation.append({"from": "client", "hex": data.hex()})
        assert feed(self.server, [data]) == [message]
        assert self.server.phase is self.client.phase
        assert self.server.pending == self.client.pending

    def to_client(self, message: ServerMessage) -> None:
        data = self.server.send(message)
        self.conversation.append({"from": "server", "hex": data.hex()})
        assert feed(self.client, [data]) == [message]
        assert self.server.phase is self.client.phase
        assert self.server.pending == self.client.pending
        assert self.server.tombstones == self.client.tombstones
