"""What an attachment process does with its life: keep one device attached, and say what happens.

It ends when the supervisor says so or is gone, when somebody else on this machine takes the device
off, or with an error that is not the device's. A device that is refused does not end it: that one
is left alone while the server lists it, and another that is meant as well, such as its bootloader,
is taken. Every happening goes to the supervisor as a message; what only a reader of the log wants
to know is printed.
"""

import logging
import signal
import sys

from gadgetip.attachment import (
    Bound,
    Imported,
    Listener,
    PatientSearch,
    Registration,
    Search,
    Traffic,
    attach_to_gadget,
    keep_attached,
    stay_on_vhci,
)
from gadgetip.attachment.backoff import Backoff
from gadgetip.attachment.searching import AWAITED
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.errors import DeviceUnpluggedError, GadgetipError, RefusedError
from gadgetip.matching import DeviceFacts, facts_of_tree
from gadgetip.profiles import Profile
from gadgetip.pump import PumpChoice, vhci_pump
from gadgetip.remote import FoundDevice, LeftOut
from gadgetip.strict_toml import FileError
from gadgetip.supervisor.asking import Asking
from gadgetip.supervisor.config import ConfiguredAttachment, Settings
from gadgetip.supervisor.leash import Leash
from gadgetip.supervisor.messages import News
from gadgetip.supervisor.profile_choice import named_profile, profile_of
from gadgetip.usb import Speed, printable
from gadgetip.vhci import detach_port, forget, list_ports, remembered_on


