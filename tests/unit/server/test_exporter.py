import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.server import exporter as exporter_module
from gadgetip.server.bindings import Binding, Bindings
from gadgetip.server.exporter import Exporter
from gadgetip.server.listeners import Peer
from gadgetip.server.local_device import LocalDevice, LocalInterface
from gadgetip.server.lookout import Lookout
from gadgetip.server.stub import DeviceFaultError
from gadgetip.wire import OpStatus
from tests.unit.server.scripted import (
    STICK,
    Machine,
    Recorder,
    ScriptedSession,
    ScriptedStub,
    device,
    policy,
)

CLIENT = Peer("127.0.0.1", 5)
ALL = '[[export]]\nname = "all"\nmatch = {id = "0781:*"}'


class Scene:
    def __init__(self, directory: Path) -> None:
        self.machine = Machine(directory, device())
        self.narrator = Recorder()
        self.begin()

    def begin(self, text: str = STICK) -> None:
        """A new daemon, on the same machine."""
        self.stub = ScriptedStub()
        self.stub.taken = self.machine.stub.taken
        self.machine.stub = self.stub
        self.exporter = Exporter(self.stub, policy(text), self.machine.surroundings, self.narrator)

    def names(self) -> list[str]:
        return [record.busid for record in self.exporter.listing(CLIENT)]


