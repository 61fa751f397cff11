"""Where the bench keeps its things, outside the guest."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """What is worth keeping between checkouts: kernels, and whether KVM works."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gadgetip"


def machines() -> Path:
    """One directory for each machine: its kernel log, its results, how to reach it."""
    return CHECKOUT / "build" / "machine"
