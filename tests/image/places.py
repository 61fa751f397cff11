"""Where these tests keep their things: below build/, which `make clean` removes."""

import os
from pathlib import Path

from tests.machine import places

CHECKOUT = places.CHECKOUT
DEFAULT_BOARD = "pi-zero-2w"


def board() -> str:
    """The board whose image is tested: $GADGETIP_BOARD."""
    return os.environ.get("GADGETIP_BOARD") or DEFAULT_BOARD


def images() -> Path:
    """Where `make image` puts its images, or $GADGETIP_IMAGES."""
    return Path(os.environ.get("GADGETIP_IMAGES") or CHECKOUT / "build" / "image").resolve()


def scratch() -> Path:
    """Cards, consoles, other images: large, and worth nothing afterwards."""
    path = CHECKOUT / "build" / "test-image" / board()
    path.mkdir(parents=True, exist_ok=True)
    return path
