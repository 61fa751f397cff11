"""What `[board]` says of an image: who it is, who may log in, which wireless network it joins.

The supervisor does nothing with it. An image takes it over while it boots (`appliance`), which is
why only an image may have it.
"""

from dataclasses import dataclass
from pathlib import Path

IMAGE_FILE = Path("/etc/gadgetip/image")
"""What says "this is an image": every image has this file, and nothing else does."""

MOVED = "moved"
"""What stands for a passphrase that the board has taken over; too short to be one."""


@dataclass(frozen=True, slots=True)
class Wifi:
    """One wireless network.

    `country` is ISO 3166's two letters, which say what the radio may do. `psk` is a passphrase of 8
    to 63 ASCII characters, a key as 64 hexadecimal digits, "" for an open network, or `MOVED`.
    """

    country: str
    ssid: str
    psk: str

    @property
    def ssid_bytes(self) -> bytes:
        """The name as it is in the air, 1 to 32 bytes."""
        return self.ssid.encode()


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """`[board]`; `timezone` is a name of the tz database, `ssh_keys` are lines of OpenSSH's.

    Without a key nobody can log in; without `wifi` the network is a cable's.
    """

    hostname: str = "gadgetip"
    timezone: str = "Etc/UTC"
    ssh_keys: tuple[str, ...] = ()
    wifi: Wifi | None = None
