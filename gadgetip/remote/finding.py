"""From what a person wrote to the one device that was meant.

A bus id is imported as it is. Everything else goes through the server's list; candidates that the
list cannot tell apart are imported, one after the other, and looked at. That resets each of them,
which is why the list's own answers come first, and why a device that is in use is never touched.

A device that this machine has in use without knowing it, because it lost power meanwhile, is not
listed either. One that was meant by the same words is then asked for by its bus id.
"""

import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, Wanted, facts_of_record, facts_of_tree
from gadgetip.remote.descriptors import read_device_tree
from gadgetip.remote.operations import (
    BUSY_LIMIT_S,
    DeviceBusyError,
    ImportedDevice,
    NotExportedError,
    import_device,
    list_devices,
)
from gadgetip.remote.stale_session import past_imports
from gadgetip.usb import DeviceTree
from gadgetip.wire import DeviceRecord

log = logging.getLogger(__name__)


class AmbiguousError(GadgetipError):
    """Several devices are meant; the message lists them."""


@dataclass(slots=True)
class FoundDevice:
    """An imported device and what it says of itself."""

    imported: ImportedDevice
    tree: DeviceTree


DeviceKey = tuple[str, int, int, int, int]
"""Of a device in a server's list: bus id, bus, address, VID, PID; another one after a replug."""


@dataclass(frozen=True, slots=True)
class NotSeen:
    """A candidate that could not be looked at, and is not asked for before `until`.

    That is a time of `time.monotonic`, in seconds; infinite where it was imported, and so reset.
    """

    until: float


KnownTrees = dict[DeviceKey, DeviceTree | NotSeen]
"""What devices said of themselves when they were imported to see, or that they did not."""

OnImport = Callable[[str], None]
"""Told the bus id of a device that was imported."""

PAST_BUSY_LIMIT_S = 2.0
AWAY_S = 3.0
"""A server may take so long to list a device again that was given back."""


class LeftOut:
    """Devices that were imported and are of no use here: each until the server lists it no more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listed: dict[DeviceKey, float] = {}
        """When each was listed, or given back, for the last time."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._listed)

    def add(self, record: DeviceRecord) -> None:
        """Leave this device out, which was ours until now."""
        self._listed[_key(record)] = self._clock()

    def forget(self) -> None:
        """Leave nothing out."""
        self._listed.clear()

    def others(self, records: Collection[DeviceRecord]) -> list[DeviceRecord]:
        """Of a server's list, all other devices; what has not been listed for long is forgotten."""
        now = self._clock()
        self._listed.update({_key(each): now for each in records if _key(each) in self._listed})
        self._listed = {key: at for key, at in self._listed.items() if now - at < AWAY_S}
        return [each for each in records if _key(each) not in self._listed]


REFUSED_AGAIN_S = 10.0
"""When a candidate is asked for again that was in use; no such question resets it."""


async def find_and_import(
    address: HostAddress,
    wanted: Wanted,
    known: KnownTrees | None = None,
    on_import: OnImport | None = None,
    left_out: LeftOut | None = None,
) -> FoundDevice:
    """Import the one device that is `wanted` and read its descriptors.

    Whoever asks again and again passes `known`: what was imported to see is noted there, and not
    imported again while the server lists it, even if it could not be read. `on_import` is told the
    bus id of the one that is meant as soon as it is ours, before its descriptors are read; where it
    had to be imported to be recognised it is not. A device that is `left_out` is none of the
    candidates. Raises `AmbiguousError` that lists the candidates when several match,
    `NotExportedError` that says what the server exports when none does, and what importing and
    reading raise.
    """
    if wanted.exact_busid is not None and not left_out:
        return await _import_busid(address, wanted.exact_busid, on_import)
    records = await list_devices(address)
    seen = {} if known is None else known
    for gone in seen.keys() - {_key(record) for record in records}:
        del seen[gone]
    candidates = left_out.others(records) if left_out else records
    found, matching = await _look_through(address, wanted, candidates, seen)
    if not matching:
        found = await _held_before(address, wanted, records)
        if found is None:
            raise _no_single_match(address, wanted, records, matching)
    return found or await _look(address, matching[0].busid, on_import=on_import)


