"""`gadgetip run`: one process, one event loop, from its start to its orderly end.

    lock        one supervisor on a machine: two would take each other's controllers
    read        the configuration, and what people have started and stopped
    keep        the attachments (`supervisor`), woken by controllers and the network
    serve       the control socket, SIGHUP, the watchdog
    end         SIGTERM, SIGINT: replicas are unplugged and devices given back, within a bound

No thread is ever started here and no name is looked up: this process forks, and must never wait for
a server. The attachment processes do both.
"""

import asyncio
import contextlib
import grp
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.service.control import ControlServer
from gadgetip.service.file_lock import FileLockedError, opened_lock, take_lock
from gadgetip.service.systemd import Notifier
from gadgetip.strict_toml import load_document
from gadgetip.supervisor.address import GROUP, SERVICE
from gadgetip.supervisor.attachment_life import keep
from gadgetip.supervisor.attachment_process import AttachmentProcess
from gadgetip.supervisor.config import ConfiguredAttachment, Settings
from gadgetip.supervisor.config_here import config_kind_here
from gadgetip.supervisor.control_requests import ControlRequests
from gadgetip.supervisor.controller_news import Announced, ControllerNews, controllers_now
from gadgetip.supervisor.leash import Leash
from gadgetip.supervisor.leftovers import clean_up
from gadgetip.supervisor.messages import Message
from gadgetip.supervisor.network_news import NetworkNews
from gadgetip.supervisor.reloading import Changes
from gadgetip.supervisor.supervised import Process
from gadgetip.supervisor.supervisor import Supervisor
from gadgetip.supervisor.wishes import FILE_NAME, STATE_DIRECTORY, Wishes

LOCK_NAME = "supervisor.lock"
HOOKS_LIMIT_S = 3.0
STATUS_INTERVAL_S = 10.0
NETWORK_SETTLES_S = 0.2

Log = Callable[[str, str], None]
"""Told each line, with the attachment's name, "" for what is the supervisor's own."""


