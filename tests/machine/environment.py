"""What a command in the guest finds around itself: environment and directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import guest, places

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSED = ("GADGETIP_", "PYTEST_", "HYPOTHESIS_")  # prefixes of what goes in from outside
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def variables(outside: Mapping[str, str], results: Path) -> dict[str, str]:
    """The environment of a command inside."""
    inside = {name: value for name, value in outside.items() if name.startswith(PASSED)}
    inside |= {name: outside[name] for name in ("CI", "TERM", "NO_COLOR") if name in outside}
    return inside | {
        "GADGETIP_BENCH": "guest",
        "GADGETIP_RESULTS": str(results),
        "HOME": str(guest.HOME),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
        "PYTHONDONTWRITEBYTECODE": "1",  # the checkout is read-only there
        "PYTHONFAULTHANDLER": "1",
        "PYTHONUNBUFFERED": "1",
        "USER": "root",
    }


def directory() -> str:
    """Where a command inside starts: here, if the guest has the place too, else the checkout."""
    here = Path.cwd()
    return str(here if here.is_relative_to(places.CHECKOUT) else places.CHECKOUT)
