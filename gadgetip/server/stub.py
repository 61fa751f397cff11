"""What a stub is: it takes a device away from this machine's drivers and carries its URBs.

Two live behind this interface: the kernel's `usbip-host`, to which the connected socket is handed,
and ours in user space on libusb. The daemon knows neither. It calls `take` when a device is to be
exported, `start` when a client has asked for it and may have it, and `give_back` at the end.
"""

import socket
from abc import ABC, abstractmethod
from typing import ClassVar

from gadgetip.errors import GadgetipError
from gadgetip.server.local_device import LocalDevice


class DeviceInUseError(GadgetipError):
    """Another client has the device; USB/IP's status "device busy"."""


class DeviceFaultError(GadgetipError):
    """The device cannot be exported now, and the message says why; "device in error state"."""


class Session(ABC):
    """One client's use of one device, from the import reply until the device is free again."""

    @abstractmethod
    async def wait(self) -> str:
        """Wait until the device is free for the next client; returns why, in a few words."""

    @abstractmethod
    def end(self) -> None:
        """Ask the session to end: what is in flight is settled, then `wait` returns."""


class Stub(ABC):
    """One way to export. A stub is asked about one device by one caller at a time."""

    name: ClassVar[str]
    """"kernel" or "userspace"."""

    @abstractmethod
    async def take(self, device: LocalDevice) -> None:
        """Take the device from this machine's drivers; idempotent.

        Raises `PrerequisiteError` (no module, no libusb, no right), `DeviceFaultError`.
        """

    @abstractmethod
    async def give_back(self, device: LocalDevice) -> None:
        """Return the device to this machine's drivers, after ending its session; idempotent.

        A device that is not there any more is no error.
        """

    @abstractmethod
    async def start(
        self, device: LocalDevice, stream: socket.socket, reply: bytes, dead_client_s: float
    ) -> Session:
        """Begin a session, and send `reply`, the granted OP_REP_IMPORT.

        `stream` is connected and non-blocking; only the import request has been taken out of it.
        The stub owns the stream once this returns; when it raises, nothing was sent and the caller
        still owns it. A client that is dead is noticed within `dead_client_s` seconds, idle or in
        the middle of a transfer. Raises `DeviceInUseError`, `DeviceFaultError`.
        """

    def session_found(self, device: LocalDevice) -> Session | None:  # noqa: ARG002
        """A session of this device that we did not start and that runs now; None if there is none.

        Only a stub whose sessions outlive the process that began them has such.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of what the stub itself holds; devices have been given back before."""
