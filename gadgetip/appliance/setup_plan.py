"""What `gadgetip board setup` changes on a system that somebody else has installed: a decision.

The package brings units, the udev rule and programs. What is left is what a package must not do by
itself: turning a Raspberry Pi's port into a device's, naming modules to load at boot, a first
configuration, and keeping a radio awake. Each is a file; what is there already stays.

Raspberry Pi OS alone needs an overlay. Debian's own device trees make the port of a Raspberry Pi an
OTG port, and those of a BeagleBone do so anyway.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gadgetip.diagnosis.kernel_texts import dwc2_mode, parse_config_txt

MODULES = "/etc/modules-load.d/gadgetip.conf"
CONFIGURATION = "/etc/gadgetip/gadgetip.toml"
RADIO = "/etc/NetworkManager/conf.d/gadgetip.conf"

_BEHIND_A_HUB = re.compile(r"Raspberry Pi (?:[23] )?Model B\b")

OVERLAY = "\n# gadgetip: the USB port is a device's\n[all]\ndtoverlay=dwc2,dr_mode=peripheral\n"

_MODULES_TEXT = "# gadgetip: what a replica needs, also where nobody may load modules later\n"
_RADIO_TEXT = """\
# gadgetip: a radio that saves power delays packets by up to a quarter of a second
[connection]
wifi.powersave = 2
"""
SKELETON = """\
# What gadgetip keeps attached. Every key: docs/configuration.md. After a change:
#   gadgetip check /etc/gadgetip/gadgetip.toml && sudo systemctl reload gadgetip
schema = "config/1"

# [[attachment]]
# name = "stick"                  # what status, log, start and stop call it
# server = "nas.lan"              # the machine that exports the device
# match = { id = "0781:5581" }    # `gadgetip list nas.lan` shows what there is
"""


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The system as it is.

    `raspberry_pi_os` says whether it is that. `config_txt` is the path of the firmware's file, None
    where there is none. `files` has the content of every file that is there and may be changed, by
    its path. `network_manager` says whether NetworkManager has a directory for configuration.
    `model` is the device tree's, "" without one.
    """

    raspberry_pi_os: bool
    config_txt: str | None
    network_manager: bool
    files: dict[str, bytes]
    model: str = ""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file: its content before, None where it is not there, and after; and what it is for."""

    path: str
    before: bytes | None
    after: bytes
    reason: str
    restart: bool = False
    """Whether it takes effect when the board is started again, and not before."""

    def diff(self) -> str:
        """As `diff -u` shows it."""
        return unified_diff(self.path, self.before, self.after)


def obstacle(system: SystemFacts) -> str | None:
    """Why this must not be made a board; None if nothing is known that speaks against it.

    Models B of the Raspberry Pi up to the third have one USB controller, with a hub behind it that
    has all their ports and their Ethernet. Made a device's, all of that is gone, login included.
    """
    if _BEHIND_A_HUB.match(system.model):
        return (
            f"this {system.model} cannot be a board: a hub with all its ports and its Ethernet is "
            "behind its only controller"
        )
    return None


def plan_setup(system: SystemFacts) -> tuple[FileChange, ...]:
    """What is missing, in the order in which it is to be done; nothing where all is there."""
    wanted = [
        _overlay(system),
        _new(system, MODULES, _modules(system), "modules to load at boot"),
        _new(system, CONFIGURATION, SKELETON, "a configuration to begin with"),
    ]
    if system.network_manager:
        wanted.append(_new(system, RADIO, _RADIO_TEXT, "Wi-Fi without pauses", restart=True))
    return tuple(change for change in wanted if change is not None)


def _overlay(system: SystemFacts) -> FileChange | None:
    if not system.raspberry_pi_os or system.config_txt is None:
        return None
    before = system.files.get(system.config_txt, b"")
    everywhere = [
        overlay
        for overlay in parse_config_txt(before.decode("utf-8", "replace"))
        if overlay.section == "all"
    ]
    mode = dwc2_mode(everywhere)
    if mode is not None and mode != "host":
        return None
    end = b"" if not before or before.endswith(b"\n") else b"\n"
    return FileChange(
        system.config_txt,
        before,
        before + end + OVERLAY.encode(),
        "the USB port becomes a device's; a hub, keyboard or network in it works no more",
        restart=True,
    )


def _modules(system: SystemFacts) -> str:
    names = ["dwc2"] if system.raspberry_pi_os else []
    return _MODULES_TEXT + "".join(f"{name}\n" for name in (*names, "libcomposite", "usb_f_fs"))


def _new(
    system: SystemFacts, path: str, text: str, reason: str, *, restart: bool = False
) -> FileChange | None:
    """A file that is made where it is missing; one that is there has an owner."""
    if path in system.files:
        return None
    return FileChange(path, None, text.encode(), reason, restart)


@dataclass(frozen=True, slots=True)
class Undoing:
    """What takes a file's changes back: the content to have, None for none; or why it is left."""

    path: str
    now: bytes | None
    after: bytes | None
    left: str = ""


AS_BEFORE = "it is as it was before"


def plan_undo(done: Iterable[FileChange], files: dict[str, bytes]) -> tuple[Undoing, ...]:
    """Take changes back, the last one first; `files` are as in `SystemFacts`.

    Each file is there once. In one that somebody has edited since, what was added is taken out if
    it can be told apart, and left where it cannot: whose work it is then, nobody knows.
    """
    found: dict[str, Undoing] = {}
    for change in reversed(list(done)):
        later = found.get(change.path)
        if later is None:
            found[change.path] = _undo(change, files.get(change.path))
            continue
        step = _undo(change, later.after)
        same = step.after == later.now
        left = (later.left or step.left or AS_BEFORE) if same else ""
        found[change.path] = Undoing(change.path, later.now, step.after, left)
    return tuple(found.values())


def _undo(change: FileChange, now: bytes | None) -> Undoing:
    if now == change.before:
        return Undoing(change.path, now, now, AS_BEFORE)
    if now == change.after:
        return Undoing(change.path, now, change.before)
    if now is None:
        return Undoing(change.path, None, None, "it is not there any more")
    if change.before is not None and change.after.startswith(change.before):
        added = change.after[len(change.before) :]
        if now.count(added) == 1:
            return Undoing(change.path, now, now.replace(added, b""))
    return Undoing(change.path, now, now, "it was edited since, so it stays")


def unified_diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """The difference between two contents, as `diff -u` shows it."""
    old, new = (
        [] if each is None else each.decode("utf-8", "replace").splitlines()
        for each in (before, after)
    )
    names = ["/dev/null" if each is None else path for each in (before, after)]
    return "\n".join(difflib.unified_diff(old, new, names[0], names[1], lineterm=""))