def keep(
    configured: ConfiguredAttachment, udc: str | None, settings: Settings, leash: Leash
) -> None:
    """Keep this attachment; `udc` is its controller, None where it goes to vhci."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.default_int_handler)
    _log_to_our_own()
    registration = Registration(
        configured.to,
        str(configured.server),
        str(configured.wanted),
        udc,
        supervised=configured.name,
    )
    with registration:
        try:
            detached = _Keeping(configured, udc, settings, leash, registration).run()
        except KeyboardInterrupt:
            detached = False
        except GadgetipError as error:
            leash.send(News.REFUSED, reason=str(error))
        else:
            leash.send(News.ENDED, detached=detached)


class _Keeping(Listener):
    """Attaches again and again, and passes on what it is told."""

    def __init__(
        self,
        configured: ConfiguredAttachment,
        udc: str | None,
        settings: Settings,
        leash: Leash,
        registration: Registration,
    ) -> None:
        self._configured = configured
        self._udc = udc
        self._leash = leash
        self._registration = registration
        named = named_profile(configured)
        pauses_s = settings.retry_min_s, settings.retry_max_s
        if named is not None:
            pauses_s = named.link.pauses_s(*pauses_s)
        self._backoff = Backoff(*pauses_s)
        self._asking = Asking(settings.poll_ms / 1000)
        self._left_out = LeftOut()
        self._refusal = ""
        self._refusals = Backoff(settings.retry_min_s, settings.retry_max_s)
        self._candidate: FoundDevice | None = None
        self._profile = ""
        self._awaited: tuple[str, str] | None = None
        self._unplugged = False
        self._detached = False
        self._held = False

    def run(self) -> bool:
        """Keep it; returns whether somebody else on this machine detached it."""
        if self._configured.to == "vhci":
            detach_leftovers(self._configured)
        search = PatientSearch(
            self.waiting,
            self._backoff,
            pause=self._pause,
            poll_s=self._asking.interval_s,
            on_import=self.importing,
            left_out=self._left_out,
        )
        while True:
            try:
                keep_attached(
                    self._attach,
                    search,
                    again=search,
                    on_lost=self.lost,
                    on_waiting=self.waiting,
                    backoff=self._backoff,
                    pause=self._pause_after_loss,
                )
                return self._detached
            except RefusedError as error:
                if self._candidate is None:
                    raise
                self._refuse(self._candidate, str(error))

    def _refuse(self, found: FoundDevice, reason: str) -> None:
        """Leave it alone, and pause: a server may take what we did for a new device."""
        self._left_out.add(found.imported.record)
        self._asking.renew()
        self._refusal = reason
        self._say_awaited("other", reason)
        self._pause(self._refusals.pause())

    def _attach(self, search: Search) -> None:
        server, wanted = self._configured.server, self._configured.wanted
        if self._configured.to == "vhci":
            self._detached = stay_on_vhci(
                server,
                wanted,
                search,
                self.attached,
                self.traffic,
                self.imported,
                pump=vhci_pump(self._configured.pump),
                on_notice=self.notice,
            )
        else:
            pump = PumpChoice(self._configured.pump)
            attach_to_gadget(server, wanted, self._udc, self._profile_for, self, search, pump=pump)

    def _profile_for(self, facts: DeviceFacts) -> Profile:
        def chosen(profile: Profile) -> None:
            self._profile = profile.name

        try:
            return profile_of(self._configured, facts, chosen)
        except FileError as error:
            raise RefusedError(str(error)) from None

    def _pause(self, seconds: float) -> None:
        if self._leash.pause(seconds):
            self._backoff.reset()
            self._asking.renew()

    def _pause_after_loss(self, seconds: float) -> None:
        if self._unplugged:  # and may be plugged in again at once, as another device
            seconds = min(seconds, self._asking.interval_s())
        else:
            self._leash.send(News.PAUSED, pause_s=round(seconds, 3))
        self._pause(seconds)

    # --- what happens ---------------------------------------------------------------------------

    def waiting(self, error: GadgetipError, pause_s: float) -> None:
        if self._held:
            return  # the host still has it, and why it is held was said
        if not _is_the_devices(error):
            self._say_awaited("server", str(error), pause_s)
        elif self._left_out:
            self._say_awaited("other", self._refusal)
        else:
            self._say_awaited("device", str(error), pause_s)

    def _say_awaited(self, awaited: str, reason: str, pause_s: float = 0.0) -> None:
        """Say it once: the server, the device, or another one than that which was refused."""
        if self._awaited is not None and self._awaited[0] != awaited:
            self._asking.renew()
        if self._awaited == (awaited, reason):
            return
        self._awaited = (awaited, reason)
        if awaited == "other":
            self._leash.send(News.REFUSED, reason=reason)
        else:
            self._leash.send(
                News.WAITING, awaited=awaited, reason=reason, pause_s=round(pause_s, 3)
            )

    def importing(self, busid: str) -> None:
        self._awaited = None
        self._leash.send(News.IMPORTING, busid=busid)

    def imported(self, found: FoundDevice) -> None:
        self._awaited = None
        self._candidate = found
        self._leash.send(
            News.IMPORTED,
            busid=found.imported.record.busid,
            id=_id_of(found),
            device=_name_of(found),
        )

    def bound(self, bound: Bound) -> None:
        record = bound.found.imported.record
        self._left_out.forget()
        self._refusals.reset()
        self._registration.attached(record.busid, udc=bound.udc.name, window_urbs=bound.window_urbs)
        for deviation in bound.plan.deviations:
            print(f"{deviation.severity}: {deviation}", flush=True)
        self._leash.send(
            News.BOUND,
            backend=bound.plan.backend,
            profile=self._profile,
            speed=bound.plan.speed.kernel_name,
        )

    def attached(self, imported: Imported) -> None:
        record = imported.found.imported.record
        self._awaited = None
        self._registration.attached(record.busid, port=imported.port.number)
        self._leash.send(
            News.ATTACHED,
            port=imported.port.number,
            busid=record.busid,
            id=_id_of(imported.found),
            device=_name_of(imported.found),
            speed=imported.found.tree.speed.kernel_name,
        )

    def configured(self, speed: Speed | None) -> None:
        self._leash.send(News.CONFIGURED, speed=None if speed is None else speed.kernel_name)

    def host(self, text: str) -> None:
        self._leash.send(News.HOST, text=text)

    def notice(self, text: str) -> None:
        self._leash.send(News.NOTICE, text=text)

    def held(self, reason: str, limit_s: float) -> None:
        self._held = True
        self._leash.send(News.HELD, reason=reason, limit_s=limit_s)

    def resumed(self, after_s: float) -> None:
        self._held = False
        self._leash.send(News.RESUMED, after_s=round(after_s, 3))

    def traffic(self, traffic: Traffic) -> None:
        self._registration.moved(traffic)
        seconds = traffic.round_trip_s
        self._leash.send(
            News.TRAFFIC,
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            urbs_in=traffic.urbs_in,
            urbs_out=traffic.urbs_out,
            discarded=traffic.discarded,
            halts=traffic.halts,
            errors=traffic.errors,
            saved_round_trips=traffic.saved_round_trips,
            round_trip_ms=None if seconds is None else round(seconds * 1000, 3),
        )

    def lost(self, error: GadgetipError) -> None:
        self._registration.lost()
        self._asking.renew()
        self._awaited = None
        self._held = False
        self._unplugged = isinstance(error, DeviceUnpluggedError)
        self._leash.send(News.LOST, reason=str(error), crashed=_is_a_crash(error))


def _log_to_our_own() -> None:
    """Log to this process's standard error, which is the attachment's log.

    The supervisor's handlers are put away as they are: their files are closed already.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().handlers[:] = [handler]


def detach_leftovers(configured: ConfiguredAttachment) -> None:
    """Take off what a process that was killed has left on a port of this machine.

    The kernel goes on with it, but nobody would notice its loss. Only what this very attachment
    asked for is touched. Raises `GadgetipError` when a driver does not let go of it.
    """
    for port in list_ports():
        known = None if port.is_free else remembered_on(port)
        if (
            known is not None
            and known.server == str(configured.server)
            and known.selector == str(configured.wanted)
        ):
            print(f"port {port.number} is detached: an earlier process left it", flush=True)
            detach_port(port.number)
            forget(port.number, known)


def _is_the_devices(error: GadgetipError) -> bool:
    """Whether the server is there, and it is the device that is waited for."""
    return isinstance(error, AWAITED) or type(error) is GadgetipError


def _is_a_crash(error: GadgetipError) -> bool:
    """Whether it was our worker that failed; the keeper says so in words (`keeper`, `worker`)."""
    return type(error) is GadgetipError and str(error).startswith("the worker ")


def _id_of(found: FoundDevice) -> str:
    return f"{found.tree.device.idVendor:04x}:{found.tree.device.idProduct:04x}"


def _name_of(found: FoundDevice) -> str:
    names = facts_of_tree(found.tree).names
    return printable(names[-1]) if names else "device"
