"""A session that outlived us is ended from the same local port; and nothing else is."""

import asyncio
import json
import socket
import stat
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.link import Endpoints, HostAddress, connect
from gadgetip.matching import DeviceSelector
from gadgetip.remote import (
    DeviceBusyError,
    NotExportedError,
    find_and_import,
    forget_import,
    import_device,
    operations,
    remember_import,
    stale_session,
)
from gadgetip.remote.stale_session import (
    PastImport,
    connect_as_before,
    parse_record,
    past_imports,
)
from gadgetip.wire import OpStatus
from tests.unit.gadget.devices import HS_STICK

from .examples import OTHER, exported, record, with_serial
from .server import Server, serving

SELECTOR = DeviceSelector.parse("0781:5581")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stale_session, "DIRECTORY", tmp_path / "imports")
    monkeypatch.setattr(operations, "BUSY_POLL_S", 0.001)
    return tmp_path / "imports"


def ends_of(stream: socket.socket) -> Endpoints:
    ends = Endpoints.of(stream)
    assert ends is not None
    return ends


async def used_port(server: Server, selector: DeviceSelector = SELECTOR) -> int:
    """Import as an attachment does, lose power, and leave the local port free; gives the port."""
    while True:
        server.changed.clear()
        imported = await import_device(server.address, "1-2")
        stream = imported.stream
        # Without a sound: no FIN that would leave the port in TIME_WAIT here.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        remember_import(stream, record("1-2", HS_STICK), server.address, selector)
        local: tuple[str, int] = stream.getsockname()
        imported.close()
        await server.changed.wait()
        if is_free(local):
            return local[1]


def is_free(local: tuple[str, int]) -> bool:
    """Whether the port can be bound: a connection to elsewhere may have it at the same time."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(local)
        except OSError:
            return False
    return True


def test_a_busy_device_is_asked_for_from_the_port_of_the_last_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        device = exported("1-2")
        async with serving(Server(device)) as server:
            port = await used_port(server)
            device.refusals.append(OpStatus.DEV_BUSY)
            monkeypatch.setattr(operations, "BUSY_POLL_S", 1000)
            imported = await import_device(server.address, "1-2")
            assert imported.stream.getsockname()[1] == port
            imported.close()

    asyncio.run(scenario())


def test_it_is_tried_once() -> None:
    async def scenario() -> None:
        device = exported("1-2")
        async with serving(Server(device)) as server:
            port = await used_port(server)
            device.refusals.extend([OpStatus.DEV_BUSY] * 4)
            imported = await import_device(server.address, "1-2")
            assert imported.stream.getsockname()[1] != port
            assert device.refusals == []
            imported.close()

    asyncio.run(scenario())


def test_a_session_of_this_machine_that_lives_is_left_alone() -> None:
    async def scenario() -> None:
        device = exported("1-2")
        async with serving(Server(device)) as server:
            alive = await import_device(server.address, "1-2")
            remember_import(alive.stream, record("1-2", HS_STICK), server.address, SELECTOR)
            device.refusals.extend([OpStatus.DEV_BUSY] * 2)
            with pytest.raises(DeviceBusyError):
                await import_device(server.address, "1-2", busy_limit_s=0)
            assert len(device.refusals) == 1  # nothing was sent from the live one's port
            assert device.in_use
            alive.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("change", [{"local_host": "127.0.0.9"}, {"busid": "1-3"}])
def test_another_address_or_device_is_not_ours(directory: Path, change: dict[str, str]) -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-2"))) as server:
            await used_port(server)
            [file] = directory.iterdir()
            file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
            with await connect(server.address) as stream:
                assert await connect_as_before(ends_of(stream), "1-2") is None
                assert await connect_as_before(ends_of(stream), "1-9") is None

    asyncio.run(scenario())


def test_a_device_that_the_server_does_not_list_is_meant_by_the_same_words() -> None:
    async def scenario(selector: DeviceSelector) -> None:
        device = exported("1-2")
        server = Server(device, exported("1-3", replace(with_serial("X"), device=OTHER.device)))
        async with serving(server):
            port = await used_port(server, selector)
            server.listed = ["1-3"]
            device.refusals.append(OpStatus.DEV_BUSY)
            found = await find_and_import(server.address, selector)
            assert found.imported.record.busid == "1-2"
            assert found.imported.stream.getsockname()[1] == port
            found.imported.close()
            # Not by other words, and not once it is gone.
            with pytest.raises(NotExportedError):
                await find_and_import(server.address, DeviceSelector.parse("name=Nothing"))
            del server.devices["1-2"]
            with pytest.raises(NotExportedError, match="exports: 1-3"):
                await find_and_import(server.address, selector)

    for text in ("0781:5581", "serial=4C53*"):
        asyncio.run(scenario(DeviceSelector.parse(text)))


def test_what_was_given_back_is_forgotten(directory: Path) -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-2"))) as server:
            imported = await import_device(server.address, "1-2")
            remember_import(imported.stream, record("1-2", HS_STICK), server.address, SELECTOR)
            [past] = past_imports(str(server.address))
            assert (past.busid, past.selector, past.id) == ("1-2", "0781:5581", "0781:5581")
            assert past.local_port == imported.stream.getsockname()[1]
            assert past_imports("elsewhere") == []
            forget_import(imported.stream, "1-2")
            assert past_imports(str(server.address)) == []
            forget_import(imported.stream, "1-2")
            imported.close()
            forget_import(imported.stream, "1-2")

    asyncio.run(scenario())
    assert list(directory.iterdir()) == []


def test_records_are_few_and_names_from_the_network_stay_out_of_paths(directory: Path) -> None:
    async def scenario() -> None:
        async with serving(Server()) as server:
            with await connect(server.address) as stream:
                for n in range(stale_session.RECORDS + 5):
                    it = replace(record("1-2", HS_STICK), busid=f"../../{n}")
                    remember_import(stream, it, server.address, SELECTOR)
        assert len(list(directory.iterdir())) == stale_session.RECORDS
        assert all(stat.S_ISREG(path.stat().st_mode) for path in directory.iterdir())
        assert not list(directory.parent.glob("[0-9]*"))

    asyncio.run(scenario())


def test_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_session, "DIRECTORY", Path("/proc/none"))

    async def scenario() -> None:
        async with serving(Server(exported("1-2"))) as server:
            await used_port(server)
            assert past_imports(str(server.address)) == []

    asyncio.run(scenario())


def test_a_stream_without_ports() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        remember_import(ours, record("1-2", HS_STICK), HostAddress("nas"), SELECTOR)
        forget_import(ours, "1-2")
    assert past_imports("nas") == []


GOOD = PastImport("nas", "0781:5581", "1-2", "0781:5581", "10.0.0.1", 3240, "10.0.0.2", 40000)
_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(asdict(GOOD))), _VALUES))
def test_any_json_does_no_harm(fields: dict[str, object]) -> None:
    parsed = parse_record(json.dumps({**asdict(GOOD), **fields}).encode())
    assert parsed is None or 0 < parsed.local_port < 65536


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    assert parse_record(data) is None
