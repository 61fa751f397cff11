"""Bytes that nobody thought of: random descriptors, and random answers from the server."""

import asyncio
import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.errors import GadgetipError
from gadgetip.matching import DeviceSelector
from gadgetip.remote import find_and_import
from gadgetip.usb import build_device_file
from gadgetip.wire import CmdSubmit
from tests.emulated.device import EmulatedDevice, walk_settings
from tests.emulated.hostile.lies import CONFIGURATION, DEVICE, STRINGS
from tests.emulated.server import EmulatedServer
from tests.emulated.session import Session

LIMIT_S = 8.0
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
changes = st.dictionaries(st.integers(0, 31), st.integers(0, 255), min_size=1, max_size=4)


def read(server: EmulatedServer) -> bytes | None:
    """The device as sysfs would have it, None where it was refused."""

    async def reading() -> bytes | None:
        with contextlib.suppress(GadgetipError):
            async with asyncio.timeout(LIMIT_S):
                found = await find_and_import(server.address, DeviceSelector.parse("1-1"))
            found.imported.close()
            return build_device_file(found.tree)
        return None

    return asyncio.run(reading())


@given(st.binary(max_size=300))
def test_a_walk_always_ends(data: bytes) -> None:
    for (interface, alternate), endpoints in walk_settings(data).items():
        assert max(interface, alternate, *endpoints, 0) <= 0xFF


@examples
@given(changes)
def test_a_device_is_read_as_it_is_or_not_at_all(changed: dict[int, int]) -> None:
    data = bytearray(CONFIGURATION)
    for at, value in changed.items():
        data[at] = value
    device = EmulatedDevice(descriptor=DEVICE, configurations=[bytes(data)], strings=STRINGS)
    with EmulatedServer(device) as server:
        assert read(server) in {None, DEVICE + bytes(data)}


class Random(Session):
    """Answers every URB with the same bytes, and closes."""

    answer = b""

    async def submitted(self, submit: CmdSubmit) -> None:
        self.write(self.answer)
        self.close()


@examples
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(b"\0\0\0\3\0\0\0\1".__add__)))
def test_no_answer_is_too_strange(answer: bytes) -> None:
    session = type("RandomSession", (Random,), {"answer": answer})
    device = EmulatedDevice(descriptor=DEVICE, configurations=[CONFIGURATION])
    with EmulatedServer(device, session=session) as server:
        assert read(server) is None
