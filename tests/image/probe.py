"""A unit of the test's own in a board that nobody can log in to: what it says, the console shows.

The image is not changed. The unit is a credential on the kernel's command line, which systemd takes
for a unit (`systemd.extra-unit.`, systemd.system-credentials(7)); what it runs is a file that lies
on the card's first partition, beside gadgetip.toml, because the kernel of a 32-bit Arm takes no
more than 1024 bytes of arguments.
"""

import base64
import re
from dataclasses import dataclass

from tests.image.card import Card
from tests.image.console import Console

SCRIPT = "probe.sh"
# After all else: what it runs would take the boot's time on an emulated processor.
_UNIT = f"""\
[Unit]
After=gadgetip-card.service gadgetip.service
[Service]
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/console
ExecStart=/bin/sh /boot/firmware/{SCRIPT}
"""
_HEAD = """\
say() { echo "probe: $* at $(cut -d' ' -f1 /proc/uptime)"; }
"""


@dataclass(frozen=True, slots=True)
class Said:
    """Words of the probe's, and when it said them: seconds of the board's clock since its start."""

    text: str
    at: float


def put(card: Card, script: str) -> str:
    """Have a card run a script, in which `say KEY WORD...` tells; returns kernel arguments."""
    card.put(SCRIPT, (_HEAD + script).encode())
    unit = base64.b64encode(_UNIT.encode()).decode()
    return (
        "systemd.wants=probe.service "
        f"systemd.set_credential_binary=systemd.extra-unit.probe.service:{unit}"
    )


def said(console: Console, key: str, limit_s: float) -> Said:
    """What it has told under this key, as soon as it has; raises NotSeen."""
    # The time ends the line: a console shows half of one, too.
    pattern = rf"probe: {re.escape(key)} ?(.*) at (\d+\.\d\d)"
    found = re.search(pattern, console.wait_for(pattern, limit_s).text)
    assert found is not None
    return Said(found[1], float(found[2]))
