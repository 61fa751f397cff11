"""Attach to a gadget.

From a DEVICE argument to a replica on a controller, and back to nothing. Whatever ends it, the
replica is removed first, so that the host sees an unplug at once; only then is the server asked
why, where that is not known.
"""

import asyncio
import logging
import os
import signal
import time
from contextlib import ExitStack

from gadgetip.attachment.channel import Message, Word
from gadgetip.attachment.confinement import worker_uid
from gadgetip.attachment.keeper import Keeper, WorkerProcess
from gadgetip.attachment.listener import Bound, Listener
from gadgetip.attachment.recalling import PAUSES_S, Recall
from gadgetip.attachment.searching import Search, search_once
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.udc_lock import UdcLock
from gadgetip.errors import (
    DeviceUnpluggedError,
    GadgetipError,
    LinkLostError,
    PrerequisiteError,
    RefusedError,
)
from gadgetip.gadget import (
    BACKENDS,
    Backend,
    KernelVersion,
    Plan,
    Replica,
    Udc,
    choose_udc,
    list_udcs,
    make_plan,
)
from gadgetip.gadget.backends.gadgetfs import DRIVER as GADGETFS_DRIVER
from gadgetip.gadget.configfs import GADGET_PREFIX
from gadgetip.link import HostAddress
from gadgetip.matching import Wanted, facts_of_tree
from gadgetip.profiles import GENERIC, Profile, ProfileChoice
from gadgetip.pump import PumpChoice, StallError, require_pump
from gadgetip.remote import (
    ImportedDevice,
    forget_import,
    is_still_exported,
    remember_import,
)
from gadgetip.usb import DeviceTree, SetupPacket

log = logging.getLogger(__name__)

CONFIGURE_LIMIT_S = 10.0
DEBRIS_LIMIT_S = 1.0


def attach_to_gadget(
    address: HostAddress,
    selector: Wanted,
    udc_name: str | None,
    profile_for: ProfileChoice,
    listener: Listener,
    search: Search = search_once,
    pump: PumpChoice = PumpChoice.AUTO,
) -> None:
    """Rebuild a device on a controller and keep it until it ends.

    `profile_for` is asked when the device is known; the controller that this profile names is
    taken unless `udc_name` says another. `search` may wait for the device; the controller is ours
    meanwhile. `pump` carries the traffic.
    Returns when the user stopped it (SIGINT, SIGTERM). Every other end is an error:
    `DeviceUnpluggedError`, `LinkLostError`, `RefusedError`, `PrerequisiteError`, `GadgetipError`.
    """
    for each in STOP_SIGNALS:
        signal.signal(each, signal.default_int_handler)
    require_pump(pump)
    _require_a_backend()
    with ExitStack() as claims:
        udc, lock = _claim(claims, udc_name)
        found = search(address, selector)
        recall: Recall | None = None
        try:
            listener.imported(found)
            profile = profile_for(facts_of_tree(found.tree, found.imported.record.busid))
            wanted = udc_name or profile.gadget.udc
            if wanted not in {None, udc.name}:
                claims.close()
                udc, lock = _claim(claims, wanted)
            plan = plan_for(found.tree, udc, profile)
            if plan.refusals:
                reasons = "; ".join(map(str, plan.refusals))
                # A backend that the machine lacks, and nothing that is the device's.
                if all(each.subject in BACKENDS for each in plan.refusals):
                    raise PrerequisiteError(reasons)
                wished = f" with the profile {plan.profile}" if plan.profile != GENERIC.name else ""
                raise RefusedError(
                    f"this device cannot be rebuilt on {udc.name}{wished}: {reasons}"
                )
            imported = found.imported
            remember_import(imported.stream, imported.record, address, selector)
            asyncio.run(_configure(found.imported, plan))
            if plan.hold is not None:
                recall = Recall(
                    address,
                    selector,
                    found,
                    plan.hold.limit_s,
                    pauses_s=plan.hold.wishes.pauses_s(*PAUSES_S),
                    on_waiting=listener.waiting,
                )
            bound = Bound(found, udc, plan)
            _build_and_keep(BACKENDS[plan.backend](udc.name), bound, lock, pump, listener, recall)
        finally:
            found.imported.close()
            if recall is not None:
                recall.imported.close()