def play(directory: Path, scenario: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(Scene(directory))

    asyncio.run(run())


def test_it_follows_the_devices(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        await scene.exporter.reconcile()
        assert scene.names() == ["stick"]
        assert scene.stub.calls == ["take 1-1"]
        scene.machine.devices = []
        scene.exporter.request()
        await scene.narrator.wait_for("withdrawn")
        assert scene.names() == []
        assert "give back 1-1" not in scene.stub.calls  # it is not there
        scene.machine.devices = [device(devnum=3)]
        scene.exporter.request()
        await scene.narrator.wait_for("exported", 2)
        assert scene.names() == ["stick"]

    play(tmp_path, scenario)


def test_another_device_in_the_same_port_is_not_the_same(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        scene.machine.devices = [device(devnum=9)]
        await scene.exporter.reconcile()
        assert scene.stub.calls == ["take 1-1", "take 1-1"]
        assert [name for name, _, _ in scene.narrator.events] == [
            "exported",
            "withdrawn",
            "exported",
        ]

    play(tmp_path, scenario)


def test_what_somebody_else_undoes_is_done_again(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        scene.stub.taken.clear()  # `usbip unbind`
        await scene.exporter.reconcile()
        assert scene.stub.calls == ["take 1-1", "take 1-1"]
        assert len(scene.narrator.texts("exported")) == 1

    play(tmp_path, scenario)


def test_a_failure_concerns_its_device_alone_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "RETRY_MIN_S", 0.01)

    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device("1-1"), device("1-2", 3)]
        scene.begin(ALL)
        scene.stub.failures["take 1-1"] = [DeviceFaultError("it hangs")] * 3
        await scene.exporter.reconcile()
        assert scene.names() == ["1-2"]
        await scene.narrator.wait_for("exported", 2)
        assert scene.names() == ["1-1", "1-2"]
        assert len(scene.narrator.texts("error")) == 1  # said once

    play(tmp_path, scenario)


def test_a_withdrawn_device_loses_its_session_and_goes_back(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        entry = next(iter(scene.exporter._entries.values()))
        session = scene.stub.found["1-1"] = ScriptedSession(None)
        scene.names()
        assert entry.in_use
        scene.exporter.reload(policy())
        await scene.exporter.reconcile()
        assert session.asked_to_end
        assert scene.stub.calls == ["take 1-1", "give back 1-1"]
        assert "its session is ended" in scene.narrator.texts("withdrawn")[0]

    play(tmp_path, scenario)


def test_a_client_that_may_not_have_it_any_more_loses_it(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        session = scene.stub.found["1-1"] = ScriptedSession(None)
        scene.names()
        entry = next(iter(scene.exporter._entries.values()))
        entry.client = CLIENT
        scene.exporter.reload(policy(STICK + 'clients = ["127.0.0.0/8"]'))
        await scene.exporter.reconcile()
        assert not session.asked_to_end
        scene.exporter.reload(policy(STICK + 'clients = ["192.0.2.0/24"]'))
        await scene.exporter.reconcile()
        assert session.over.result() == "ended here"

    play(tmp_path, scenario)


@pytest.mark.parametrize("driver", [None, "usb-storage"])
def test_interfaces_without_drivers_that_another_stub_left(
    tmp_path: Path, driver: str | None
) -> None:
    """It was killed. One that has its drivers back is somebody's, and may be mounted."""

    async def scenario(scene: Scene) -> None:
        left = {"devices": [{"busid": "1-1", "devnum": 2, "stub": "userspace"}]}
        (tmp_path / "taken.json").write_text(json.dumps(left))
        scene.machine.devices = [device(interfaces=(LocalInterface(0, 8, 6, 0x50, driver),))]
        scene.begin("")
        await scene.exporter.reconcile()
        assert scene.stub.calls == ["take 1-1"] * (driver is None) + ["give back 1-1"]

    play(tmp_path, scenario)


def test_after_a_session_the_stub_is_healed_before_the_next_client(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        session = ScriptedSession(None)
        scene.stub.found["1-1"] = session
        await scene.exporter.reconcile()
        assert scene.names() == []
        del scene.stub.found["1-1"]
        session.finish("the stub is in its error state")
        assert "error state" in await scene.narrator.wait_for("session ended")
        assert scene.stub.calls == ["take 1-1", "take 1-1"]
        assert scene.names() == ["stick"]

    play(tmp_path, scenario)


def test_what_this_machine_needs_stays_unless_forced(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.machine.keep = {"1-1": "it is mounted on /mnt"}
        await scene.exporter.reconcile()
        await scene.exporter.reconcile()
        assert scene.names() == []
        assert scene.narrator.texts("refused") == [
            "SanDisk Ultra (0781:5581) at 1-1 is not exported: it is mounted on /mnt"
        ]
        scene.machine.bindings = Bindings((Binding("0781:5581", "SERIAL-1-1", forced=True),))
        scene.exporter.reload(policy(STICK))
        await scene.exporter.reconcile()
        assert scene.names() == ["stick"]

    play(tmp_path, scenario)


def test_what_a_killed_daemon_took_is_taken_over_or_given_back(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device("1-1"), device("1-2", 3), device("1-3", 4)]
        scene.begin(ALL)
        await scene.exporter.reconcile()
        remembered = json.loads((tmp_path / "taken.json").read_text())["devices"]
        assert [entry["busid"] for entry in remembered] == ["1-1", "1-2", "1-3"]
        # It is killed here; meanwhile one device is replaced.
        scene.machine.devices[2] = device("1-3", 99)
        scene.begin('[[export]]\nname = "first"\nmatch = {busid = "1-1"}')
        await scene.exporter.reconcile()
        assert sorted(scene.stub.calls) == ["give back 1-2", "take 1-1"]
        remembered = json.loads((tmp_path / "taken.json").read_text())["devices"]
        assert [entry["busid"] for entry in remembered] == ["1-1"]

    play(tmp_path, scenario)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"devices": 1}', '{"devices": [{}]}', "[" * 9999])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    async def scenario(scene: Scene) -> None:
        (tmp_path / "taken.json").write_text(text)
        scene.begin()
        await scene.exporter.reconcile()
        assert scene.names() == ["stick"]

    play(tmp_path, scenario)


def test_draining_keeps_what_was_bound_by_hand(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device("1-1"), device("1-2", 3)]
        scene.machine.bindings = Bindings((Binding("0781:5581", "SERIAL-1-2"),))
        scene.begin('[[export]]\nname = "first"\nmatch = {busid = "1-1"}')
        await scene.exporter.reconcile()
        session = scene.stub.found["1-1"] = ScriptedSession(None)
        scene.names()
        await scene.exporter.drain(lambda export: export.by == "bound")
        assert session.asked_to_end
        assert scene.stub.calls[-1] == "give back 1-1"
        assert "give back 1-2" not in scene.stub.calls
        assert json.loads((tmp_path / "taken.json").read_text()) == {"devices": []}
        scene.exporter.request()  # nothing more happens
        await asyncio.sleep(0.05)
        assert scene.stub.calls[-1] == "give back 1-1"

    play(tmp_path, scenario)


def test_after_a_plug_only_its_port_is_looked_at(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.begin(ALL)
        await scene.exporter.reconcile()
        scene.machine.devices += [device("1-2", 3), device("1-3", 4)]
        scene.exporter.request("1-2")
        await scene.narrator.wait_for("exported", 2)
        assert scene.names() == ["1-1", "1-2"]
        scene.machine.devices = scene.machine.devices[1:]
        scene.exporter.request("1-3")
        await scene.narrator.wait_for("exported", 3)
        await scene.narrator.wait_for("withdrawn")
        assert scene.names() == ["1-2", "1-3"]

    play(tmp_path, scenario)


def test_a_device_that_is_being_reset_is_not_unplugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "RETRY_MIN_S", 0.01)

    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        scene.machine.devices = [device(devnum=0), device("1-2", 0)]
        scene.exporter.reload(policy(ALL))
        await scene.exporter.reconcile()
        assert scene.names() == ["1-1"]
        scene.machine.devices = [device(), device("1-2", 3)]
        await scene.narrator.wait_for("exported", 3)
        assert scene.names() == ["1-1", "1-2"]
        assert scene.narrator.texts("withdrawn") == []

    play(tmp_path, scenario)


def test_many_requests_are_one(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        reads = 0
        read = scene.machine.surroundings.read_inventory

        def counted() -> tuple[object, ...]:
            nonlocal reads
            reads += 1
            return read()

        object.__setattr__(scene.machine.surroundings, "read_inventory", counted)
        for _ in range(100):
            scene.exporter.request()
        await scene.narrator.wait_for("exported")
        assert reads == 1

    play(tmp_path, scenario)


def test_an_inventory_that_fails_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "LOOK_AGAIN_S", 0.01)

    async def scenario(scene: Scene) -> None:
        failures: list[GadgetipError] = [PrerequisiteError("libudev is missing")]
        read = scene.machine.surroundings.read_inventory

        def failing() -> object:
            if failures:
                raise failures.pop()
            return read()

        object.__setattr__(scene.machine.surroundings, "read_inventory", failing)
        scene.exporter.request()
        await scene.narrator.wait_for("exported")
        assert scene.narrator.texts("error") == ["libudev is missing"]

    play(tmp_path, scenario)


def test_a_look_that_began_before_the_drain_takes_nothing_again(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        look, give_back = scene.machine.surroundings.read_inventory, scene.stub.give_back

        def look_slowly() -> tuple[LocalDevice, ...]:
            found = look()
            time.sleep(0.05)
            return found

        async def give_back_slowly(device: LocalDevice) -> None:
            await give_back(device)
            await asyncio.sleep(0.2)

        slow = replace(scene.machine.surroundings, read_inventory=look_slowly)
        scene.exporter._lookout = Lookout(slow)
        scene.stub.give_back = give_back_slowly  # type: ignore[method-assign]
        scene.exporter.request()
        await asyncio.sleep(0.02)
        await scene.exporter.drain(lambda _: False)
        assert scene.stub.taken == set()
        assert scene.stub.calls[-1] == "give back 1-1"

    play(tmp_path, scenario)


def test_the_drain_waits_for_a_device_that_is_being_withdrawn(tmp_path: Path) -> None:
    class SlowSession(ScriptedSession):
        def end(self) -> None:
            asyncio.get_running_loop().call_later(0.1, self.finish, "ended here")

    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        scene.stub.found["1-1"] = SlowSession(None)
        scene.names()
        scene.exporter.reload(policy())
        scene.exporter.request()
        await scene.narrator.wait_for("withdrawn")
        await scene.exporter.drain(lambda _: False)
        assert scene.stub.taken == set()

    play(tmp_path, scenario)


def test_the_drain_waits_for_a_device_that_is_being_taken(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.stub.delay_s = 0.1
        scene.exporter.request()
        async with asyncio.timeout(5):
            while not scene.exporter._entries:
                await asyncio.sleep(0.005)
        await scene.exporter.drain(lambda _: False)
        assert scene.stub.calls == ["take 1-1", "give back 1-1"]

    play(tmp_path, scenario)


def test_the_drain_of_one_device_waits_for_no_other(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device("1-1"), device("1-2", 3)]
        scene.begin(ALL)
        await scene.exporter.reconcile()
        async with scene.exporter._locks["1-1"]:  # a step that hangs
            drain = asyncio.create_task(scene.exporter.drain(lambda _: False))
            await asyncio.sleep(0.05)
            assert scene.stub.calls[-1] == "give back 1-2"
            assert not drain.done()
        async with asyncio.timeout(5):
            await drain
        assert scene.stub.taken == set()

    play(tmp_path, scenario)


def test_a_replug_between_two_looks(tmp_path: Path) -> None:
    """What is settled late knows an older device than what is wanted."""

    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        async with scene.exporter._locks["1-1"]:
            scene.exporter.request()
            await asyncio.sleep(0.05)
            scene.machine.devices = [device(devnum=3)]
            scene.stub.taken.clear()
            scene.exporter.request()
            await asyncio.sleep(0.05)
        await scene.narrator.wait_for("exported", 2)
        assert "unplugged" in scene.narrator.texts("withdrawn")[0]
        assert "give back 1-1" not in scene.stub.calls

    play(tmp_path, scenario)


@pytest.mark.parametrize("kept", [True, False])
def test_no_session_begins_at_the_end(tmp_path: Path, kept: bool) -> None:
    """Neither one that is asked for then, nor one that was about to begin."""

    async def scenario(scene: Scene) -> None:
        await scene.exporter.reconcile()
        find = scene.machine.surroundings.find_local

        def find_slowly(busid: str) -> LocalDevice | None:
            time.sleep(0.1)
            return find(busid)

        object.__setattr__(scene.machine.surroundings, "find_local", find_slowly)

        def ask() -> Awaitable[tuple[OpStatus, str]]:
            return scene.exporter.open_session("stick", CLIENT, ours, lambda _: b"reply")

        ours, theirs = socket.socketpair()
        with ours, theirs:
            early = asyncio.ensure_future(ask())
            await asyncio.sleep(0.02)
            await scene.exporter.drain(lambda _: kept)
            assert await early == (OpStatus.NA, "serve is ending")
            status, _ = await ask()
            assert status == (OpStatus.NA if kept else OpStatus.NODEV)
            assert scene.stub.sessions == []

    play(tmp_path, scenario)


def test_a_device_that_fails_for_long_is_tried_still(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.stub.failures["take 1-1"] = [DeviceFaultError("it hangs")] * 2
        await scene.exporter.reconcile()
        scene.exporter._entries["1-1"].failures = 5000
        await scene.exporter.reconcile()
        assert scene.narrator.texts("error") == ["stick: it hangs"]
        assert scene.exporter._retry is not None
        delay = scene.exporter._retry.when() - asyncio.get_running_loop().time()
        assert delay <= exporter_module.RETRY_MAX_S

    play(tmp_path, scenario)


def test_another_devices_events_are_no_reason_to_try_again(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.begin(ALL)
        scene.stub.failures["take 1-1"] = [DeviceFaultError("it hangs")] * 2
        await scene.exporter.reconcile()
        scene.machine.devices.append(device("1-2", 3))
        scene.exporter.request("1-2")
        await scene.narrator.wait_for("exported")
        assert scene.stub.calls == ["take 1-1", "take 1-2"]
        scene.exporter.request("1-1")
        await asyncio.sleep(0.05)
        assert scene.stub.calls == ["take 1-1", "take 1-2", "take 1-1"]

    play(tmp_path, scenario)


def test_a_cancelled_look_is_made_again(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        look = scene.machine.surroundings.read_inventory

        def look_slowly() -> tuple[LocalDevice, ...]:
            time.sleep(0.1)
            return look()

        slow = Lookout(replace(scene.machine.surroundings, read_inventory=look_slowly))
        slow.pending.add("1-7")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await slow.look(())
        assert slow.everywhere
        assert slow.pending == {"1-7"}

    play(tmp_path, scenario)


def test_a_device_that_hangs_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "RETRY_MIN_S", 0.01)

    async def scenario(scene: Scene) -> None:
        hanging = [frozenset[str](), frozenset({"1-2"})]
        object.__setattr__(
            scene.machine.surroundings,
            "still_reading",
            lambda: hanging.pop() if hanging else frozenset(),
        )
        scene.begin(ALL)
        await scene.exporter.reconcile()
        scene.machine.devices.append(device("1-2", 3))
        await scene.narrator.wait_for("exported", 2)
        assert scene.names() == ["1-1", "1-2"]

    play(tmp_path, scenario)
