"""A client without a kernel behind it: asks any USB/IP server, imports, exchanges URBs.

It starts in no time, so that hundreds of cycles and hostile neighbours cost little, and it can say
what no kernel would say.
"""

import contextlib
import socket
from types import TracebackType
from typing import Final

from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    DeviceRecord,
    Direction,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
    TransferFlag,
)
from tests.system.waiting import wait_for

LIMIT_S: Final = 30.0
HOST: Final = "127.0.0.1"

DEVICE_DESCRIPTOR: Final = bytes.fromhex("8006000100001200")


class RefusedByServerError(Exception):
    """The server did not grant the import."""

    def __init__(self, status: OpStatus) -> None:
        super().__init__(status.name)
        self.status = status


def dial(port: int) -> socket.socket:
    """A connected stream."""
    stream = socket.create_connection((HOST, port), timeout=LIMIT_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def receive(stream: socket.socket, connection: ClientConnection) -> ServerMessage:
    """The next message; raises ConnectionError at the end of the stream."""
    while (event := connection.next_event()) is NEED_DATA:
        data = stream.recv(min(connection.wanted, 1 << 16))
        if data:
            connection.receive_data(data)
        else:
            connection.receive_eof()
    if isinstance(event, ConnectionClosed):
        raise ConnectionError("the server has closed the connection")
    return event


def devlist(port: int) -> dict[str, DeviceRecord]:
    """What the server lists now, by bus id."""
    connection = ClientConnection()
    with dial(port) as stream:
        stream.sendall(connection.send(ReqDevlist()))
        reply = receive(stream, connection)
    assert isinstance(reply, RepDevlist), reply
    return {device.busid: device for device in reply.devices}


def wait_until_listed(port: int, *busids: str, limit_s: float = 40.0) -> None:
    """Wait until the server offers these: it lists no device that is in use."""

    def listed() -> bool:
        with contextlib.suppress(OSError):
            return set(busids) <= set(devlist(port))
        return False

    wait_for(listed, f"{', '.join(busids)} in the list of port {port}", limit_s)


class WireClient:
    """An imported device, while the context lasts."""

    def __init__(self, port: int, busid: str) -> None:
        self.stream = dial(port)
        self.connection = ClientConnection()
        self._seqnum = 0
        self._answers: dict[int, ServerMessage] = {}
        try:
            self.stream.sendall(self.connection.send(ReqImport(busid)))
            reply = receive(self.stream, self.connection)
            assert isinstance(reply, RepImport)
            if reply.device is None:
                raise RefusedByServerError(reply.status)
        except BaseException:
            self.stream.close()
            raise
        self.device = reply.device

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, as a client does that has had enough."""
        self.stream.close()

    def send(self, message: ClientMessage) -> None:
        """Say something right."""
        self.stream.sendall(self.connection.send(message))

    def submit(
        self,
        address: int,
        length: int = 0,
        *,
        data: bytes = b"",
        setup: bytes = bytes(8),
    ) -> int:
        """Submit a URB to bEndpointAddress `address`; returns its number."""
        self._seqnum += 1
        direction = Direction(address >> 7)
        self.send(
            CmdSubmit(
                self._seqnum,
                self.device.devid,
                direction,
                address & 15,
                transfer_flags=TransferFlag.DIR_IN if direction else 0,
                transfer_buffer_length=length or len(data),
                setup=setup,
                data=data,
            )
        )
        return self._seqnum

    def unlink(self, seqnum: int) -> int:
        """Take a URB back; returns the number of the unlink."""
        self._seqnum += 1
        self.send(CmdUnlink(self._seqnum, self.device.devid, seqnum))
        return self._seqnum

    def answer(self, seqnum: int) -> RetSubmit | RetUnlink:
        """Wait for the answer to this number; others are kept until they are asked for."""
        while seqnum not in self._answers:
            message = receive(self.stream, self.connection)
            assert isinstance(message, (RetSubmit, RetUnlink)), message
            self._answers[message.seqnum] = message
        found = self._answers.pop(seqnum)
        assert isinstance(found, (RetSubmit, RetUnlink))
        return found

    def control_in(self, setup: bytes) -> bytes:
        """A control transfer that reads; its data. Raises OSError with the device's status."""
        length = int.from_bytes(setup[6:8], "little")
        return self._data(self.submit(0x80, length, setup=setup))

    def control_out(self, setup: bytes, data: bytes = b"") -> None:
        """A control transfer that writes. Raises OSError with the device's status."""
        self._data(self.submit(0, data=data, setup=setup))

    def read(self, address: int, length: int) -> bytes:
        """A transfer that reads."""
        return self._data(self.submit(address, length))

    def write(self, address: int, data: bytes) -> None:
        """A transfer that writes."""
        self._data(self.submit(address, data=data))

    def device_descriptor(self) -> bytes:
        """Ask the device itself; proof that all of the way works."""
        return self.control_in(DEVICE_DESCRIPTOR)

    def _data(self, seqnum: int) -> bytes:
        answer = self.answer(seqnum)
        assert isinstance(answer, RetSubmit)
        if answer.status:
            raise OSError(-answer.status, "the transfer failed")
        return bytes(answer.data)
