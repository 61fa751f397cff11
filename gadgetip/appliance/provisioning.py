"""What an image does with gadgetip.toml each time it boots: a decision, without effects.

The root file system forgets everything at power off, so that all of it is done at each boot, and a
change of the file is a restart away. What lasts lies on a partition of its own:

    gadgetip.toml   the last one that was right, which goes on while the card's is wrong
    wifi-key.json   the key of the wireless network, once its passphrase was taken off the card
    striking-out    is there while the passphrase is being written over
    made.tar        what was made of the file, for the next boot (`remembering`), and its sums

The key is on the disk before the passphrase is written over: a power cut between the two costs
nothing, and one in the middle of writing over is mended at the next boot.

A card that can give only a part of this still makes a board that attaches. Where the boot partition
cannot be read, the last configuration goes on; where there is nothing that lasts, the passphrase
stays on the card; where the key is lost, or there is no Wi-Fi, a cable may still do.

A file that is refused now, and that an earlier system took over byte for byte, is not its owner's
mistake. It is told all the same, but is no reason to be without a supervisor, so that an update
that reads configurations wrongly does not pass its trial.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from gadgetip.appliance.changes import (
    Change,
    MakeLink,
    NameHost,
    Overwrite,
    RemoveFile,
    WriteFile,
)
from gadgetip.appliance.lamp import PROBLEM_HERE
from gadgetip.appliance.problem_text import (
    CONFIG_NAME,
    PROBLEM_NAME,
    note_page,
    problem_page,
    problems_of,
)
from gadgetip.appliance.provisioned import CONFIG, MISREAD_HERE
from gadgetip.appliance.striking_out import mend, strike_out, struck
from gadgetip.appliance.wifi import WifiKey, format_key, key_of, supplicant_text
from gadgetip.strict_toml import decode_document
from gadgetip.supervisor.board_config import MOVED, BoardConfig, Wifi
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND

KEY_NAME = "wifi-key.json"
MARK_NAME = "striking-out"
INTERFACE = "wlan0"

HOSTNAME = "/etc/hostname"
HOSTS = "/etc/hosts"
LOCALTIME = "/etc/localtime"
ZONES = "/usr/share/zoneinfo"
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
SUPPLICANT = f"/etc/wpa_supplicant/wpa_supplicant-{INTERFACE}.conf"
_HEAD = "# Made by gadgetip from gadgetip.toml each time the board boots: a change here is lost.\n"


@dataclass(frozen=True, slots=True)
class Places:
    """The directories: of the card that a PC can read, and of what lasts."""

    boot: str = "/boot/firmware"
    partition: str = "/var/lib/gadgetip"

    @property
    def state(self) -> str:
        """What is the board's own, beside the supervisor's."""
        return f"{self.partition}/board"

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

    @property
    def made(self) -> str:
        """What was made of the configuration, as an archive."""
        return f"{self.state}/made.tar"

    @property
    def sums(self) -> str:
        """What says of which configuration, by which image."""
        return f"{self.state}/made.sha256"

    @property
    def mark(self) -> str:
        """What says that the card's file may be half changed."""
        return f"{self.state}/{MARK_NAME}"


