"""From what a person wrote to the one device that was meant."""

import asyncio
import contextlib
import errno
from collections.abc import Callable
from dataclasses import replace

import pytest

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.matching import DeviceSelector
from gadgetip.remote import (
    KnownTrees,
    LeftOut,
    NotExportedError,
    find_and_import,
    finding,
    import_device,
    operations,
)
from gadgetip.remote.finding import FoundDevice
from gadgetip.usb import DescriptorType, SetupPacket
from gadgetip.wire import OpStatus
from tests.unit.gadget.devices import HS_STICK, SERIAL

from .examples import OTHER, as_read, exported, with_serial
from .server import Answer, Exported, Server, serving


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BUSY_POLL_S", 0.001)


async def find(server: Server, text: str) -> FoundDevice:
    return await find_and_import(server.address, DeviceSelector.parse(text))


def imports(server: Server) -> dict[str, int]:
    return {busid: it.imports for busid, it in server.devices.items()}


@pytest.mark.parametrize("text", ["1-2", "0781:5581", "serial=B", "name=*Ultra", "class=08"])
def test_the_one_that_is_meant(text: str) -> None:
    async def scenario() -> None:
        server = Server(exported("1-1", OTHER), exported("1-2", with_serial("B")))
        if text in {"name=*Ultra", "class=08"}:
            server = Server(exported("1-2", with_serial("B")))
        async with serving(server):
            found = await find(server, text)
            assert found.imported.record.busid == "1-2"
            assert found.tree == as_read(with_serial("B"))
            found.imported.close()

    asyncio.run(scenario())


def test_a_bus_id_is_imported_without_asking_for_the_list() -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        server.listed = []  # devices in use, or hidden, are not listed
        async with serving(server):
            (await find(server, "1-2")).imported.close()
            assert server.lists == 0

    asyncio.run(scenario())


def test_what_the_list_tells_is_not_imported_to_see() -> None:
    async def scenario() -> None:
        others = [exported(f"1-{n}", OTHER) for n in range(1, 4)]
        server = Server(*others, exported("1-4"))
        async with serving(server):
            (await find(server, "0781:5581")).imported.close()
            assert imports(server) == {"1-1": 0, "1-2": 0, "1-3": 0, "1-4": 1}

    asyncio.run(scenario())


def test_candidates_are_imported_once_each_and_given_back() -> None:
    async def scenario() -> None:
        server = Server(*(exported(f"1-{n}", with_serial(f"S{n}")) for n in range(1, 5)))
        async with serving(server):
            found = await find(server, "serial=S2")
            assert found.imported.record.busid == "1-2"
            assert imports(server) == {f"1-{n}": 1 for n in range(1, 5)}
            async with asyncio.timeout(10):
                while [b for b, it in server.devices.items() if it.in_use] != ["1-2"]:
                    server.changed.clear()
                    await server.changed.wait()
            found.imported.close()

    asyncio.run(scenario())


def test_a_listed_class_is_sure_and_others_are_looked_at() -> None:
    async def scenario() -> None:
        server = Server(
            exported("1-1", SERIAL, interfaces=True),
            exported("1-2", OTHER, interfaces=True),
        )
        async with serving(server):
            (await find(server, "class=02/02/01")).imported.close()
            assert imports(server) == {"1-1": 1, "1-2": 0}

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["0781:5581", "serial=4C53*", "class=08/06/50"])
def test_several_are_an_error_that_lists_them(text: str) -> None:
    async def scenario() -> None:
        server = Server(*(exported(f"1-{n}") for n in (1, 2)))
        async with serving(server):
            with pytest.raises(
                GadgetipError,
                match=r"matches 2 devices on .*: 1-1 \(0781:5581\); 1-2 \(0781:5581\)\. Name one",
            ):
                await find(server, text)
            async with asyncio.timeout(10):
                while any(it.in_use for it in server.devices.values()):
                    server.changed.clear()
                    await server.changed.wait()

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["ffff:ffff", "serial=nope", "1-9"])
def test_none_is_an_error_that_says_what_there_is(text: str) -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-1"))) as server:
            with pytest.raises(GadgetipError, match=r"exports: 1-1 \(0781:5581\)$"):
                await find(server, text)

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["ffff:ffff", "1-9"])
def test_a_server_that_exports_nothing(text: str) -> None:
    async def scenario() -> None:
        async with serving(Server()) as server:
            with pytest.raises(GadgetipError, match="exports nothing that is free: bind a device"):
                await find(server, text)

    asyncio.run(scenario())


def _busy(it: Exported) -> None:
    it.refusals.extend([OpStatus.DEV_BUSY] * 100_000)


def _gone(it: Exported) -> None:
    it.refusals.append(OpStatus.NODEV)


def _broken(it: Exported) -> None:
    def answer(setup: SetupPacket) -> Answer | NotImplementedError:
        if setup.wValue >> 8 == DescriptorType.CONFIGURATION:
            return -errno.EPIPE
        return NotImplementedError()

    it.answer = answer


