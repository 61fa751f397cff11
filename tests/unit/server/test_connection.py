import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.server import connection
from gadgetip.server.connection import BURST_LINES, Complaints, answer_client
from gadgetip.server.exporter import Exporter
from gadgetip.server.listeners import Peer
from gadgetip.server.stub import DeviceFaultError, DeviceInUseError
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    build,
)
from tests.unit.server.scripted import (
    STICK,
    Machine,
    Recorder,
    device,
    policy,
    receive_all,
)

CLIENT = Peer("192.0.2.7", 40000)
LIST = build(ReqDevlist())
IMPORT = build(ReqImport("stick"))


class Scene:
    """A server side with one stick, and connections to it."""

    def __init__(self, directory: Path) -> None:
        self.machine = Machine(directory, device())
        self.stub = self.machine.stub
        self.narrator = Recorder()
        self.complaints = Complaints(self.narrator)
        self.exporter = Exporter(self.stub, policy(STICK), self.machine.surroundings, self.narrator)

    async def connect(self, client: Peer = CLIENT) -> tuple[socket.socket, asyncio.Task[None]]:
        ours, theirs = socket.socketpair()
        for stream in (ours, theirs):
            stream.setblocking(False)
        task = asyncio.create_task(answer_client(ours, client, self.exporter, self.complaints))
        return theirs, task

    async def ask(self, request: bytes, client: Peer = CLIENT) -> bytes:
        """Send it all, and give all that comes until the end."""
        stream, task = await self.connect(client)
        with stream:
            await asyncio.get_running_loop().sock_sendall(stream, request)
            stream.shutdown(socket.SHUT_WR)
            answer = await receive_all(stream)
            await task
            return answer


Scenario = Callable[[Scene], Awaitable[None]]


def play(directory: Path, scenario: Scenario) -> None:
    async def run() -> None:
        scene = Scene(directory)
        await scene.exporter.reconcile()
        await scenario(scene)

    asyncio.run(run())


def read_reply(request: ReqDevlist | ReqImport, answer: bytes) -> object:
    client = ClientConnection()
    client.send(request)
    client.receive_data(answer)
    event = client.next_event()
    assert event is not NEED_DATA
    return event


def status_of(answer: bytes) -> OpStatus:
    assert answer[:2] == b"\x01\x11"
    return OpStatus(int.from_bytes(answer[4:8]))


def test_a_list_and_then_the_end(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        reply = read_reply(ReqDevlist(), await scene.ask(LIST))
        assert isinstance(reply, RepDevlist)
        (record,) = reply.devices
        assert (record.busid, record.idVendor) == ("stick", 0x0781)

    play(tmp_path, scenario)


def test_an_import_echoes_the_name_and_leaves_the_rest_in_the_stream(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        stream, task = await scene.connect()
        loop = asyncio.get_running_loop()
        with stream:
            await loop.sock_sendall(stream, IMPORT + b"the first URBs")
            await task
            reply = read_reply(ReqImport("stick"), await loop.sock_recv(stream, 4096))
            assert isinstance(reply, RepImport)
            assert reply.device is not None
            assert reply.device.busid == "stick"
            (session,) = scene.stub.sessions
            assert session.stream is not None
            assert session.stream.recv(100) == b"the first URBs"
            # In use: not in the list any more, and busy.
            assert read_reply(ReqDevlist(), await scene.ask(LIST)) == RepDevlist(OpStatus.OK)
            assert status_of(await scene.ask(IMPORT)) is OpStatus.DEV_BUSY
            session.finish()
            await scene.narrator.wait_for("session ended")
            assert len(await scene.ask(LIST)) > 12

    play(tmp_path, scenario)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(1, 39), max_size=10), request=st.sampled_from([LIST, IMPORT]))
def test_however_the_request_is_cut(tmp_path: Path, cuts: list[int], request: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        stream, task = await scene.connect()
        loop = asyncio.get_running_loop()
        with stream:
            edges = sorted({0, *(cut for cut in cuts if cut < len(request)), len(request)})
            for start, end in itertools.pairwise(edges):
                await loop.sock_sendall(stream, request[start:end])
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                assert status_of(await loop.sock_recv(stream, 4096)) is OpStatus.OK
            stream.shutdown(socket.SHUT_WR)
            await task
        for session in scene.stub.sessions:
            session.finish()

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "busid", ["1-1", "../../etc/passwd", "stick/../stick", "", "STICK", "x" * 31, "\x7f" * 3]
)
def test_what_is_not_exported_gets_one_and_the_same_answer(tmp_path: Path, busid: str) -> None:
    async def scenario(scene: Scene) -> None:
        raw = IMPORT[:8] + busid.encode().ljust(32, b"\0")
        assert await scene.ask(raw) == build(RepImport(OpStatus.NODEV))
        assert scene.stub.sessions == []

    play(tmp_path, scenario)