@dataclass(frozen=True, slots=True)
class Present:
    """What is there at boot; None for a file that is not there or cannot be read.

    `zones` are the names of time zones that this system knows. `lasting` says whether what is
    written into the directory for it is there at the next boot; `interrupted`, that the last boot
    did not come to the end of striking out the passphrase; `wireless`, that the image has what
    joins a wireless network; `misnamed`, that a gadgetip.toml.txt is on the card.
    """

    config: bytes | None
    kept: bytes | None
    key: WifiKey | None
    zones: Container[str]
    lasting: bool = True
    interrupted: bool = False
    wireless: bool = True
    misnamed: bool = False


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What to do, in this order; why the file was refused; and the whole text for its owner.

    There may be something to say about a file that is taken over. `made` are those of the changes
    that the next boot can make again as long as all is as it is; `card` is what the file is now;
    `to_do` has a sentence for each thing that its owner is to do.
    """

    changes: tuple[Change, ...]
    problems: tuple[str, ...]
    page: str
    made: tuple[Change, ...] = ()
    card: bytes = b""
    to_do: tuple[str, ...] = ()


NO_FILE = (
    f"There is no {CONFIG_NAME} here, or it cannot be read. Windows hides the endings of names: "
    f"the file may be called {CONFIG_NAME}.txt, and has to be renamed."
)
MISNAMED = (
    f"There is no {CONFIG_NAME} here, but a {CONFIG_NAME}.txt: rename it to {CONFIG_NAME}. Windows "
    "hides the endings of names until it is told to show them."
)
NO_ATTACHMENT = (
    "Name a device: there is no [[attachment]] in the file yet, so that the board has nothing to "
    "attach. The file shows what one looks like; take the # away in front of its lines."
)
CARD_FAILS = (
    "Take another card before long: this one could not be written. What was changed may be gone at "
    "the next start, and a passphrase may still be in the file."
)
NO_WIRELESS = "This board's image has no Wi-Fi: take [board.wifi] out, and plug in a network cable."
NOT_LASTING = (
    "Take another card before long: the fourth partition of this one cannot be used. What is "
    "stopped by hand runs again after the next start, and a passphrase stays in the file."
)


def provision(present: Present, places: Places | None = None) -> Provisioning:
    """Decide what this boot does."""
    places = places or Places()
    mended = _mended(present, places)
    if mended is not None:
        present = replace(present, config=present.kept)
    problems = _problems(present)
    earlier = bool(problems) and _can_go_on(present)
    changes: list[Change] = [] if mended is None else [mended]
    if present.interrupted and present.config is not None and mended is None:
        changes.append(RemoveFile(places.mark))
    to_do: list[str] = []
    made: list[Change] = []
    card = present.config or b""
    if not problems:
        to_do = _to_do(card, present)
        keeping, card, key = _take_over(card, present, places)
        made = _make_so(card, key)
        changes += keeping + made
    elif earlier:
        assert present.kept is not None
        changes += _make_so(present.kept, present.key)
    fault = bool(problems or to_do)
    if not present.lasting:
        to_do.append(NOT_LASTING)
    page = problem_page(problems, earlier=earlier) or note_page(to_do)
    misread = _is_misread(present, problems)
    changes.append(WriteFile(MISREAD_HERE, b"") if misread else RemoveFile(MISREAD_HERE))
    changes += tell(page, places, fault=fault)
    if page:
        made = []  # the next boot has to say it again
    return Provisioning(tuple(changes), problems, page, tuple(made), card, tuple(to_do))


def page_of_failures(decided: Provisioning, failed: Iterable[str], places: Places) -> str:
    """The whole text for the owner once changes have failed; `failed` has a line for each.

    What could not be written onto the card is told, since the next boot may lack it.
    """
    lost = [line for line in failed if line.startswith((places.boot, places.partition))]
    if decided.problems or not lost:
        return decided.page
    return note_page([*decided.to_do, f"{CARD_FAILS} ({'; '.join(lost)})"])


def _mended(present: Present, places: Places) -> Overwrite | None:
    """What ends the taking out of a passphrase that a power cut interrupted."""
    if not present.interrupted or present.config is None or present.kept is None:
        return None
    found = mend(places.card_config, present.config, present.kept)
    return found and replace(found, mark=places.mark)


def _is_misread(present: Present, problems: tuple[str, ...]) -> bool:
    """Whether an earlier system took over what this one refuses."""
    return (
        bool(problems)
        and present.kept is not None
        and not _is_right(present.kept)
        and (present.config in {None, present.kept} or _differs_by_passphrase(present))
    )


def _differs_by_passphrase(present: Present) -> bool:
    """Whether the card's file is the last one that was right, with the passphrase still in it."""
    if present.wireless or present.config is None or present.kept is None:
        return False
    return mend(CONFIG_NAME, present.config, present.kept) is not None