@pytest.mark.parametrize("trouble", [_busy, _gone, _broken])
def test_a_candidate_that_cannot_be_looked_at_does_not_hide_the_others(
    trouble: Callable[[Exported], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_device, "__kwdefaults__", {"busy_limit_s": 0.01})

    async def scenario() -> None:
        server = Server(*(exported(f"1-{n}", with_serial(f"S{n}")) for n in range(1, 4)))
        trouble(server.devices["1-1"])
        async with serving(server):
            found = await find(server, "serial=S3")
            assert found.imported.record.busid == "1-3"
            found.imported.close()

    asyncio.run(scenario())


def test_a_link_that_ends_during_the_search_ends_it() -> None:
    async def scenario() -> None:
        it = exported("1-1")

        def answer(setup: SetupPacket) -> Answer | NotImplementedError:
            raise ConnectionResetError

        it.answer = answer
        async with serving(Server(it, exported("1-2"))) as server:
            with pytest.raises(LinkLostError):
                await find(server, "serial=4C53*")

    asyncio.run(scenario())


def test_the_tree_is_read_before_anybody_else_gets_the_stream() -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-2"))) as server:
            found = await find(server, "1-2")
            assert found.tree == as_read(HS_STICK)
            assert found.imported.connection.pending == 0
            # Sequence numbers go on: the server may remember the ones before.
            assert found.imported.next_seqnum > 1
            found.imported.close()

    asyncio.run(scenario())


def test_whoever_asks_again_looks_at_each_device_once() -> None:
    async def scenario() -> None:
        server = Server(exported("1-1", with_serial("A")), exported("1-2", with_serial("B")))
        selector = DeviceSelector.parse("serial=C")
        known: KnownTrees = {}
        async with serving(server):
            for _ in range(3):
                with pytest.raises(NotExportedError):
                    await find_and_import(server.address, selector, known)
            assert imports(server) == {"1-1": 1, "1-2": 1}
            # Another device in the same place is another device.
            server.devices["1-2"] = exported("1-2", with_serial("C"))
            server.devices["1-2"].record = replace(server.devices["1-2"].record, devnum=9)
            found = await find_and_import(server.address, selector, known)
            assert found.imported.record.busid == "1-2"
            found.imported.close()
            assert imports(server) == {"1-1": 1, "1-2": 1}
            # It is known now, and imported for use only.
            found = await find_and_import(server.address, selector, known)
            found.imported.close()
            assert imports(server) == {"1-1": 1, "1-2": 2}
            server.listed = ["1-1"]
            with pytest.raises(NotExportedError):
                await find_and_import(server.address, selector, known)
            assert [key[0] for key in known] == ["1-1"]

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["1-1", "0781:5581", "serial=A"])
def test_what_is_left_out_is_not_imported_while_it_is_listed(text: str) -> None:
    async def scenario() -> None:
        now = 100.0
        server = Server(exported("1-1", with_serial("A")), exported("1-2", with_serial("B")))
        server.listed = ["1-1"]
        selector = DeviceSelector.parse(text)
        left_out = LeftOut(lambda: now)
        async with serving(server):

            async def imported() -> int:
                with contextlib.suppress(NotExportedError):
                    found = await find_and_import(server.address, selector, left_out=left_out)
                    found.imported.close()
                    left_out.add(found.imported.record)
                return server.devices["1-1"].imports

            assert await imported() == 1
            for listed in ([], ["1-1"], ["1-1"], []):  # a server may take a while to list it again
                server.listed = listed
                now += finding.AWAY_S * 0.9
                assert await imported() == 1
            server.listed = ["1-1"]
            assert await imported() == 1
            server.listed = []
            now += finding.AWAY_S
            await imported()
            server.listed = ["1-1"]
            assert await imported() == 2, "it was away"

    asyncio.run(scenario())


def test_what_is_left_out_leaves_the_others() -> None:
    async def scenario() -> None:
        server = Server(exported("1-1", with_serial("A")), exported("1-2", with_serial("B")))
        left_out = LeftOut()
        left_out.add(server.devices["1-1"].record)
        selector = DeviceSelector.parse("0781:5581")
        async with serving(server):
            found = await find_and_import(server.address, selector, left_out=left_out)
            assert found.imported.record.busid == "1-2"
            found.imported.close()
        left_out.forget()
        assert not left_out


@pytest.mark.parametrize(("trouble", "resets"), [(_broken, 1), (_busy, 0)])
def test_one_that_cannot_be_looked_at_is_not_imported_again_and_again(
    trouble: Callable[[Exported], None],
    resets: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each import resets it, and whoever waits asks twice a second."""
    monkeypatch.setattr(finding._look, "__kwdefaults__", {"busy_limit_s": 0.0, "on_import": None})

    async def scenario() -> None:
        server = Server(exported("1-1", with_serial("A")))
        it = server.devices["1-1"]
        trouble(it)
        selector = DeviceSelector.parse("serial=A")
        known: KnownTrees = {}
        async with serving(server):
            refusals = len(it.refusals)
            asked = []
            for _ in range(3):
                with pytest.raises(NotExportedError):
                    await find_and_import(server.address, selector, known)
                asked.append(refusals - len(it.refusals))
            assert it.imports == resets
            assert asked[0] == asked[2]
            assert len(caplog.records) == 1
            # Plugged in anew, it is worth a look.
            it.record = replace(it.record, devnum=9)
            it.answer, it.refusals = None, []
            found = await find_and_import(server.address, selector, known)
            assert found.imported.record.busid == "1-1"
            found.imported.close()

    asyncio.run(scenario())


def test_one_that_was_in_use_is_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "REFUSED_AGAIN_S", 0.0)

    async def scenario() -> None:
        server = Server(exported("1-1", with_serial("A")))
        server.devices["1-1"].refusals = [OpStatus.NODEV] * 2
        known: KnownTrees = {}
        async with serving(server):
            for _ in range(2):
                with pytest.raises(NotExportedError):
                    await find_and_import(server.address, DeviceSelector.parse("serial=A"), known)
            selector = DeviceSelector.parse("serial=A")
            (await find_and_import(server.address, selector, known)).imported.close()

    asyncio.run(scenario())
