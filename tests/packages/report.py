"""What is said while it runs, and what is raised when something is wrong."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class PackageError(Exception):
    """A package, or the system it is tried on, does not do what it should."""


@contextmanager
def step(target: str, what: str) -> Iterator[None]:
    """Say what was done and how long it took; what is raised is told which step it was in."""
    began = time.monotonic()
    try:
        yield
    except PackageError as error:
        raise PackageError(f"{target}: {what}: {error}") from error
    print(f"{target}: {what}: ok ({time.monotonic() - began:.0f} s)", flush=True)
