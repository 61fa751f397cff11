"""From what a person wrote to the one device that was meant.

A bus id is imported as it is. Everything else goes through the server's list; candidates that the
list cannot tell apart are imported, one after the other, and looked at. That resets each of them,
which is why the list's own answers come first, and why a device that is in use is never touched.
"""

import logging
from dataclasses import dataclass

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.link import HostAddress
from gadgetip.remote.descriptors import read_device_tree
from gadgetip.remote.operations import ImportedDevice, import_device, list_devices
from gadgetip.remote.selector import DeviceSelector
from gadgetip.usb import DeviceTree
from gadgetip.wire import DeviceRecord

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FoundDevice:
    """An imported device and what it says of itself."""

    imported: ImportedDevice
    tree: DeviceTree


async def find_and_import(address: HostAddress, selector: DeviceSelector) -> FoundDevice:
    """Import the one device that `selector` means and read its descriptors.

    Raises `GadgetipError` that lists the candidates when several match, or what the server exports
    when none does, and what importing and reading raise.
    """
    if selector.key == "busid":
        return await _import_busid(address, selector.pattern)
    records = await list_devices(address)
    sure = [record for record in records if selector.matches_record(record)]
    unsure = [record for record in records if selector.matches_record(record) is None]
    if not unsure:
        if len(sure) == 1:
            return await _look(address, sure[0].busid)
        raise _no_single_match(address, selector, records, sure)
    found: FoundDevice | None = None
    try:
        matching = list(sure)
        for record in unsure:
            candidate = await _look_if_possible(address, record)
            if candidate is None:
                continue
            if selector.matches_tree(candidate.tree):
                matching.append(record)
                if found is None:
                    found = candidate
                    continue
            candidate.imported.close()
        if len(matching) != 1:
            raise _no_single_match(address, selector, records, matching)
        if found is None:
            found = await _look(address, matching[0].busid)
    except BaseException:
        if found is not None:
            found.imported.close()
        raise
    return found


async def _import_busid(address: HostAddress, busid: str) -> FoundDevice:
    try:
        return await _look(address, busid)
    except GadgetipError as refusal:
        if type(refusal) is not GadgetipError:
            raise
        try:
            records = await list_devices(address)
        except GadgetipError:
            raise refusal from None
        raise GadgetipError(f"{refusal}. {_offer(address, records)}") from None


async def _look(address: HostAddress, busid: str) -> FoundDevice:
    imported = await import_device(address, busid)
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


async def _look_if_possible(address: HostAddress, record: DeviceRecord) -> FoundDevice | None:
    """Look at one of several candidates: one in use, or out of order, is not the one meant."""
    try:
        return await _look(address, record.busid)
    except LinkLostError:
        raise
    except GadgetipError as error:
        log.warning("%s was left out of the search: %s", _describe(record), error)
        return None


def _no_single_match(
    address: HostAddress,
    selector: DeviceSelector,
    records: tuple[DeviceRecord, ...],
    matching: list[DeviceRecord],
) -> GadgetipError:
    if matching:
        candidates = "; ".join(map(_describe, matching))
        return GadgetipError(
            f"{selector} matches {len(matching)} devices on {address}: {candidates}. "
            "Name one by its bus id"
        )
    return GadgetipError(f"no device on {address} matches {selector}. {_offer(address, records)}")


def _offer(address: HostAddress, records: tuple[DeviceRecord, ...]) -> str:
    if not records:
        return f"{address} exports nothing that is free: bind a device there first"
    return f"{address} exports: " + "; ".join(map(_describe, records))


def _describe(record: DeviceRecord) -> str:
    return f"{record.busid} ({record.idVendor:04x}:{record.idProduct:04x})"
