"""A desk with both machines, a card, and somebody who writes files onto it.

desk = Desk(board, directory)
desk.write_config(); desk.power_on(); desk.wait_until_attached(300)
desk.ask("systemctl --failed")
desk.cut()
"""

import contextlib
import shlex
import shutil
import tempfile
from pathlib import Path

from board.image.boards import BOARDS
from gadgetip.appliance.slots import CONFIRMED, Slot
from tests.image import artifact, asking
from tests.image.asking import Asking
from tests.image.card import Card
from tests.image.console import Console
from tests.image.emulator import MODELS, Board
from tests.image.server import ADDRESS, KEYBOARD, STICK, STICK_SERIAL, Server
from tests.machine.errors import BenchError
from tests.system.waiting import wait_for

CONFIG_NAME = "gadgetip.toml"
PROBLEM_NAME = "gadgetip-problem.txt"
EXTRA = b"extra=modules_load=dummy_hcd dummy_hcd.num=2\n"
"""The board's two controllers, and with them the two cables to the host that is itself."""

HOSTNAME, ZONE = "testdongle", "Europe/Berlin"
SSID, PASSPHRASE = "a network", "quite secret passphrase"

U_BOOT = r"^U-Boot 20"
KERNEL = r"Starting kernel"
SLOT = r"gadgetip: booting slot (\w)"

BOOT_LIMIT_S = 1200.0
"""From power-on to a login: without KVM, on a busy computer, a boot takes minutes."""
ATTACH_LIMIT_S = 1200.0

CONFIRM_LIMIT_S = 600.0

SEEN = (
    f"grep -qs {STICK_SERIAL} /sys/bus/usb/devices/*/serial && "
    "grep -qs 0627 /sys/bus/usb/devices/*/idVendor"
)
"""On the board: whether its own host sees both replicas."""
WRITE_STATE = f"""
cd /var/lib/gadgetip
(while :; do dd if=/dev/urandom of=noise.new bs=64K count=8 status=none
    mv noise.new noise; sync -f .; done) &
round=0
while echo "round $round"; do
    gadgetip stop {STICK} >/dev/null && gadgetip start {STICK} >/dev/null
    round=$((round + 1))
done
"""
"""On the board: what is kept changes all the time, beside other files that come and go."""


def config(keys: list[str], *, wireless: bool) -> str:
    """An owner's gadgetip.toml."""
    listed = ", ".join(f'"{key}"' for key in keys)
    attachments = "".join(
        f'[[attachment]]\nname = "{name}"\nserver = "{ADDRESS}"\nmatch = {{ busid = "{name}" }}\n\n'
        for name in (STICK, KEYBOARD)
    )
    wifi = f'\n[board.wifi]\ncountry = "DE"\nssid = "{SSID}"\npsk = "{PASSPHRASE}"\n'
    return (
        f'# written by the test\nschema = "config/1"\n\n{attachments}'
        f'[board]\nhostname = "{HOSTNAME}"\ntimezone = "{ZONE}"\nssh_keys = [{listed}]\n'
        f"{wifi if wireless else ''}"
    )


class Desk:
    """Everything of a session."""

    def __init__(self, board: str, directory: Path) -> None:
        if board not in MODELS:
            raise BenchError(
                f"QEMU has no machine with a network that stands in for a {board}; these can be "
                f"tested: {', '.join(MODELS)}"
            )
        self.model = MODELS[board]
        self.wireless = BOARDS[board].wireless
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.image = artifact.find(board).unpacked()
        self.exchange = directory / "exchange"
        self._sockets = Path(tempfile.mkdtemp(prefix="gadgetip-"))
        self._boots = self._logins = 0
        self._board: Board | None = None
        self._ask: Asking | None = None
        self.card = self.new_card()
        try:
            self.server = Server(directory, self.exchange, self._sockets)
            self.key = asking.make_key(self.server)
        except BaseException:
            shutil.rmtree(self._sockets)
            raise

    def close(self) -> None:
        """End both machines; cards stay to be looked at."""
        with contextlib.suppress(AssertionError):
            self.cut()
        self.server.close()
        shutil.rmtree(self._sockets)

    def new_card(self) -> Card:
        """Flash the image onto the card, and put on it what all these tests need."""
        self.card = self.image.copy(self.directory / "card.img")
        self.card.put("extra.txt", EXTRA)
        return self.card

    def config(self) -> str:
        """A gadgetip.toml that is right."""
        return config([self.key], wireless=self.wireless)

    def write_config(self, text: str | None = None) -> None:
        """Put a gadgetip.toml on the card, this one or the right one."""
        self.card.put(CONFIG_NAME, (self.config() if text is None else text).encode())

    @property
    def board(self) -> Board:
        """The board, which has power."""
        assert self._board is not None, "the board has no power"
        return self._board

    @property
    def powered(self) -> bool:
        """Whether it has."""
        return self._board is not None and self._board.alive

    @property
    def console(self) -> Console:
        """Of this boot."""
        return self.board.console

    def power_on(self) -> Board:
        """A new boot."""
        assert not self.powered
        self._boots += 1
        place = self.directory / f"boot-{self._boots:02}"
        self._board = Board(self.model, self.card, self._sockets, place)
        return self._board

    def cut(self) -> float:
        """Take the power away; returns how long the board had it."""
        self.log_out()
        if self._board is None:
            return 0.0
        seconds = self._board.cut()
        self._board = None
        return seconds

    def wait_until_started(self, limit_s: float = 120.0, since: float = 0.0) -> None:
        """Return when U-Boot starts the kernel."""
        self.console.wait_for(KERNEL, limit_s, since)

    @property
    def ask(self) -> Asking:
        """The board by ssh, logged in at the first use of a boot."""
        if self._ask is None:
            asked = Asking(self.server, self._logins)
            self._logins += 1
            try:
                asked.connect(BOOT_LIMIT_S)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.console.tail(60)}") from error
            self._ask = asked
        return self._ask

    def log_in_for(self, command: str) -> str:
        """A line for the server's shell that runs a command on the board, in a login of its own."""
        return shlex.join(["ssh", *asking.OPTIONS, "-i", asking.KEY, asking.LOGIN, command])

    def log_out(self) -> None:
        """The board is gone, or about to go: another boot is another connection."""
        if self._ask is not None:
            self._ask.close()
            self._ask = None

    def wait_until_attached(self, limit_s: float = ATTACH_LIMIT_S) -> float:
        """Return when the board's own host sees both replicas; seconds since power-on."""
        self.ask(f"until {SEEN}; do sleep 0.3; done", limit_s=limit_s)
        return self.board.seconds

    def wait_until_running(self, limit_s: float = 120.0) -> None:
        """Return when the board itself says of both that they run."""
        self.ask(
            'until [ "$(gadgetip status | grep -c running)" = 2 ]; do sleep 1; done',
            limit_s=limit_s,
        )

    def wait_until_confirmed(self, slot: Slot) -> None:
        """Return when the board has told its boot loader that the running slot is well."""

        def confirmed() -> bool:
            states = [self.card.boot_state(copy) for copy in (0, 1)]
            return all(
                state is not None and state.preferred is slot and state.left(slot) == CONFIRMED
                for state in states
            )

        wait_for(confirmed, f"slot {slot} is found well", CONFIRM_LIMIT_S)

    def up(self) -> None:
        """A board that has power, a server that exports, replicas that are seen."""
        self.server.export()
        if not self.powered:
            self.power_on()
        self.wait_until_attached()
