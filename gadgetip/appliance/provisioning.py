"""What an image does with gadgetip.toml each time it boots: a decision, without effects.

The root file system forgets everything at power off, so that all of it is done at each boot, and a
change of the file is a restart away. What lasts lies on a partition of its own:

    gadgetip.toml   the last one that was right, which goes on while the card's is wrong
    wifi-key.json   the key of the wireless network, once its passphrase was taken off the card

The key is on the disk before the passphrase is written over: a power cut between the two costs
nothing.
"""

from collections.abc import Container
from dataclasses import dataclass

from gadgetip.appliance.changes import Change, MakeLink, NameHost, RemoveFile, WriteFile
from gadgetip.appliance.problem_text import CONFIG_NAME, PROBLEM_NAME, problem_page, problems_of
from gadgetip.appliance.striking_out import strike_out, struck
from gadgetip.appliance.wifi import WifiKey, format_key, key_of, supplicant_text
from gadgetip.strict_toml import decode_document
from gadgetip.supervisor.board_config import MOVED, BoardConfig, Wifi
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND

KEY_NAME = "wifi-key.json"
INTERFACE = "wlan0"

HOSTNAME = "/etc/hostname"
HOSTS = "/etc/hosts"
LOCALTIME = "/etc/localtime"
ZONES = "/usr/share/zoneinfo"
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
SUPPLICANT = f"/etc/wpa_supplicant/wpa_supplicant-{INTERFACE}.conf"
CONFIG = "/etc/gadgetip/gadgetip.toml"
PROBLEM_HERE = "/run/gadgetip-problem.txt"
"""The problem once more, for the lamp, in case that the card cannot be written."""

_HEAD = "# Made by gadgetip from gadgetip.toml each time the board boots: a change here is lost.\n"


@dataclass(frozen=True, slots=True)
class Places:
    """The directories: of the card that a PC can read, and of what lasts."""

    boot: str = "/boot/firmware"
    state: str = "/var/lib/gadgetip/board"

    @property
    def card_config(self) -> str:
        """The configuration that a person wrote."""
        return f"{self.boot}/{CONFIG_NAME}"

    @property
    def problem(self) -> str:
        """Where what is wrong with it is told."""
        return f"{self.boot}/{PROBLEM_NAME}"

    @property
    def kept_config(self) -> str:
        """The last one that was right."""
        return f"{self.state}/{CONFIG_NAME}"

    @property
    def key(self) -> str:
        """The key of the wireless network."""
        return f"{self.state}/{KEY_NAME}"


@dataclass(frozen=True, slots=True)
class Present:
    """What is there at boot; None for a file that is not there or cannot be read.

    `zones` are the names of time zones that this system knows.
    """

    config: bytes | None
    kept: bytes | None
    key: WifiKey | None
    zones: Container[str]


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What to do, in this order, and what is wrong; `page` is the whole text of the problem."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...]
    page: str


def provision(present: Present, places: Places | None = None) -> Provisioning:
    """Decide what this boot does."""
    places = places or Places()
    problems = _problems(present)
    earlier = bool(problems) and _is_right(present.kept)
    page = problem_page(problems, earlier=earlier)
    changes: list[Change] = []
    if not problems:
        assert present.config is not None
        changes += _take_over(present.config, present.key, places)
    elif earlier:
        assert present.kept is not None
        changes += _make_so(present.kept, present.key)
    changes += _tell(page, places)
    return Provisioning(tuple(changes), problems, page)


def _problems(present: Present) -> tuple[str, ...]:
    if present.config is None:
        return (f"There is no {CONFIG_NAME} here, or it cannot be read.",)
    problems = problems_of(present.config)
    if problems:
        return problems
    board = _read(present.config).board or BoardConfig()
    found = []
    if board.timezone not in present.zones:
        found.append(
            f'[board] timezone is "{board.timezone}": this system knows no such time zone; '
            'they are called as "Europe/Berlin" is'
        )
    if board.wifi is not None:
        found += _wifi_problems(board.wifi, present.config, present.key)
    return tuple(found)


def _wifi_problems(wifi: Wifi, config: bytes, key: WifiKey | None) -> list[str]:
    if key_of(wifi, key) is None:
        problem = (
            f'[board.wifi] psk is "{MOVED}", but this board has no key of the network '
            f'"{wifi.ssid}": write its passphrase there again'
        )
        return [problem]
    if _has_passphrase(wifi) and strike_out(CONFIG_NAME, config) is None:
        return ['[board.wifi] psk has to be written plainly, as psk = "..." on one line']
    return []


def _take_over(config: bytes, stored: WifiKey | None, places: Places) -> list[Change]:
    """Make the card's configuration the one that goes on."""
    changes: list[Change] = []
    wifi = (_read(config).board or BoardConfig()).wifi
    edit = None
    key = stored
    if wifi is not None and _has_passphrase(wifi):
        edit = strike_out(places.card_config, config)
        key = key_of(wifi, stored)
        assert key is not None
        changes.append(WriteFile(places.key, format_key(key), 0o600, 0o700))
    kept = struck(config, edit)
    changes.append(WriteFile(places.kept_config, kept, 0o600, 0o700))
    if edit is not None:
        changes.append(edit)
    return changes + _make_so(kept, key)


def _make_so(config: bytes, key: WifiKey | None) -> list[Change]:
    """What a configuration without a passphrase makes of this boot's system."""
    board = _read(config).board or BoardConfig()
    return [
        NameHost(board.hostname),
        WriteFile(HOSTNAME, f"{board.hostname}\n".encode()),
        WriteFile(HOSTS, _hosts(board.hostname).encode()),
        MakeLink(LOCALTIME, f"{ZONES}/{board.timezone}"),
        _login(board),
        _network(board, key),
        WriteFile(CONFIG, config, 0o600),
    ]


def _login(board: BoardConfig) -> Change:
    if not board.ssh_keys:
        return RemoveFile(AUTHORIZED_KEYS)
    lines = "".join(f"{each}\n" for each in board.ssh_keys)
    return WriteFile(AUTHORIZED_KEYS, (_HEAD + lines).encode(), 0o600, 0o700)


def _network(board: BoardConfig, key: WifiKey | None) -> Change:
    """A cable needs nothing: its network is in the image."""
    found = None if board.wifi is None else key_of(board.wifi, key)
    if board.wifi is None or found is None:
        return RemoveFile(SUPPLICANT)
    return WriteFile(SUPPLICANT, supplicant_text(board.wifi, found).encode(), 0o600)


def _tell(page: str, places: Places) -> list[Change]:
    if not page:
        return [RemoveFile(places.problem), RemoveFile(PROBLEM_HERE)]
    # The card last: it may be what is broken.
    return [WriteFile(PROBLEM_HERE, page.encode()), WriteFile(places.problem, page.encode())]


def _hosts(hostname: str) -> str:
    return (
        f"{_HEAD}127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    )


def _has_passphrase(wifi: Wifi) -> bool:
    return wifi.psk not in {"", MOVED}


def _is_right(config: bytes | None) -> bool:
    return config is not None and not problems_of(config)


def _read(config: bytes) -> Config:
    """A configuration that was found right."""
    return decode_document(config, CONFIG_NAME, IMAGE_CONFIG_KIND)
