"""Programs of the owner's that run on every change of state.

Each executable in the hooks directory is run, in the order of the names, with GADGETIP_NAME,
GADGETIP_STATE and GADGETIP_REASON in an environment that has nothing else but a PATH. They run as
root, so a file or directory that others, or a group of theirs, can write is left alone, which is
said once. One that is not through in time is killed with all that it has started. For one
attachment they run one after the other; the supervisor never waits for them.

asyncio's own subprocesses start a thread on Python 3.11, and the supervisor forks: a child is
awaited by its pidfd instead.
"""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from gadgetip.supervisor.hook_queue import Change, HookQueue

HOOK_LIMIT_S = 10.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OUTPUT_BYTES = 4096
KILL_LIMIT_S = 1.0

Say = Callable[[str, str], None]
"""Told an attachment's name and a line for its log."""


class Hooks:
    """Runs the hooks of all attachments; needs a running event loop."""

    def __init__(self, directory: str, say: Say, limit_s: float = HOOK_LIMIT_S) -> None:
        self.directory = directory
        self._say = say
        self._limit_s = limit_s
        self._queues: dict[str, HookQueue] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._complained: set[str] = set()

    def changed(self, change: Change) -> None:
        """Tell the hooks that a state changed."""
        if not self.directory or not Path(self.directory).is_dir():
            return
        self._queues.setdefault(change.name, HookQueue()).put(change)
        if change.name not in self._running:
            task = asyncio.get_running_loop().create_task(self._work(change.name))
            self._running[change.name] = task

    async def settle(self, limit_s: float) -> None:
        """Wait until all have run, for so long at most; then what is left is not run."""
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=limit_s)
        left = list(self._running.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _work(self, name: str) -> None:
        queue = self._queues[name]
        try:
            while (change := queue.take()) is not None:
                if dropped := queue.take_dropped():
                    self._say(name, f"hooks are too slow: {dropped} changes were not told to them")
                for program in self._programs(name):
                    await self._run(program, change)
        finally:
            del self._running[name]

    def _programs(self, name: str) -> list[Path]:
        """The executables, in order; those that nobody should trust are said and left out."""
        directory = Path(self.directory)
        try:
            if problem := _problem_of(directory.stat()):
                self._complain(name, f"{directory} {problem}: no hook is run")
                return []
            paths = sorted(directory.iterdir())
        except OSError as error:
            self._complain(name, f"{directory}: {error.strerror}: no hook is run")
            return []
        programs = []
        for path in paths:
            with contextlib.suppress(OSError):  # it is gone by now
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
                    continue
                if problem := _problem_of(status):
                    self._complain(name, f"{path} {problem}: it is not run")
                    continue
                programs.append(path)
        return programs

    async def _run(self, program: Path, change: Change) -> None:
        environment = {
            "PATH": PATH,
            "GADGETIP_NAME": change.name,
            "GADGETIP_STATE": change.state,
            "GADGETIP_REASON": change.reason.replace("\0", ""),
        }
        try:
            process = subprocess.Popen(
                [str(program)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._say(change.name, f"hook {program.name}: {error.strerror}")
            return
        except ValueError as error:  # what it would be told fits no environment
            self._say(change.name, f"hook {program.name} is not run: {error}")
            return
        output = _Output(process)
        try:
            in_time = await _exited(process.pid, self._limit_s)
        finally:
            output.close()
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if not in_time:
            await _exited(process.pid, KILL_LIMIT_S)
            process.poll()
        for line in output.said.decode("utf-8", "replace").splitlines():
            self._say(change.name, f"hook {program.name}: {line}")
        if not in_time:
            self._say(change.name, f"hook {program.name} was killed after {self._limit_s:g} s")
        elif process.returncode:
            self._say(change.name, f"hook {program.name} ended with status {process.returncode}")

    def _complain(self, name: str, text: str) -> None:
        if text not in self._complained:
            self._complained.add(text)
            self._say(name, text)


def _problem_of(status: os.stat_result) -> str | None:
    """Why a file or directory is not to be trusted; None if it is."""
    if status.st_uid not in {0, os.geteuid()}:
        return "is not root's"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by anybody"
    if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
        return "can be written by its group, which is not root's"
    return None


class _Output:
    """What a hook prints: all of it is taken, so that it never waits for us; the first is kept."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self._file = process.stdout
        self.said = b""
        os.set_blocking(self._file.fileno(), False)
        asyncio.get_running_loop().add_reader(self._file.fileno(), self._take)

    def close(self) -> None:
        """Take what is there and listen no more."""
        if not self._file.closed:
            self._take()
        if not self._file.closed:
            self._end()

    def _take(self) -> None:
        try:
            data = os.read(self._file.fileno(), 65536)
        except BlockingIOError:
            return
        self.said = (self.said + data)[:OUTPUT_BYTES]
        if not data:
            self._end()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file.fileno())
        self._file.close()


async def _exited(pid: int, limit_s: float) -> bool:
    """Wait until a child has exited, without collecting it; False if it has not in time."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)
    exited = asyncio.Event()
    loop.add_reader(pidfd, exited.set)
    try:
        async with asyncio.timeout(limit_s):
            await exited.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return True
