"""Attach to this machine's own USB stack: import, hand the stream to vhci_hcd, done."""

import asyncio
from dataclasses import dataclass

from gadgetip.link import HostAddress
from gadgetip.remote import DeviceSelector, find_and_import
from gadgetip.remote.finding import FoundDevice
from gadgetip.vhci import VhciPort, attach_stream, require_vhci


@dataclass(frozen=True, slots=True)
class Imported:
    """A device that this machine's kernel has taken over, and the port it sits on."""

    found: FoundDevice
    port: VhciPort


def attach_to_vhci(address: HostAddress, selector: DeviceSelector) -> Imported:
    """Import a device and give its stream to the kernel; returns when the kernel has it."""
    require_vhci()
    found = asyncio.run(find_and_import(address, selector))
    try:
        port = attach_stream(found.imported.stream, found.imported.record.devid, found.tree.speed)
    finally:
        # The kernel holds its own reference by now, or the device goes back to the server.
        found.imported.close()
    return Imported(found, port)
