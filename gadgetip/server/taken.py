"""What serve has taken from this machine's drivers, on disk, for the one that comes after a crash.

A device stays where it is when its daemon is killed: with usbip-host, or with interfaces that have
no driver. The next start takes over what should still be exported. What should not, because the
policy was changed meanwhile, it gives back; but only what this list names, because a device on
usbip-host may as well be there by the stock tools' doing.

The list lies below /run: after a reboot nothing is taken. An unreadable one is an empty one.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gadgetip.server import usbip_host
from gadgetip.server.background import within_limit
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import Stub

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TakenDevice:
    """One device: its bus id and number (another device in the same port has another number)."""

    busid: str
    devnum: int
    stub: str


def load_taken(path: Path) -> tuple[TakenDevice, ...]:
    """What an earlier serve left; what cannot be understood is left out."""
    try:
        with path.open("rb") as file:
            entries = json.loads(file.read(_MAX_BYTES))["devices"]
        return tuple(
            TakenDevice(str(entry["busid"]), int(entry["devnum"]), str(entry["stub"]))
            for entry in entries
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()


def save_taken(path: Path, devices: Iterable[TakenDevice]) -> None:
    """Write the list, whole or not at all; a disk that is full loses only the memory."""
    text = json.dumps({"devices": [asdict(device) for device in devices]}, indent=1)
    new = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        new.write_text(text + "\n")
        new.replace(path)


class Custody:
    """The devices that serve holds, taken through one stub; remembered from before until after."""

    def __init__(self, stub: Stub, memory: Path) -> None:
        self._stub = stub
        self._memory = memory
        self._held = {taken.busid: taken for taken in load_taken(memory)}
        self._remembered: tuple[TakenDevice, ...] | None = None

    @property
    def busids(self) -> frozenset[str]:
        """Where we hold a device, or an earlier serve did."""
        return frozenset(self._held)

    async def take(self, device: LocalDevice) -> None:
        """Take a device from its driver, or from the kernel's stub if that is not ours.

        Raises what `Stub.take` raises.
        """
        self._held[device.busid] = TakenDevice(device.busid, device.devnum, self._stub.name)
        self._remember()
        if self._is_with_the_other_stub(device):
            await _return_from_kernel_stub(device)
            device = replace(device, driver="usb", stub_status=None)
        await self._stub.take(device)

    async def give_back(self, device: LocalDevice) -> None:
        """Return a device to its driver, whichever serve had taken it, with whichever stub.

        Raises what `Stub.give_back` raises; it is remembered then, and can be tried again.
        """
        held = self._held.get(device.busid)
        if self._is_with_the_other_stub(device):
            await _return_from_kernel_stub(device)
        else:
            if held and held.stub != self._stub.name and _lacks_drivers(device):
                # A daemon with the user-space stub was killed. Unbinding and binding the whole
                # device gives its interfaces their drivers anew.
                await self._stub.take(device)
            await self._stub.give_back(device)
        if held and held.devnum == device.devnum:
            self.forget({device.busid})

    def forget_the_unplugged(self, present: Mapping[str, LocalDevice]) -> None:
        """Another device in the same port has another number."""
        self.forget(
            taken.busid
            for taken in list(self._held.values())
            if taken.busid not in present or present[taken.busid].devnum != taken.devnum
        )

    def forget(self, busids: Iterable[str]) -> None:
        """These are not ours any more."""
        for busid in busids:
            self._held.pop(busid, None)
        self._remember()

    def _is_with_the_other_stub(self, device: LocalDevice) -> bool:
        return self._stub.name != "kernel" and device.driver == usbip_host.NAME

    def _remember(self) -> None:
        held = tuple(self._held.values())
        if held != self._remembered:
            save_taken(self._memory, held)
            self._remembered = held


async def _return_from_kernel_stub(device: LocalDevice) -> None:
    """Where `bind` or another serve put it, and where no other stub gets at it."""
    await within_limit(lambda: usbip_host.give_back(device.busid), f"the device {device.busid}")


def _lacks_drivers(device: LocalDevice) -> bool:
    """Whether none of its interfaces has a driver: then nothing here uses it, or loses it."""
    return device.driver == "usb" and not any(i.driver for i in device.interfaces)
