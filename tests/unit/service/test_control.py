import asyncio
import json
import os
import signal
import socket
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.errors import GadgetipError
from gadgetip.service.asking import Service, ask
from gadgetip.service.control import MAX_CONNECTIONS, ControlServer, Request


def service(path: Path) -> Service:
    return Service(path, "gadgetip serve", "gadgetip-serve")


async def handle(request: Request) -> dict[str, object]:
    command = request["command"]
    if command == "fail":
        raise GadgetipError("the policy is wrong")
    return {"command": command}


async def asked(path: Path, request: dict[str, object]) -> object:
    return await asyncio.to_thread(ask, service(path), request, 5.0)


def test_asked_and_answered_by_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"

    async def scenario() -> None:
        path.write_text("left by a daemon that was killed")
        async with ControlServer(path, handle):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await asked(path, {"command": "state"}) == {"ok": True, "command": "state"}
            with pytest.raises(GadgetipError, match="the policy is wrong"):
                await asked(path, {"command": "fail"})
            with pytest.raises(GadgetipError, match="a JSON object with a command"):
                await asked(path, {"comand": "state"})
        assert not path.exists()
        assert await asked(path, {"command": "state"}) is None

    asyncio.run(scenario())


def test_nobody_listens_at_a_stale_socket(tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        assert ask(service(path), {"command": "state"}) is None


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_whatever_is_asked(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "serve.sock"

    async def scenario() -> None:
        async with ControlServer(path, handle):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(line.replace(b"\n", b" ") + b"\n")
            async with asyncio.timeout(5):
                answer = json.loads(await reader.readline())
            assert isinstance(answer["ok"], bool)
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", [b"", b"{", b"[]\n", b'{"ok": 1}\n', b"\xff\n", b"[" * 9999])
def test_answers_that_make_no_sense(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "serve.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def speak() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(1000)
                stream.sendall(answer)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(GadgetipError):
            ask(service(path), {"command": "state"}, 5.0)
        thread.join(5)


def test_one_that_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(GadgetipError, match=r"does not answer within"):
            ask(service(path), {"command": "state"}, 0.1)


def test_one_user_has_so_many_connections(tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"

    async def scenario() -> None:
        async with ControlServer(path, handle):
            held = [await asyncio.open_unix_connection(str(path)) for _ in range(MAX_CONNECTIONS)]
            for _ in range(3):
                with pytest.raises(GadgetipError, match="too many ask at once: try again"):
                    await asked(path, {"command": "state"})
            for reader, writer in held:
                writer.write(b'{"command": "state"}\n')
                assert json.loads(await reader.readline())["ok"]
                writer.close()
            assert await asked(path, {"command": "state"}) == {"ok": True, "command": "state"}

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_one_in_the_group_does_not_keep_root_out(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    path = tmp_path / "supervisor.sock"
    group = 61001

    async def scenario() -> None:
        async with ControlServer(path, handle, group=group):
            told, tell = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.setgroups([group])
                    os.setuid(65534)
                    held = [socket.socket(socket.AF_UNIX) for _ in range(2 * MAX_CONNECTIONS)]
                    for each in held:
                        each.connect(str(path))
                    os.write(tell, b"x")
                    signal.pause()
                finally:
                    os._exit(2)
            try:
                assert await asyncio.to_thread(os.read, told, 1) == b"x"
                for _ in range(MAX_CONNECTIONS):
                    answer = await asked(path, {"command": "state"})
                    assert answer == {"ok": True, "command": "state"}
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(told)
                os.close(tell)

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_others_may_not_ask(tmp_path: Path) -> None:
    """The mode keeps them out; this is the second lock, for a directory that was opened up."""
    path = tmp_path / "serve.sock"

    async def scenario() -> None:
        async with ControlServer(path, handle):
            path.chmod(0o666)
            for directory in (tmp_path, *list(tmp_path.parents)[:2]):
                directory.chmod(0o755)
            other = await asyncio.create_subprocess_exec(
                "setpriv",
                *("--reuid", "65534", "--clear-groups", "python3", "-c"),
                "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                's.sendall(b\'{"command": "state"}\\n\'); print(s.recv(100))',
                str(path),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await other.communicate()
            assert b"state" not in out, (out, err)

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_group_may_ask_and_nobody_else(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    path = tmp_path / "supervisor.sock"
    group, other, nobody = 61001, 61002, 65534

    def connect_as(groups: list[int]) -> bool:
        """Whether somebody in these groups is answered."""
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(groups)
                os.setgid(nobody)
                os.setuid(nobody)
                answer = ask(service(path), {"command": "state"}, 5.0)
                os._exit(0 if answer is not None else 1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    async def scenario() -> None:
        async with ControlServer(path, handle, group=group):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert (path.stat().st_uid, path.stat().st_gid) == (0, group)
            assert await asyncio.to_thread(connect_as, [group])
            assert not await asyncio.to_thread(connect_as, [other])
        async with ControlServer(path, handle):
            assert not await asyncio.to_thread(connect_as, [group])

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_was_left_open_to_everybody(tmp_path: Path) -> None:
    """Without a group it counts who asks, whatever the file's mode has become."""
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    path = tmp_path / "serve.sock"

    def ask_as_nobody() -> int:
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                ask(service(path), {"command": "state"}, 5.0)
                os._exit(0)
            except GadgetipError:
                os._exit(1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    async def scenario() -> None:
        async with ControlServer(path, handle):
            path.chmod(0o666)
            assert await asyncio.to_thread(ask_as_nobody) == 1

    asyncio.run(scenario())
