"""Many attachments, each in a process of its own, for months.

There is one question, and `settle` answers it: which attachments should have a process now, and on
which controller? It is asked again whenever something happens, compares what is with what should
be, and starts or stops what differs. So a reload, a command, a controller that comes and a process
that dies need no ways of their own.

What does not run although it should has a reason: no controller, a pause after a crash or because
this machine lacks something, or five crashes in a minute (parked).
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from gadgetip.errors import GadgetipError
from gadgetip.strict_toml import nearest
from gadgetip.supervisor.config import Config, ConfiguredAttachment
from gadgetip.supervisor.controllers import Assignment, Controller, Wish, assign
from gadgetip.supervisor.hook_queue import Change
from gadgetip.supervisor.hooks import Hooks
from gadgetip.supervisor.messages import Message, News
from gadgetip.supervisor.profile_choice import wished_udc
from gadgetip.supervisor.record import CRASH_PERIOD_S, CRASHES, Record
from gadgetip.supervisor.reloading import Changes, changes
from gadgetip.supervisor.states import Event, State
from gadgetip.supervisor.supervised import Launch, Supervised, backoff_of
from gadgetip.supervisor.wishes import Wishes

END_LIMIT_S = 21.0
"""A process is killed after 15 s (`attachment_process`), and 5 s are for what it leaves behind."""
FOREIGN_POLL_S = 2.0


class Supervisor:
    """Keeps the attachments of a configuration; needs a running event loop.

    `launch` starts a process that keeps an attachment, `launch_cleaner` one that removes what such
    a process left when it had to be killed; that one is `stopping` from the start.
    `controllers` lists those that are there, given the names of those that are ours; `log` is told
    each line, with the attachment's name.
    """

    def __init__(
        self,
        config: Config,
        wishes: Wishes,
        *,
        launch: Launch,
        launch_cleaner: Launch,
        controllers: Callable[[frozenset[str]], list[Controller]],
        log: Callable[[str, str], None],
    ) -> None:
        self.config = Config(config.settings)
        self._wishes = wishes
        self._launch = launch
        self._launch_cleaner = launch_cleaner
        self._controllers = controllers
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._supervised: dict[str, Supervised] = {}
        self._leaving: list[Supervised] = []
        """Those that are no longer configured, or not like this, and whose process still ends."""
        self._ending = False
        self._look_again: asyncio.TimerHandle | None = None
        self.hooks = Hooks(config.settings.hooks, self._hook_said)
        self.reconfigure(config)

    # --- what people want -------------------------------------------------------------------------

    def reconfigure(self, config: Config) -> Changes:
        """Follow another configuration; what is equal in both and not refused is left alone."""
        changed = changes(self.config, config)
        other_settings = config.settings != self.config.settings
        self.config = config
        self.hooks.directory = config.settings.hooks
        old = self._supervised
        self._supervised = {}
        for each in config.attachments:
            before = old.pop(each.name, None)
            if before is None:
                self._supervised[each.name] = self._make(each)
                continue
            self._supervised[each.name] = before
            if other_settings:
                before.backoff = backoff_of(config.settings)
            if each.name in changed.changed:
                before.record.configured = each
                self._try_anew(before)
            elif before.record.state is State.REFUSED:
                self._try_anew(before)
        for removed in old.values():
            removed.cancel_retry()
            if removed.process is not None:
                removed.process.stop()
                self._leaving.append(removed)
            else:
                removed.record.happen(Event.STOP)
        self.settle()
        return changed

    async def start(self, names: Iterable[str]) -> None:
        """Start these, and have them started after the next restart too."""
        self._want(names, runs=True)
        self.settle()

    async def stop(self, names: Iterable[str]) -> None:
        """Stop these until somebody starts them; returns when they have ended.

        Raises `GadgetipError` for those that did not end in order; they are stopped all the same.
        """
        chosen = self._want(names, runs=False)
        self.settle()
        await self._await_ends(chosen)
        if problems := [f"{each.name}: {each.disorder}" for each in chosen if each.disorder]:
            raise GadgetipError("; ".join(problems))

    async def restart(self, names: Iterable[str]) -> None:
        """End the processes of these and start them again; returns when that was done."""
        chosen = self._want(names, runs=True)
        for each in chosen:
            if each.process is not None:
                each.process.stop()
        await self._await_ends(chosen)
        self.settle()

    async def end(self) -> None:
        """End all of them, and let the hooks have their say."""
        self._ending = True
        if self._look_again is not None:
            self._look_again.cancel()
        everybody = [*self._supervised.values(), *self._leaving]
        self.settle()
        await self._await_ends(everybody)

    def choose(self, names: Iterable[str]) -> list[Supervised]:
        """Those of these names; all where there is none. Raises `GadgetipError` for others."""
        chosen = []
        for name in names:
            if name not in self._supervised:
                known = nearest(name, tuple(self._supervised)) or ": there are none at all"
                raise GadgetipError(f"no attachment is called {name!a}{known}")
            chosen.append(self._supervised[name])
        return chosen or list(self._supervised.values())

    # --- what happens -----------------------------------------------------------------------------

    def controllers_changed(self) -> None:
        """A controller came or went: give them out anew, try again what was refused."""
        for each in self._supervised.values():
            if each.record.state is State.REFUSED:
                self._try_anew(each)
        self.settle()
        self.wake()

    def _try_anew(self, each: Supervised) -> None:
        """What was refused is forgotten with the process; another one is started in its place."""
        each.forgive()
        if each.process is not None:
            each.process.stop()

    def wake(self) -> None:
        """Something came back: whoever waits asks again at once."""
        for each in self._supervised.values():
            if each.process is not None:
                each.process.wake()

    def settle(self) -> None:
        """Start and stop processes, so that what is, is what should be."""
        wanted = [each for each in self._supervised.values() if self._should_run(each)]
        answers = self._assign(wanted)
        for each in self._supervised.values():
            if each not in wanted:
                self._stop(each)
                continue
            answer = answers.get(each.name, Assignment())
            if answer.reason:
                self._do_without(each, answer.reason)
            elif each.process is not None:
                if each.record.udc != answer.udc:
                    each.process.stop()
            elif each.retry is None and not self._must_wait(each, answer.udc):
                self._start(each, answer.udc)

    def _should_run(self, each: Supervised) -> bool:
        runs = self._wishes.runs(each.name, enabled=each.configured.enabled)
        return runs and not each.parked and not self._ending

    def _assign(self, wanted: list[Supervised]) -> dict[str, Assignment]:
        wishes = [
            Wish(each.name, wished_udc(each.configured, each.profile))
            for each in wanted
            if each.configured.to == "gadget"
        ]
        if not wishes:
            return {}
        current = {
            each.name: each.record.udc
            for each in self._supervised.values()
            if each.record.udc is not None
        }
        busy = {each.record.udc for each in self._leaving if each.record.udc is not None}
        controllers = self._controllers(frozenset(current.values()) | busy)
        answers = assign(wishes, controllers, current)
        # That a gadget goes is announced too early: its controller is not free yet.
        in_the_way = any(each.foreign for each in controllers)
        if self._look_again is None and in_the_way and any(a.reason for a in answers.values()):
            self._look_again = self._loop.call_later(FOREIGN_POLL_S, self._look)
        return answers

    def _look(self) -> None:
        self._look_again = None
        self.settle()

    def _must_wait(self, each: Supervised, udc: str | None) -> bool:
        """Whether somebody who is ending has to be gone first."""
        others = [*self._leaving, *(o for o in self._supervised.values() if o is not each)]
        return any(
            other.process is not None
            and (other.name == each.name or (udc is not None and other.record.udc == udc))
            for other in others
        )

    def _start(self, each: Supervised, udc: str | None) -> None:
        each.record.udc = udc
        each.last_news = None
        each.launched = each.configured
        each.disorder = ""
        each.record.happen(Event.LAUNCH)
        try:
            each.process = self._launch(
                each.configured,
                udc,
                self.config.settings,
                on_message=partial(self._heard, each),
                on_line=partial(self._said, each.record),
                on_end=partial(self._ended, each),
            )
        except OSError as error:  # this machine has no memory, or no process ids, left
            each.record.happen(Event.CRASH, f"no process could be made: {error.strerror}")
            self._retry_later(each)

    def _stop(self, each: Supervised) -> None:
        """It should not run; it is stopped when its process has ended."""
        each.cancel_retry()
        if each.process is not None:
            each.process.stop()
            return
        each.record.udc = None
        if not each.parked and each.record.state is not State.STOPPED:
            each.record.happen(Event.STOP, each.disorder)

    def _do_without(self, each: Supervised, reason: str) -> None:
        each.cancel_retry()
        if each.process is not None:
            each.process.stop()
        else:
            each.record.udc = None
        waiting = State.WAITING_FOR_CONTROLLER
        if each.record.state is not waiting or each.record.reason != reason:
            each.record.happen(Event.NO_CONTROLLER, reason)

    def _heard(self, each: Supervised, message: Message) -> None:
        if each.process is None or each.process.stopping:
            return  # how it ends is not news
        each.last_news = message
        each.record.hear(message)
        if message.news in {News.BOUND, News.ATTACHED}:
            each.backoff.reset()
        if message.news is News.LOST and message.fields["crashed"]:
            self._note_crash(each, message.text("reason"))
            if each.parked:
                self.settle()

    def _ended(self, each: Supervised, how: str) -> None:
        process, each.process = each.process, None
        stopping = process is not None and process.stopping
        if stopping and how:
            self._clean_up(each, how)
        elif stopping or each in self._leaving:
            self._stopped(each)
        else:
            self._ended_by_itself(each, how)
            self.settle()

    def _stopped(self, each: Supervised) -> None:
        """Its process has ended as it was told to, and nothing of it is left."""
        each.process = None
        if each in self._leaving:
            self._leaving.remove(each)
            each.record.happen(Event.STOP, each.disorder)
        self.settle()

    def _clean_up(self, each: Supervised, how: str) -> None:
        """Have removed what it left that did not end in order; it is not stopped before that."""
        disorder = f"it did not end in order ({how})"
        self._said(each.record, disorder)
        failures: list[str] = []

        def cleaned(how: str) -> None:
            problem = "; ".join(failures) or how
            removed = f"could not all be removed: {problem}" if problem else "was removed"
            each.disorder = f"{disorder}; what it left {removed}"
            self._stopped(each)

        try:
            each.process = self._launch_cleaner(
                each.launched or each.configured,
                each.record.udc,
                self.config.settings,
                on_message=lambda message: failures.append(message.text("reason")),
                on_line=partial(self._said, each.record),
                on_end=cleaned,
            )
        except OSError as error:  # as in `_start`
            cleaned(f"no process could be made: {error.strerror}")

    def _ended_by_itself(self, each: Supervised, how: str) -> None:
        last = each.last_news
        if not how and last is not None and last.news is News.REFUSED:
            self._retry_later(each)
        elif not how and last is not None and last.news is News.ENDED:
            if last.fields["detached"]:
                reason = "it was detached by hand on this machine; `gadgetip start` attaches it"
                each.record.happen(Event.STOP, reason)
                self._note_wish(each, runs=False)
            else:
                each.record.happen(Event.CRASH, "somebody told its process to end")
                self._retry_later(each)
        elif not self._note_crash(each, how or "its process ended without a word"):
            each.record.happen(Event.CRASH, f"its process ended: {how}" if how else "")
            self._retry_later(each)

    def _note_crash(self, each: Supervised, reason: str) -> bool:
        """Count a crash; returns whether that was one too many, and it is parked."""
        if each.record.crashed(self._loop.time()):
            each.parked = True
            each.record.happen(
                Event.PARK,
                f"{CRASHES} crashes in {CRASH_PERIOD_S:.0f} s, the last: {reason}; "
                "`gadgetip start` tries again",
            )
        return each.parked

    def _retry_later(self, each: Supervised) -> None:
        def retry() -> None:
            each.retry = None
            self.settle()

        each.retry = self._loop.call_later(each.backoff.pause(), retry)

    # --- small things -----------------------------------------------------------------------------

    def _make(self, configured: ConfiguredAttachment) -> Supervised:
        record = Record(configured, self._changed, self._said, time.time)
        return Supervised(record, backoff_of(self.config.settings))

    def _want(self, names: Iterable[str], *, runs: bool) -> list[Supervised]:
        chosen = self.choose(names)
        problems = []
        for each in chosen:
            each.forgive()
            try:
                self._wishes.record(each.name, runs=runs, enabled=each.configured.enabled)
            except GadgetipError as error:
                problems.append(str(error))
        if problems:
            self.settle()
            raise GadgetipError("; ".join(problems))
        return chosen

    def _note_wish(self, each: Supervised, *, runs: bool) -> None:
        try:
            self._wishes.record(each.name, runs=runs, enabled=each.configured.enabled)
        except GadgetipError as error:
            self._said(each.record, str(error))

    async def _await_ends(self, chosen: Iterable[Supervised]) -> None:
        """Wait until the processes of these are gone; raises `GadgetipError` after a bound."""
        chosen = list(chosen)
        deadline = self._loop.time() + END_LIMIT_S
        while waits := {  # once more where something had to be removed
            asyncio.ensure_future(each.process.ended.wait()): each.name
            for each in chosen
            if each.process is not None and each.process.stopping
        }:
            _, late = await asyncio.wait(waits, timeout=max(deadline - self._loop.time(), 0))
            for task in late:
                task.cancel()
            if late:
                names = ", ".join(waits[task] for task in late)
                raise GadgetipError(f"{names}: not ended after {END_LIMIT_S:.0f} s")

    def _changed(self, record: Record) -> None:
        self.hooks.changed(Change(record.configured.name, record.state, record.reason))

    def _said(self, record: Record, text: str) -> None:
        self._note_line(record.configured.name, text)

    def _hook_said(self, name: str, text: str) -> None:
        self._note_line(name, text)

    def _note_line(self, name: str, text: str) -> None:
        each = self._supervised.get(name)
        if each is not None:
            each.log.add(time.time(), text)
        self._log(name, text)