def _can_go_on(present: Present) -> bool:
    """Whether the last configuration that was right can be used."""
    return _is_right(present.kept) and not _lacks_key(present.kept, present)


def _problems(present: Present) -> tuple[str, ...]:
    """Why the card's configuration is refused."""
    if present.config is None:
        return (MISNAMED if present.misnamed else NO_FILE,)
    problems = problems_of(present.config)
    if problems:
        return problems
    board = _board(present.config)
    found = []
    if board.timezone not in present.zones:
        found.append(
            f'[board] timezone is "{board.timezone}": this system knows no such time zone; '
            'they are called as "Europe/Berlin" is'
        )
    if board.wifi is not None:
        if _lacks_key(present.config, present) and _can_go_on(present):
            found.append(
                f'[board.wifi] psk is "{MOVED}", but this board has no key of that network: write '
                "its passphrase there again"
            )
        if _has_passphrase(board.wifi) and strike_out(CONFIG_NAME, present.config) is None:
            found.append('[board.wifi] psk has to be written plainly, as psk = "..." on one line')
    return tuple(found)


def _to_do(config: bytes, present: Present) -> list[str]:
    """What is missing in a configuration that is right."""
    read = _read(config)
    found = [] if read.attachments else [NO_ATTACHMENT]
    if not present.wireless and read.board is not None and read.board.wifi is not None:
        found.append(NO_WIRELESS)
    if _lacks_key(config, present):
        found.append(
            "Write the passphrase of the network into [board.wifi] psk again: this board has lost "
            "its key, and joins no wireless network until then."
        )
    return found


def _take_over(
    config: bytes, present: Present, places: Places
) -> tuple[list[Change], bytes, WifiKey | None]:
    """Keep the card's configuration; what it is without its passphrase, and the network's key."""
    wifi = _board(config).wifi
    edit = None
    key = present.key
    if wifi is not None and _has_passphrase(wifi):
        edit = strike_out(places.card_config, config)
        key = key_of(wifi, key)
        assert key is not None
    kept = struck(config, edit)
    if not present.wireless:
        # No use to this board: its owner may want it for another one.
        edit, key = None, present.key
    changes: list[Change] = []
    # In memory alone, the key would be gone at the next boot, and the passphrase with it.
    if present.lasting:
        if edit is not None:
            assert key is not None
            changes.append(WriteFile(places.key, format_key(key), 0o600, 0o700))
        changes.append(WriteFile(places.kept_config, kept, 0o600, 0o700))
        if edit is not None:
            changes.append(replace(edit, mark=places.mark))
    return changes, kept, key


def _make_so(config: bytes, key: WifiKey | None) -> list[Change]:
    """What a configuration without a passphrase makes of this boot's system."""
    board = _board(config)
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


def tell(page: str, places: Places, *, fault: bool) -> list[Change]:
    """The text for the owner; `fault` says whether the lamp tells it, too."""
    here = WriteFile(PROBLEM_HERE, page.encode()) if fault else RemoveFile(PROBLEM_HERE)
    # The card last: it may be what is broken.
    if page:
        return [here, WriteFile(places.problem, page.encode())]
    return [here, RemoveFile(places.problem)]


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


def _lacks_key(config: bytes | None, present: Present) -> bool:
    """Whether a configuration that is right wants a network whose key is not here."""
    wifi = None if config is None or not present.wireless else _board(config).wifi
    return wifi is not None and key_of(wifi, present.key) is None


def _board(config: bytes) -> BoardConfig:
    return _read(config).board or BoardConfig()


def _read(config: bytes) -> Config:
    """A configuration that was found right."""
    return decode_document(config, CONFIG_NAME, IMAGE_CONFIG_KIND)
