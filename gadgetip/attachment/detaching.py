"""What is attached to this machine, and taking it off again.

Three things can be detached: a device on a vhci port, whoever put it there; an attachment that
stays in the foreground of some terminal; and one of those that has lost its device and waits for
it. A foreground one is ended by telling its process, which takes the device off by itself; taking
the device off behind its back would only make it come back.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gadgetip.attachment.running import Running, list_running, stop
from gadgetip.errors import GadgetipError, UsageError
from gadgetip.vhci import (
    NO_DEVICE,
    PortStatus,
    Remembered,
    VhciPort,
    detach_port,
    forget,
    list_ports,
    port_numbered,
    remembered_on,
    still_shows,
    wait_until_free,
)

PORT_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Attached:
    """One thing that can be detached: a port, a process that keeps something attached, or both."""

    port: VhciPort | None = None
    remembered: Remembered | None = None
    running: Running | None = None

    @property
    def names(self) -> frozenset[str]:
        """The bus ids (here and at the server) and the controller that a person may call it by."""
        names = {
            self.port.local_busid if self.port else None,
            self.remembered.busid if self.remembered else None,
            self.running.busid if self.running else None,
            self.running.udc if self.running else None,
            # One that waits has nothing but what it waits for.
            self.running.device if self.running and not self.running.busid else None,
        }
        return frozenset(name for name in names if name and name != NO_DEVICE)

    def __str__(self) -> str:
        run = self.running
        if self.port is not None:
            known = self.remembered
            origin = f"{known.busid} of {known.server}" if known else "a device of unknown origin"
            here = self.port.local_busid
            local = f", {here} here" if here != NO_DEVICE else ""
            kept = f", kept by {_keeper(run)}" if run else ""
            return f"{origin} on port {self.port.number}{local}{kept}"
        assert run is not None
        if run.busid is not None and run.udc is not None:
            return f"{run.busid} of {run.server} on {run.udc}, kept by {_keeper(run)}"
        return f"{run.device} of {run.server}, awaited by {_keeper(run)}"


def what_is_attached() -> list[Attached]:
    """Everything that is attached to this machine, or is being kept so."""
    return join(
        [(port, remembered_on(port)) for port in list_ports() if not port.is_free], list_running()
    )


def join(
    ports: Iterable[tuple[VhciPort, Remembered | None]], running: Sequence[Running]
) -> list[Attached]:
    """Bring ports that are taken and processes that keep them together."""
    keepers = {each.port: each for each in running if each.port is not None}
    attached = [
        Attached(port, remembered, keepers.pop(port.number, None)) for port, remembered in ports
    ]
    there = {each.running.pid for each in attached if each.running is not None}
    return attached + [Attached(running=each) for each in running if each.pid not in there]


def choose(attached: Sequence[Attached], text: str) -> Attached | None:
    """The one that a person means: a port's number, a bus id here or at the server, a controller.

    None for a port on which nothing is. Raises `UsageError` that lists the candidates where several
    are meant, `GadgetipError` that lists what there is where none is, or that a number
    is no port's.
    """
    if text.isascii() and text.isdecimal():
        if len(text) > PORT_DIGITS:
            shown = text if len(text) <= 2 * PORT_DIGITS else f"{text[:PORT_DIGITS]}..."
            raise GadgetipError(f"there is no port {shown} (`gadgetip ports` lists them)")
        number = int(text)
        return next((a for a in attached if a.port and a.port.number == number), None)
    meant = [each for each in attached if text in each.names]
    if len(meant) == 1:
        return meant[0]
    if meant:
        listed = "; ".join(map(str, meant))
        raise UsageError(f"{text} is {len(meant)} attached devices: {listed}. Name one by its port")
    if not attached:
        raise GadgetipError(f"{text} is not attached here: nothing is")
    raise GadgetipError(f"{text} is not attached here; attached: {'; '.join(map(str, attached))}")


def detach(attached: Attached) -> None:
    """Take it off this machine and wait until it is gone.

    A port may have become somebody else's since it was looked at: what is on it is detached only if
    it is still what was seen. Raises `GadgetipError`, also for one that the supervisor would attach
    again.
    """
    if attached.running is not None and attached.running.supervised is not None:
        name = attached.running.supervised
        raise GadgetipError(f"{attached}: end it with `gadgetip stop {name}`")
    seen = attached.port
    ended = False
    if attached.running is not None:
        try:
            stop(attached.running)
            ended = True
        except GadgetipError:
            if seen is None:
                raise
        if ended and seen is not None:
            with contextlib.suppress(GadgetipError):
                wait_until_free(seen.number, 1.0)
    if seen is None:
        return
    now = port_numbered(seen.number)
    if now is not None and now.is_free:
        return
    if now is not None and not still_shows(now, _devid(attached), attached.remembered):
        if ended:  # it took the device off, and somebody else has the port already
            return
        raise GadgetipError(
            f"port {seen.number} does not show what it did a moment ago, and was left alone: look "
            "at `gadgetip ports` again"
        )
    # As the stock tool does: first the record, by which a process that keeps the port knows.
    forget(seen.number, attached.remembered)
    detach_port(seen.number)


def _keeper(running: Running) -> str:
    if running.supervised is not None:
        return f"the supervisor as {running.supervised}"
    return f"process {running.pid}"


def _devid(attached: Attached) -> int | None:
    """The device id that was seen; a port shows it only while it is used."""
    if attached.port is not None and attached.port.status is PortStatus.USED:
        return attached.port.devid
    return attached.remembered.devid if attached.remembered is not None else None