def plan_for(tree: DeviceTree, udc: Udc, profile: Profile) -> Plan:
    """The plan for a live controller, with what this machine's kernel can do now.

    Without root that cannot be found out, and what the backends can do at best is taken.
    """
    live = os.geteuid() == 0
    return make_plan(
        tree,
        udc.model,
        [each.capabilities() if live else each.declared() for each in BACKENDS.values()],
        profile=profile,
        kernel=KernelVersion.parse(os.uname().release),
        udc_speed=udc.maximum_speed,
    )


def _claim(claims: ExitStack, name: str | None) -> tuple[Udc, UdcLock]:
    """The controller, locked until `claims` is closed, with nothing of ours left on it."""
    udc = _choose_udc(name)
    lock = claims.enter_context(UdcLock(udc.name))
    udc = choose_udc(udc.name)  # what was true before the lock may not be any more
    if not udc.is_free and not _is_ours(udc):
        raise PrerequisiteError(
            f"{udc.name} is in use by {udc.owner}: remove that, or choose another with --udc"
        )
    _clean(udc.name)
    return udc, lock


def remove_leftovers(udc: str) -> None:
    """Remove what a process of ours that was killed has left on this controller.

    Its worker is waited for, briefly. Raises `PrerequisiteError` while somebody has the controller,
    `GadgetipError` when something cannot be removed.
    """
    with UdcLock(udc):
        _clean(udc)


def _clean(udc: str) -> None:
    for backend_type in BACKENDS.values():
        backend_type(udc).clean()


def _require_a_backend() -> None:
    """Raise `PrerequisiteError` where the machine can build no gadget at all."""
    missing = [
        able.unavailable
        for backend_type in BACKENDS.values()
        if (able := backend_type.capabilities()).unavailable
    ]
    if len(missing) == len(BACKENDS):
        raise PrerequisiteError("; ".join(missing))


def _is_ours(udc: Udc) -> bool:
    return (udc.owner or "").startswith(f"gadget {GADGET_PREFIX}")


def _choose_udc(name: str | None) -> Udc:
    """As `choose_udc`; a controller that a dying worker of ours still has is waited for."""
    deadline = time.monotonic() + DEBRIS_LIMIT_S
    while True:
        try:
            return choose_udc(name)
        except PrerequisiteError:
            ours = any(_is_ours(u) or u.owner == GADGETFS_DRIVER for u in list_udcs())
            if not ours or time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def _build_and_keep(
    backend: Backend,
    bound: Bound,
    lock: UdcLock,
    pump: PumpChoice,
    listener: Listener,
    recall: Recall | None,
) -> None:
    ending: Message | None = None
    worker: WorkerProcess | None = None
    try:
        replica = _build(backend, bound.plan)
        worker = WorkerProcess(bound.found.imported, replica, bound.plan, lock.file, pump)
        keeper = Keeper(worker, listener, recall)

        def show() -> None:
            backend.bind()
            listener.bound(bound)

        ending = asyncio.run(keeper.keep(show))
    finally:
        # Whoever is impatient now would leave debris behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if worker is not None:
            worker.end()
        try:
            backend.remove()
        finally:
            # The keeper's loop has left the default handlers behind, which would kill.
            for each in STOP_SIGNALS:
                signal.signal(each, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    imported = recall.imported if recall is not None else bound.found.imported
    if ending is None:
        forget_import(imported.stream, imported.record.busid)
        return
    if ending.word is Word.REPLACED:
        raise DeviceUnpluggedError(
            f"the device that came back is not the one that the host has: {ending.text}"
        )
    if ending.word not in {Word.LINK_ENDED, Word.DEVICE_GONE}:
        raise GadgetipError(ending.text)
    if "does not answer" in ending.text:
        raise LinkLostError(f"{imported.address}: {ending.text}")
    imported.close()
    why = asyncio.run(is_still_exported(imported.address, imported.record.busid))
    if isinstance(why, LinkLostError):
        raise LinkLostError(f"{ending.text}; {why}")
    raise why


def _build(backend: Backend, plan: Plan) -> Replica:
    try:
        return backend.build(plan, worker_uid())
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise GadgetipError(f"the kernel refused the replica: {error.strerror}{where}") from None


async def _configure(imported: ImportedDevice, plan: Plan) -> None:
    """Choose the configuration at the device: one that was bound by the stub has none."""
    urbs = imported.urbs().attach()
    try:
        await urbs.control(
            SetupPacket.set_configuration(plan.configurations[0].value),
            limit_s=CONFIGURE_LIMIT_S,
        )
    except StallError as error:
        raise GadgetipError(f"the device refuses its configuration: {error}") from None
    finally:
        urbs.detach()
        imported.next_seqnum = urbs.next_seqnum
