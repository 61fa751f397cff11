"""What hostile descriptors are made of: liars, late ones, and configurations of any size."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tests.emulated.descriptors import configuration, device, interface, specific
from tests.emulated.device import Answer, EmulatedDevice, Later
from tests.emulated.devices.vendor import VENDOR, bulk_pair
from tests.emulated.endpoints import Echo, InQueue

DEVICE = device(0x1209, 0x6666)
CONFIGURATION = configuration(bulk_pair())
STRINGS = {1: "gadgetip", 2: "Hostile", 3: "EVIL-0001"}
LARGEST = 0xFFFF

Make: TypeAlias = Callable[[], EmulatedDevice]
Key: TypeAlias = tuple[int, int | None]
NEVER = None


class Liar(EmulatedDevice):
    """A device whose answers to GET_DESCRIPTOR are given, by type and by index (None: any)."""

    lies: Mapping[Key, "Answer | list[Answer]"] = {}

    def get_descriptor(self, kind: int, index: int, langid: int) -> Answer:
        """A lie where there is one; from a list each time the next one."""
        for key in ((kind, index), (kind, None)):
            if key in self.lies:
                lie = self.lies[key]
                if isinstance(lie, list):
                    return lie.pop(0) if len(lie) > 1 else lie[0]
                return lie
        return super().get_descriptor(kind, index, langid)


class Late(EmulatedDevice):
    """Every descriptor of the types in `late` (None: of all) takes `DELAY_S` seconds."""

    DELAY_S = 4.9
    late: tuple[int, ...] | None = None

    def get_descriptor(self, kind: int, index: int, langid: int) -> Answer:
        """The truth, but not yet."""
        answer = super().get_descriptor(kind, index, langid)
        if isinstance(answer, bytes | int) and (self.late is None or kind in self.late):
            return Later(self.DELAY_S, answer)
        return answer


def well_behaved() -> EmulatedDevice:
    """A device that does nothing wrong, for servers that do."""
    return EmulatedDevice(
        descriptor=DEVICE,
        configurations=[CONFIGURATION],
        strings=STRINGS,
        endpoints={0x81: InQueue(), 0x01: Echo(0x81)},
    )


def saying(
    *configurations: bytes, descriptor: bytes = DEVICE, strings: Mapping[int, str] = STRINGS
) -> Make:
    """A device with these descriptors."""
    return lambda: EmulatedDevice(
        descriptor=descriptor, configurations=configurations or [CONFIGURATION], strings=strings
    )


def lying(
    lies: Mapping[Key, "Answer | list[Answer]"],
    *,
    descriptor: bytes = DEVICE,
    bos: bytes = b"",
) -> Make:
    """A device that answers these requests its own way."""

    def make() -> EmulatedDevice:
        made = Liar(descriptor=descriptor, configurations=[CONFIGURATION], strings=STRINGS, bos=bos)
        made.lies = {key: list(lie) if isinstance(lie, list) else lie for key, lie in lies.items()}
        return made

    return make


def late(*kinds: int, configurations: int = 1) -> Make:
    """A device that answers just before anybody would give up."""

    def make() -> EmulatedDevice:
        made = Late(
            descriptor=DEVICE[:-1] + bytes([configurations]),
            configurations=[
                configuration(bulk_pair(), value=each + 1) for each in range(configurations)
            ],
            strings=STRINGS,
        )
        made.late = kinds or None
        return made

    return make


def patched(data: bytes, changes: Mapping[int, int]) -> bytes:
    """The bytes with some of them changed, by offset."""
    changed = bytearray(data)
    for at, value in changes.items():
        changed[at] = value
    return bytes(changed)


def filled(part: bytes, total: int = LARGEST) -> bytes:
    """A configuration of `total` bytes: a bulk pair, then `part` again and again."""
    body = bulk_pair()
    room = total - 9 - len(body)
    count = (room - 4) // len(part)
    body += part * count
    rest = total - 9 - len(body)
    while rest:
        piece = min(rest, 255 if rest - 255 != 1 else 254)
        body += specific(0x41, bytes(piece - 2))
        rest -= piece
    return configuration(body)


def many_settings(interfaces: int, settings: int, *, names: bool = False) -> bytes:
    """Interfaces without endpoints, as many as fit."""
    return configuration(
        *(
            interface(number, VENDOR, alternate=each, text=each if names else 0)
            for number in range(interfaces)
            for each in range(settings)
        )
    )


def string_of(*data: int) -> bytes:
    """Bytes that stand for a string descriptor."""
    return bytes(data)
