import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.server import admission
from gadgetip.server import daemon as daemon_module
from gadgetip.server import exporter as exporter_module
from gadgetip.server.binding_marks import binding_for
from gadgetip.server.bindings import Bindings
from gadgetip.server.daemon import Daemon, ServeOptions
from gadgetip.server.listeners import Peer
from gadgetip.server.stub import DeviceFaultError
from gadgetip.server.surroundings import SOCKET_NAME
from gadgetip.service.asking import Service, ask
from gadgetip.service.systemd import Notifier
from gadgetip.wire import OpStatus, RepDevlist, ReqDevlist, ReqImport, build
from tests.unit.server.scripted import (
    STICK,
    Machine,
    Recorder,
    ScriptedHotplug,
    ScriptedSession,
    device,
    policy,
    receive_all,
)

LIST = build(ReqDevlist())


class Scene:
    """A daemon on a port of its own, in this process."""

    def __init__(self, directory: Path, options: ServeOptions | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.machine = Machine(directory, device())
        self.stub = self.machine.stub
        self.narrator = Recorder()
        self.told: list[str] = []
        self.daemon = Daemon(
            options or ServeOptions(listen=("127.0.0.1",), port=self.port),
            self.narrator,
            surroundings=self.machine.surroundings,
            stubs=lambda choice: self.stub,
            notifier=Notifier({}),
        )
        self.socket = directory / SOCKET_NAME

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.daemon.run())
        await self.narrator.wait_for("listening")
        try:
            yield task
            if not task.done():
                os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def connect(self) -> socket.socket:
        stream = socket.socket()
        stream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stream, ("127.0.0.1", self.port))
        return stream

    async def ask(self, request: bytes) -> bytes:
        with await self.connect() as stream:
            await asyncio.get_running_loop().sock_sendall(stream, request)
            return await receive_all(stream)

    async def control(self, command: str) -> object:
        service = Service(self.socket, "gadgetip serve", "gadgetip-serve")
        return await asyncio.to_thread(ask, service, {"command": command}, 5.0)


def test_from_start_to_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running():
            await scene.narrator.wait_for("exported")
            assert len(await scene.ask(LIST)) == 12 + 312 + 4
            scene.machine.devices.append(device("1-2", 3, idProduct=1))
            scene.machine.policy = policy(STICK + '[[export]]\nname="b"\nmatch={id="0781:0001"}\n')
            os.kill(os.getpid(), signal.SIGHUP)
            await scene.narrator.wait_for("exported", 2)
            state = await scene.control("state")
            assert isinstance(state, dict)
            assert state["stub"] == "kernel"
            assert [e["published_as"] for e in state["exports"]] == ["stick", "1-2"]
            scene.machine.devices.pop()
            scene.machine.hotplug.happen()
            await scene.narrator.wait_for("withdrawn")
        assert scene.stub.calls[-1] == "give back 1-1"
        assert scene.stub.closed
        assert not scene.socket.exists()
        with pytest.raises(ConnectionError):
            await scene.connect()

    asyncio.run(scenario())


def test_a_wrong_policy_at_sighup_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running():
            await scene.narrator.wait_for("exported")
            scene.machine.policy = GadgetipError("policy.toml: line 3: unknown key")
            os.kill(os.getpid(), signal.SIGHUP)
            assert "nothing is changed: policy.toml" in await scene.narrator.wait_for("error")
            assert len(await scene.ask(LIST)) > 12
            answer = await scene.control("reconcile")
            assert isinstance(answer, dict)
            assert "line 3" in answer["policy_fault"]
            assert len(await scene.ask(LIST)) > 12

    asyncio.run(scenario())


