"""What serve has to tell, whoever listens: a terminal, a journal, a program behind --json."""

from abc import ABC, abstractmethod

from gadgetip.server.local_device import LocalDevice


class Narrator(ABC):
    """Is told of everything that happens; each is an event's name, a line, and fields."""

    @abstractmethod
    def tell(self, event: str, text: str, **fields: object) -> None:
        """Something ordinary: listening, exported, withdrawn, import, session ended."""

    @abstractmethod
    def warn(self, event: str, text: str, **fields: object) -> None:
        """Something that the owner should look at: refused, note, error."""


def describe(device: LocalDevice) -> str:
    """A device in a few words: "SanDisk Ultra (0781:5581) at 1-1.4"."""
    maker = device.manufacturer or device.vendor_name
    product = device.product or device.product_name
    name = " ".join(part for part in (maker, product) if part) or "device"
    return f"{name} ({device.id}) at {device.busid}"
