"""A client of an emulated server: what a test submits, and what comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gadgetip.pump import UrbStream
from gadgetip.remote import import_device
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import RetSubmit
from tests.emulated.server import EmulatedServer

LIMIT_S = 5.0


class Client:
    """One imported device."""

    def __init__(self, urbs: UrbStream) -> None:
        self.urbs = urbs

    def submit(self, address: int, length: int = 0, data: bytes = b"") -> asyncio.Future[RetSubmit]:
        """Put a URB on an endpoint; `last` is then its seqnum."""
        answer: asyncio.Future[RetSubmit] = asyncio.get_running_loop().create_future()
        is_in = bool(address & 0x80)
        self.last = self.urbs.submit(
            address & 0x0F,
            Direction.IN if is_in else Direction.OUT,
            length if is_in else len(data),
            answer.set_result,
            data=data,
        )
        return answer

    async def read(self, address: int, length: int) -> bytes:
        """One IN transfer that must succeed."""
        ret = await asyncio.wait_for(self.submit(address, length), LIMIT_S)
        assert ret.status == 0, ret
        return bytes(ret.data)

    async def write(self, address: int, data: bytes) -> None:
        """One OUT transfer that must succeed."""
        ret = await asyncio.wait_for(self.submit(address, data=data), LIMIT_S)
        assert ret.status == 0, ret

    async def control(self, setup: SetupPacket, data: bytes = b"") -> bytes:
        """One control request."""
        return await self.urbs.control(setup, data, limit_s=LIMIT_S)

    async def ask(
        self, request_type: int, request: int, value: int, index: int, length: int
    ) -> bytes:
        """One IN control request, by its fields."""
        return await self.control(SetupPacket(request_type, request, value, index, length))

    async def tell(
        self, request_type: int, request: int, value: int, index: int, data: bytes = b""
    ) -> None:
        """One OUT control request, by its fields."""
        await self.control(SetupPacket(request_type, request, value, index, len(data)), data)


@asynccontextmanager
async def importing(
    server: EmulatedServer, busid: str = "1-1", *, configuration: int = 1
) -> AsyncIterator[Client]:
    """Import a device and configure it."""
    imported = await import_device(server.address, busid)
    urbs = imported.urbs().attach()
    client = Client(urbs)
    try:
        if configuration:
            await client.control(SetupPacket.set_configuration(configuration))
        yield client
    finally:
        urbs.close()