def test_marks_count_although_the_policy_is_broken(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        scene.machine.policy = policy()
        mark = binding_for(scene.machine.devices[0], scene.machine.devices)
        scene.machine.bindings = Bindings((mark,))
        async with scene.running():
            await scene.narrator.wait_for("exported")
            scene.machine.policy = GadgetipError("policy.toml: line 3: unknown key")
            scene.machine.bindings = Bindings()
            answer = await scene.control("reconcile")
            assert isinstance(answer, dict)
            assert answer["exports"] == []
            assert "line 3" in answer["policy_fault"]
            assert scene.stub.calls[-1] == "give back 1-1"

    asyncio.run(scenario())


def test_silent_connections_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_TALKING", 4)

    async def scenario() -> None:
        scene = Scene(tmp_path)
        scene.machine.policy = policy("[serve]\nmax_new_connections_per_s = 1000\n" + STICK)
        async with scene.running():
            await scene.narrator.wait_for("exported")
            silent = [await scene.connect() for _ in range(4)]
            await asyncio.sleep(0.1)
            assert scene.daemon._limits.talking == 4
            ours, theirs = socket.socketpair()
            for stream in (ours, theirs):
                stream.setblocking(False)
            loop = asyncio.get_running_loop()
            with theirs:
                scene.daemon._welcome(ours, Peer("192.0.2.7", 1))
                await loop.sock_sendall(theirs, LIST)
                assert len(await receive_all(theirs)) > 12
            assert await receive_all(silent[0]) == b""  # the oldest
            assert [t for t in scene.narrator.texts("refused") if "others wait" in t]
            assert scene.daemon._limits.talking <= 4
            assert len(scene.daemon._silent) == 3
            for stream in silent:
                stream.close()

    asyncio.run(scenario())


def test_an_address_that_is_not_here_yet_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        scene = Scene(tmp_path, ServeOptions(listen=("192.0.2.1",), port=port))
        async with scene.running():
            notes = scene.narrator.texts("note")
            assert any("no address of this machine yet" in note for note in notes)

    asyncio.run(scenario())


def test_nobody_else_can_open_the_lock(tmp_path: Path) -> None:
    path = tmp_path / daemon_module.LOCK_NAME
    path.touch(0o644)
    with daemon_module._only_one(tmp_path):
        assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    with daemon_module._only_one(tmp_path):
        assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrerequisiteError), daemon_module._only_one(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_bind_asks_to_reconcile_and_gets_the_outcome(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        scene.machine.policy = policy()
        async with scene.running():
            scene.machine.policy = policy(STICK)
            answer = await scene.control("reconcile")
            assert isinstance(answer, dict)
            assert [e["busid"] for e in answer["exports"]] == ["1-1"]
            assert scene.stub.calls == ["take 1-1"]
            with pytest.raises(GadgetipError, match="no command"):
                await scene.control("dance")

    asyncio.run(scenario())


def test_the_end_settles_sessions_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running() as task:
            await scene.narrator.wait_for("exported")
            with await scene.connect() as stream:
                await asyncio.get_running_loop().sock_sendall(stream, build(ReqImport("stick")))
                await scene.narrator.wait_for("import")
                os.kill(os.getpid(), signal.SIGTERM)
                await task
                assert scene.stub.sessions[0].asked_to_end
                names = [name for name, _, _ in scene.narrator.events]
                assert names[-1] == "session ended"
                assert scene.stub.calls[-1] == "give back 1-1"

    asyncio.run(scenario())


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    class Stubborn(ScriptedSession):
        def end(self) -> None:
            self.asked_to_end = True

    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running() as task:
            await scene.narrator.wait_for("exported")
            session = scene.stub.found["1-1"] = Stubborn(None)
            await scene.ask(LIST)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                while not session.asked_to_end:
                    await asyncio.sleep(0.01)
            assert not task.done()
            os.kill(os.getpid(), signal.SIGINT)
            async with asyncio.timeout(1):
                await task
        assert "a second signal" in scene.narrator.texts("error")[0]

    asyncio.run(scenario())


def test_an_end_that_hangs_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "DRAIN_LIMIT_S", 0.2)

    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running() as task:
            await scene.narrator.wait_for("exported")

            async def hang(device: object) -> None:
                await asyncio.sleep(100)

            monkeypatch.setattr(scene.stub, "give_back", hang)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(3):
                await task

    asyncio.run(scenario())


def test_one_serve_on_a_machine(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running():
            second = Scene(tmp_path)
            with pytest.raises(PrerequisiteError, match=f"process {os.getpid()}"):
                await second.daemon.run()
            assert len(await scene.ask(LIST)) >= 12

    asyncio.run(scenario())


def test_200_connections_at_once_harm_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        scene.machine.policy = policy("[serve]\nmax_new_connections_per_s = 5\n" + STICK)
        async with scene.running():
            await scene.narrator.wait_for("exported")
            session = await scene.connect()
            await asyncio.get_running_loop().sock_sendall(session, build(ReqImport("stick")))
            await scene.narrator.wait_for("import")
            streams = await asyncio.gather(*(scene.connect() for _ in range(200)))
            await asyncio.sleep(1.2)
            assert scene.daemon._limits.talking <= 16
            for stream in streams:
                stream.close()
            # The token bucket has filled a little, and whoever comes now is served.
            assert await scene.ask(LIST) == build(RepDevlist(OpStatus.OK))
            assert scene.stub.sessions[0].stream is not None
            assert not scene.stub.sessions[0].over.done()
            lines = [t for t in scene.narrator.texts("refused") if "new connections a second" in t]
            assert 1 <= len(lines) <= 3
            session.close()

    asyncio.run(scenario())


def test_a_public_address_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        scene = Scene(tmp_path, ServeOptions(listen=("0.0.0.0",), port=port))
        async with scene.running():
            (note,) = scene.narrator.texts("note")
            assert "neither encrypted nor authenticated" in note
            assert "\n" not in note

    asyncio.run(scenario())


def test_systemd_hears_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(tmp_path / "notify"))
            systemd.setblocking(False)
            heard: list[str] = []
            asyncio.get_running_loop().add_reader(
                systemd, lambda: heard.append(systemd.recv(1000).decode())
            )
            scene = Scene(tmp_path)
            scene.daemon._notifier = Notifier(
                {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
            )
            async with scene.running():
                await asyncio.sleep(0.5)
                os.kill(os.getpid(), signal.SIGHUP)
                await scene.narrator.wait_for("reloaded")
            await asyncio.sleep(0.1)
            asyncio.get_running_loop().remove_reader(systemd)
        assert heard[0].startswith("READY=1")
        assert heard.count("WATCHDOG=1") >= 4
        reload = next(i for i, text in enumerate(heard) if text.startswith("RELOADING=1"))
        assert heard[reload + 1].startswith("READY=1")
        assert "STOPPING=1" in heard[reload:]

    asyncio.run(scenario())


def test_what_fails_in_the_background_is_no_reason_to_keep_devices(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)

        async def fail() -> None:
            await scene.narrator.wait_for("exported")
            raise RuntimeError("a bug")

        scene.daemon._watchdog = fail  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="a bug"):
            await scene.daemon.run()
        assert scene.stub.calls[-1] == "give back 1-1"

    asyncio.run(scenario())


def test_hotplug_that_fails_is_followed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "FOLLOW_AGAIN_S", 0.05)

    class Failing(ScriptedHotplug):
        failures = 1

        async def __aiter__(self) -> AsyncIterator[object]:
            async for event in super().__aiter__():
                if self.failures:
                    self.failures -= 1
                    raise OSError(errno.ENOMEM, "Cannot allocate memory")
                yield event

    async def scenario() -> None:
        scene = Scene(tmp_path)
        scene.machine.hotplug = Failing()
        async with scene.running():
            await scene.narrator.wait_for("exported")
            scene.machine.devices = []
            scene.machine.hotplug.happen()
            assert "Cannot allocate" in await scene.narrator.wait_for("error")
            await scene.narrator.wait_for("withdrawn")  # looked at again, whatever was lost
            scene.machine.devices = [device(devnum=3)]
            scene.machine.hotplug.happen()
            await scene.narrator.wait_for("exported", 2)

    asyncio.run(scenario())


def test_a_start_at_which_devices_cannot_be_read_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "LOOK_AGAIN_S", 0.05)

    async def scenario() -> None:
        scene = Scene(tmp_path)
        failures: list[GadgetipError] = [DeviceFaultError("the list of devices hangs")]
        read = scene.machine.surroundings.read_inventory

        def failing() -> object:
            if failures:
                raise failures.pop()
            return read()

        object.__setattr__(scene.machine.surroundings, "read_inventory", failing)
        async with scene.running():
            await scene.narrator.wait_for("exported")

    asyncio.run(scenario())


def test_a_reconcile_that_takes_too_long_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "CONTROL_LIMIT_S", 0.05)

    async def scenario() -> None:
        scene = Scene(tmp_path)
        async with scene.running():
            await scene.narrator.wait_for("exported")
            read = scene.machine.surroundings.read_inventory

            def slowly() -> object:
                time.sleep(0.3)
                return read()

            object.__setattr__(scene.machine.surroundings, "read_inventory", slowly)
            scene.machine.devices = []
            with pytest.raises(GadgetipError, match="not everything is settled"):
                await scene.control("reconcile")
            await scene.narrator.wait_for("withdrawn")

    asyncio.run(scenario())