class Daemon:
    """One run."""

    def __init__(self, file: Path, log: Log, *, notifier: Notifier | None = None) -> None:
        self._file = file
        self._log = log
        self._notifier = notifier or Notifier()
        self._since = time.time()
        self._stop = asyncio.Event()
        self._network_woke: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Supervise until SIGTERM or SIGINT; raises `GadgetipError` if it cannot begin."""
        config = load_document(self._file, config_kind_here())
        with _only_one(SERVICE.path.with_name(LOCK_NAME)), ExitStack() as listening:
            loop = asyncio.get_running_loop()
            # Before controllers are looked at: what changes meanwhile is not missed.
            self._listen(loop, listening)
            self._supervisor = Supervisor(
                config,
                self._wishes(),
                launch=launch,
                launch_cleaner=launch_cleaner,
                controllers=controllers_now,
                log=self._log,
            )
            requests = ControlRequests(self._supervisor, self._about, self._reload)
            async with ControlServer(SERVICE.path, requests.handle, group=_group()):
                self._notifier.ready(self._status())
                watchdog = loop.create_task(self._watchdog())
                try:
                    await self._stop.wait()
                finally:
                    watchdog.cancel()
                    self._notifier.stopping()
                    await self._end()

    def _wishes(self) -> Wishes:
        wishes = Wishes(STATE_DIRECTORY / FILE_NAME)
        try:
            wishes.load()
        except GadgetipError as error:
            self._log("", str(error))
        return wishes

    def _listen(self, loop: asyncio.AbstractEventLoop, listening: ExitStack) -> None:
        """Hear signals, controllers and the network while `listening` lasts."""
        handlers = {
            signal.SIGTERM: self._stop.set,
            signal.SIGINT: self._stop.set,
            signal.SIGHUP: self._hangup,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
            listening.callback(loop.remove_signal_handler, number)
        controllers = ControllerNews()
        loop.add_reader(controllers.fileno(), self._controllers_spoke, controllers)
        listening.callback(loop.remove_reader, controllers.fileno())
        try:
            network = NetworkNews()
        except OSError as error:
            self._log("", f"the kernel announces no network changes here: {error.strerror}")
            return
        listening.callback(network.close)
        loop.add_reader(network.fileno(), self._network_spoke, network)
        listening.callback(loop.remove_reader, network.fileno())

    def _controllers_spoke(self, news: ControllerNews) -> None:
        announced = news.receive()
        if announced is Announced.CONTROLLERS:
            self._supervisor.controllers_changed()
        elif announced is Announced.GADGETS:
            self._supervisor.settle()

    def _network_spoke(self, news: NetworkNews) -> None:
        """Wake once when an address and its routes come together."""

        def wake() -> None:
            self._network_woke = None
            self._supervisor.wake()

        if news.receive() and self._network_woke is None:
            loop = asyncio.get_running_loop()
            self._network_woke = loop.call_later(NETWORK_SETTLES_S, wake)

    def _hangup(self) -> None:
        self._notifier.reloading()
        with contextlib.suppress(GadgetipError):
            self._reload()
        self._notifier.ready(self._status())

    def _reload(self) -> Changes:
        """Read the configuration again; a broken one changes nothing, and is said."""
        try:
            config = load_document(self._file, config_kind_here())
        except GadgetipError as error:
            self._log("", f"nothing is changed: {error}")
            raise
        changed = self._supervisor.reconfigure(config)
        self._log("", f"the configuration was read again; {changed}")
        return changed

    def _about(self) -> dict[str, object]:
        return {"pid": os.getpid(), "since": round(self._since, 3), "config": str(self._file)}

    def _status(self) -> str:
        states = [each.record.state for each in self._supervisor.choose([])]
        counted = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        return ", ".join(counted) or "no attachment is configured"

    async def _watchdog(self) -> None:
        """Tell systemd that this loop turns, twice as often as it asks for, and how things are."""
        while True:
            self._notifier.alive()
            self._notifier.status(self._status())
            await asyncio.sleep(min(self._notifier.watchdog_s / 2 or 1e9, STATUS_INTERVAL_S))

    async def _end(self) -> None:
        try:
            await self._supervisor.end()
        except GadgetipError as error:
            self._log("", str(error))
        await self._supervisor.hooks.settle(HOOKS_LIMIT_S)


def launch(
    configured: ConfiguredAttachment,
    udc: str | None,
    settings: Settings,
    *,
    on_message: Callable[[Message], None],
    on_line: Callable[[str], None],
    on_end: Callable[[str], None],
) -> Process:
    """Fork a process that keeps this attachment."""

    def live(leash: Leash) -> None:
        keep(configured, udc, settings, leash)

    return AttachmentProcess(live, on_message=on_message, on_line=on_line, on_end=on_end)


def launch_cleaner(
    configured: ConfiguredAttachment,
    udc: str | None,
    settings: Settings,  # noqa: ARG001 (every launch is given them)
    *,
    on_message: Callable[[Message], None],
    on_line: Callable[[str], None],
    on_end: Callable[[str], None],
) -> Process:
    """Fork a process that removes what a killed one left; it ends soon, whatever it is told."""

    def live(leash: Leash) -> None:
        clean_up(configured, udc, leash)

    process = AttachmentProcess(live, on_message=on_message, on_line=on_line, on_end=on_end)
    process.stopping = True  # to tell it to end would end the cleaning
    return process


def _group() -> int | None:
    with contextlib.suppress(KeyError):
        return grp.getgrnam(GROUP).gr_gid
    return None


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the supervisor's lock; raises `PrerequisiteError` that names whoever has it."""
    with ExitStack() as held:
        try:
            file = held.enter_context(opened_lock(path))
        except OSError as error:
            raise PrerequisiteError(
                f"cannot write {path}: {error.strerror}; run it as root"
            ) from None
        try:
            take_lock(file)
        except FileLockedError as error:
            raise PrerequisiteError(
                f"another gadgetip run supervises this machine (process {error.holder or '?'}): "
                "stop that one first"
            ) from None
        yield