async def _look_through(
    address: HostAddress,
    wanted: Wanted,
    records: Collection[DeviceRecord],
    seen: KnownTrees,
) -> tuple[FoundDevice | None, list[DeviceRecord]]:
    """Of a list, what is meant: nothing or one entry, and the device if it was imported to see.

    Raises `AmbiguousError`.
    """
    answers = [(record, wanted.matches(facts_of_record(record))) for record in records]
    matching = [record for record, answer in answers if answer]
    unsure = [record for record, answer in answers if answer is None]
    found: FoundDevice | None = None
    try:
        for record in unsure:
            tree, candidate = await _tree_of(address, record, seen)
            if tree is None:
                continue
            if wanted.matches(facts_of_tree(tree, record.busid)):
                matching.append(record)
                if candidate is not None and found is None and len(matching) == 1:
                    found = candidate
                    continue
            if candidate is not None:
                candidate.imported.close()
        if len(matching) > 1:
            raise _no_single_match(address, wanted, records, matching)
    except BaseException:
        if found is not None:
            found.imported.close()
        raise
    return found, matching


async def _import_busid(
    address: HostAddress, busid: str, on_import: OnImport | None
) -> FoundDevice:
    try:
        return await _look(address, busid, on_import=on_import)
    except GadgetipError as refusal:
        if type(refusal) not in {GadgetipError, NotExportedError, DeviceBusyError}:
            raise
        try:
            records = await list_devices(address)
        except GadgetipError:
            raise refusal from None
        raise type(refusal)(f"{refusal}. {_offer(address, records)}") from None


async def _held_before(
    address: HostAddress, wanted: Wanted, listed: Collection[DeviceRecord]
) -> FoundDevice | None:
    """The device that a session of ours still holds which outlived us, where there is such a one.

    Only what the user meant by the same words, or by an id that it has, is asked for.
    """
    for past in past_imports(str(address)):
        known = DeviceFacts(busid=past.busid, id=past.id)
        is_meant = past.selector == str(wanted) or wanted.matches(known)
        if not is_meant or any(record.busid == past.busid for record in listed):
            continue
        try:
            found = await _look(address, past.busid, busy_limit_s=PAST_BUSY_LIMIT_S)
        except LinkLostError:
            raise
        except GadgetipError as error:
            log.info("%s, imported before: %s", past.busid, error)
            continue
        if wanted.matches(facts_of_tree(found.tree, past.busid)):
            return found
        found.imported.close()
    return None


async def _look(
    address: HostAddress,
    busid: str,
    *,
    busy_limit_s: float = BUSY_LIMIT_S,
    on_import: OnImport | None = None,
) -> FoundDevice:
    imported = await import_device(address, busid, busy_limit_s=busy_limit_s)
    if on_import is not None:
        on_import(busid)
    urbs = imported.urbs().attach()
    try:
        tree = await read_device_tree(urbs, imported.speed)
    except BaseException:
        urbs.detach()
        imported.close()
        raise
    urbs.detach()
    imported.next_seqnum = urbs.next_seqnum
    return FoundDevice(imported, tree)


async def _tree_of(
    address: HostAddress, record: DeviceRecord, seen: KnownTrees
) -> tuple[DeviceTree | None, FoundDevice | None]:
    """What a candidate says of itself, and the device itself if it was imported for that.

    One in use, or out of order, is not the one meant: nothing is known of it then.
    """
    key = _key(record)
    known = seen.get(key)
    if isinstance(known, DeviceTree):
        return known, None
    if known is not None and time.monotonic() < known.until:
        return None, None
    given: list[str] = []
    try:
        candidate = await _look(address, record.busid, on_import=given.append)
    except LinkLostError:
        raise
    except GadgetipError as error:
        if known is None:
            log.warning("%s was left out of the search: %s", _describe(record), error)
        seen[key] = NotSeen(math.inf if given else time.monotonic() + REFUSED_AGAIN_S)
        return None, None
    seen[key] = candidate.tree
    return candidate.tree, candidate


def _no_single_match(
    address: HostAddress,
    wanted: Wanted,
    records: Collection[DeviceRecord],
    matching: list[DeviceRecord],
) -> GadgetipError:
    if matching:
        candidates = "; ".join(map(_describe, matching))
        return AmbiguousError(
            f"{wanted} matches {len(matching)} devices on {address}: {candidates}. "
            "Name one by its bus id"
        )
    return NotExportedError(f"no device on {address} matches {wanted}. {_offer(address, records)}")


def _offer(address: HostAddress, records: Collection[DeviceRecord]) -> str:
    if not records:
        return f"{address} exports nothing that is free: bind a device there first"
    return f"{address} exports: " + "; ".join(map(_describe, records))


def _describe(record: DeviceRecord) -> str:
    return f"{record.busid} ({record.idVendor:04x}:{record.idProduct:04x})"


def _key(record: DeviceRecord) -> DeviceKey:
    return (record.busid, record.busnum, record.devnum, record.idVendor, record.idProduct)
