"""What is plugged in, read as seldom as will do.

A large machine has a hundred hubs and devices, and reading them all takes its time; who replugs one
waits for it to be exported. So everything is read at the start and when somebody says so, and
otherwise what was plugged, and what was taken: the drivers of those have changed.
"""

from collections.abc import Iterable, Mapping

from gadgetip.errors import GadgetipError
from gadgetip.server.background import within_limit
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.surroundings import Surroundings

_WHAT = "the list of devices"


class Lookout:
    """The devices of this machine by bus id, as they were when they were last looked at."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.devices: dict[str, LocalDevice] = {}
        self.pending: set[str] = set()
        """What is looked at next."""
        self.everywhere = True
        """Whether everything is."""
        self._surroundings = surroundings

    async def look(self, taken: Iterable[str]) -> bool:
        """Read what is pending, and the bus ids in `taken`; whether that has to be done again.

        Raises `GadgetipError` when it cannot be read; then it is still pending.
        """
        changed = {*taken, *self.pending}
        everywhere, self.everywhere = self.everywhere, False
        self.pending.clear()
        read: dict[str, LocalDevice | None]
        try:
            if everywhere:
                devices = await within_limit(self._surroundings.read_inventory, _WHAT)
                read = {device.busid: device for device in devices}
            else:
                find = self._surroundings.find_local
                found = await within_limit(lambda: {busid: find(busid) for busid in changed}, _WHAT)
                read = {**self.devices, **found}
        except GadgetipError:
            self.everywhere = everywhere
            self.pending |= changed
            raise
        return self._keep(read)

    def _keep(self, read: Mapping[str, LocalDevice | None]) -> bool:
        """Keep what was read; a device that is just being reset stays as it was."""
        devices, again = {}, False
        for busid, device in read.items():
            if device is not None and not device.devnum:
                # Its number is 0 meanwhile (hub.c: hub_port_init), which is no unplug.
                device = self.devices.get(busid)  # noqa: PLW2901
                self.pending.add(busid)
                again = True
            if device is not None:
                devices[busid] = device
        self.devices = devices
        return again
