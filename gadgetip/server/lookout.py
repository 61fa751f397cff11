"""What is plugged in, read as seldom as will do.

A large machine has a hundred hubs and devices, and reading them all takes its time; who replugs one
waits for it to be exported. So everything is read at the start and when somebody says so, and
otherwise what was plugged, and what was taken: the drivers of those have changed.
"""

from collections.abc import Iterable, Mapping

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

        Raises `GadgetipError` when it cannot be read; then, or when cancelled, it is still pending.
        """
        changed = {*taken, *self.pending}
        everywhere, self.everywhere = self.everywhere, False
        self.pending.clear()
        read: dict[str, LocalDevice | None]
        try:
            if everywhere:
                devices, hanging = await within_limit(self._read_all, _WHAT)
                read = {device.busid: device for device in devices}
            else:
                found, hanging = await within_limit(lambda: self._read_some(changed), _WHAT)
                read = {**self.devices, **found}
        except BaseException:  # a cancelled look too
            self.everywhere = self.everywhere or everywhere
            self.pending |= changed
            raise
        self.pending |= hanging
        return self._keep(read) or bool(hanging)

    def _read_all(self) -> tuple[tuple[LocalDevice, ...], frozenset[str]]:
        """Every device, and the bus ids of those that hang: they are as they were."""
        return self._surroundings.read_inventory(), self._surroundings.still_reading()

    def _read_some(self, busids: set[str]) -> tuple[dict[str, LocalDevice | None], frozenset[str]]:
        read = {busid: self._surroundings.find_local(busid) for busid in busids}
        return read, self._surroundings.still_reading()

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
