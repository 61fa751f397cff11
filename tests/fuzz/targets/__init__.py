"""What is fuzzed: each target is one function from bytes to the count of messages in them.

A target raises whatever goes wrong; an `AssertionError` is an invariant that does not hold.
"""

import importlib
from collections.abc import Callable

Target = Callable[[bytes], int]

NAMES = ("client", "server", "session", "toml", "descriptors")
"""A module here each, with a function `run`."""


def target(name: str) -> Target:
    """The target of this name; its module is imported now, and what it tests with it."""
    run: Target = importlib.import_module(f"tests.fuzz.targets.{name}").run
    return run
