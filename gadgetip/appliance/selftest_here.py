"""What this board says of itself, read now."""

import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

from gadgetip import __version__
from gadgetip.appliance.lamp import choose_lamp
from gadgetip.appliance.selftest import BoardNow
from gadgetip.diagnosis import Role, diagnose
from gadgetip.diagnosis.gather_machine import read_device_tree_model
from gadgetip.diagnosis.kernel_texts import parse_device_tree_text
from gadgetip.diagnosis.redaction import Redactor
from gadgetip.diagnosis.report import known_serials, machine_and_user_names
from gadgetip.diagnosis.system_files import children, read_text
from gadgetip.supervisor.board_config import IMAGE_FILE

THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
WATCHDOG = Path("/sys/class/watchdog/watchdog0/identity")
LEDS = Path("/sys/class/leds")
UDCS = Path("/sys/class/udc")
UNIT = "gadgetip.service"


def board_now() -> BoardNow:
    """Look at this machine as a board; nothing is changed, and what is private is taken out."""
    about = (
        ("gadgetip", __version__),
        ("board", parse_device_tree_text(read_device_tree_model()) or "no device tree"),
        ("image", read_text(IMAGE_FILE).strip() or "none: set up on an existing system"),
        ("slot", _slot()),
        ("start", _start()),
        ("system", _system()),
        ("kernel", f"{os.uname().release} {os.uname().machine}"),
        ("Python", platform.python_version()),
        ("controllers", ", ".join(_controllers()) or "none"),
        ("lamp", choose_lamp(path.name for path in children(LEDS)) or "none that is known"),
        ("watchdog", read_text(WATCHDOG).strip() or "none"),
        ("power", _power()),
    )
    redactor = Redactor(known_serials(), addresses=True, names=machine_and_user_names())
    findings = (
        replace(each, subject=redactor.redact(each.subject), found=redactor.redact(each.found))
        for each in diagnose(Role.BOARD).findings
    )
    return BoardNow(about, tuple(findings))


def is_image() -> bool:
    """Whether this board was flashed."""
    return IMAGE_FILE.exists()


def _slot() -> str:
    words = read_text("/proc/cmdline").split()
    found = [word.partition("=")[2] for word in words if word.startswith("gadgetip.slot=")]
    return found[-1] if found else "none"


def _start() -> str:
    """How long after the kernel's start the supervisor was ready, the last time that it started."""
    command = ["systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic"]
    try:
        done = subprocess.run(
            [*command, UNIT], capture_output=True, text=True, check=False, timeout=10
        )
        after_us = int(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        after_us = 0
    return f"supervisor ready after {after_us / 1e6:.1f} s" if after_us else "no supervisor runs"


def _system() -> str:
    for line in read_text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "not known"


def _controllers() -> list[str]:
    return [
        f"{path.name} ({read_text(path / 'state').strip()}, "
        f"{read_text(path / 'current_speed').strip()})"
        for path in children(UDCS)
    ]


def _power() -> str:
    """A Raspberry Pi's firmware has bits for what it has seen (`vcgencmd get_throttled`)."""
    text = read_text(THROTTLED).strip()
    try:
        seen = int(text, 16)
    except ValueError:
        return "not measured on this board"
    return "too little voltage was seen" if seen & 0x10001 else "enough voltage so far"