def test_a_busid_without_an_end_is_one_that_is_not_exported(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.ask(IMPORT[:8] + b"x" * 32) == build(RepImport(OpStatus.NODEV))

    play(tmp_path, scenario)


def test_a_client_that_may_not_have_it_does_not_learn_of_it(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.exporter.reload(policy(STICK + 'clients = ["198.51.100.0/24"]'))
        await scene.exporter.reconcile()
        assert await scene.ask(LIST) == build(RepDevlist(OpStatus.OK))
        assert await scene.ask(IMPORT) == build(RepImport(OpStatus.NODEV))
        allowed = Peer("198.51.100.1", 1)
        assert len(await scene.ask(LIST, allowed)) > 12

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"\x01\x06" + LIST[2:], build(RepDevlist(OpStatus.ERROR))),
        (b"\x01\x06" + IMPORT[2:], build(RepImport(OpStatus.ERROR))),
        (IMPORT[:4] + b"\0\0\0\1" + IMPORT[8:], build(RepImport(OpStatus.ERROR))),
        (b"\x01\x11\x80\x02" + bytes(4), b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (IMPORT[:20], build(RepImport(OpStatus.NODEV))),
        (IMPORT[:5], b""),
        (b"", b""),
    ],
)
def test_what_cannot_be_read_is_answered_where_it_can_be(
    tmp_path: Path, request_bytes: bytes, answer: bytes
) -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.ask(request_bytes) == answer
        assert len(scene.narrator.texts("refused")) == (1 if request_bytes else 0)

    play(tmp_path, scenario)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_nonsense_harms_nothing(tmp_path: Path, nonsense: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.ask(nonsense)
        for session in scene.stub.sessions:
            session.finish()

    play(tmp_path, scenario)


def test_one_byte_at_a_time_is_closed_when_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_LIMIT_S", 0.3)

    async def scenario(scene: Scene) -> None:
        stream, task = await scene.connect()
        with stream:
            began = asyncio.get_running_loop().time()
            for byte in IMPORT:
                try:
                    stream.send(bytes((byte,)))
                except OSError:
                    break
                await asyncio.sleep(0.05)
            await task
            assert asyncio.get_running_loop().time() - began < 1.5
        assert "no whole request" in await scene.narrator.wait_for("refused")

    play(tmp_path, scenario)


def test_a_client_that_does_not_read_its_list_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_LIMIT_S", 0.3)

    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device(f"1-{port}", port + 2) for port in range(1, 100)]
        scene.exporter.reload(policy('[[export]]\nname = "all"\nmatch = {id = "0781:*"}'))
        await scene.exporter.reconcile()
        ours, theirs = socket.socketpair()
        for stream in (ours, theirs):
            stream.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with theirs:
            theirs.send(LIST)
            await answer_client(ours, CLIENT, scene.exporter, scene.complaints)
        assert "nobody to read the answer" in await scene.narrator.wait_for("refused")
        assert ours.fileno() == -1

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (DeviceInUseError("somebody was quicker"), OpStatus.DEV_BUSY),
        (DeviceFaultError("it hangs"), OpStatus.DEV_ERR),
    ],
)
def test_a_stub_that_fails_to_start(tmp_path: Path, failure: Exception, status: OpStatus) -> None:
    async def scenario(scene: Scene) -> None:
        scene.stub.failures["start 1-1"] = [failure]
        assert status_of(await scene.ask(IMPORT)) is status
        assert str(failure) in await scene.narrator.wait_for("refused")
        await asyncio.sleep(0.1)
        stream, task = await scene.connect()
        with stream:
            await asyncio.get_running_loop().sock_sendall(stream, IMPORT)
            await task
        assert len(scene.stub.sessions) == 1  # and the next client gets it

    play(tmp_path, scenario)


def test_limits_on_sessions(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.machine.devices = [device(f"1-{port}", port + 2) for port in range(1, 5)]
        scene.exporter.reload(
            policy(
                "[serve]\nmax_sessions = 3\nmax_sessions_per_client = 2\n"
                '[[export]]\nname = "all"\nmatch = {id = "0781:*"}'
            )
        )
        await scene.exporter.reconcile()
        statuses = []
        for port, client in ((1, CLIENT), (2, CLIENT), (3, CLIENT), (3, Peer("192.0.2.8", 1))):
            stream, task = await scene.connect(client)
            with stream:
                await asyncio.get_running_loop().sock_sendall(stream, build(ReqImport(f"1-{port}")))
                statuses.append(status_of(await asyncio.get_running_loop().sock_recv(stream, 4096)))
                stream.shutdown(socket.SHUT_WR)
                await task
        answer = await scene.ask(build(ReqImport("1-4")), Peer("192.0.2.9", 1))
        assert status_of(answer) is OpStatus.NA
        assert statuses == [OpStatus.OK, OpStatus.OK, OpStatus.NA, OpStatus.OK]
        texts = scene.narrator.texts("refused")
        assert "max_sessions_per_client is 2" in texts[0]
        assert "max_sessions is 3" in texts[1]

    play(tmp_path, scenario)


def test_refused_imports_are_told_until_they_are_a_flood(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        unknown = build(ReqImport("nope"))
        for _ in range(BURST_LINES + 19):
            assert status_of(await scene.ask(unknown)) is OpStatus.NODEV
        told = len(scene.narrator.texts("refused"))
        assert BURST_LINES <= told < BURST_LINES + 10
        await scene.ask(unknown, Peer("192.0.2.8", 1))
        assert len(scene.narrator.texts("refused")) == told + 1
        await asyncio.sleep(1.05)
        await scene.ask(unknown)
        assert scene.narrator.texts("refused")[-1].endswith(f"(and {BURST_LINES + 19 - told} more)")

    play(tmp_path, scenario)
