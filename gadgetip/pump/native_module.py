"""The native pump's module, where it was built: `gadgetip.pump._native`.

It is an extension module that the package's installation compiles if it can. Without it everything
works, through the Python pump; only speed differs. This is the one place that imports it, so that
its absence is a fact with a reason and not an error.
"""

from importlib import import_module
from types import ModuleType

NAME = "gadgetip.pump._native"
HOW_TO_GET_IT = (
    "apt install gcc python3-dev and install gadgetip again, or install a wheel made for this "
    "machine (docs/native-pump.md)"
)


def native_module() -> ModuleType | None:
    """The module, or None where it cannot be used; `why_not` then says why."""
    return _look()[0]


def why_not() -> str:
    """Why the native pump cannot be used, in words that follow "the native pump"; "" if it can."""
    return _look()[1]


def pump_in() -> str:
    """Which pump this installation has, as `gadgetip --version` says it."""
    reason = why_not()
    return f"Python pump: the native one {reason}" if reason else "native pump"


def _look() -> tuple[ModuleType | None, str]:
    try:
        return import_module(NAME), ""
    except ModuleNotFoundError as error:
        if error.name == NAME:
            return None, "is not built"
        return None, f"cannot be loaded ({error})"
    except ImportError as error:
        # Built for another machine, C library or Python.
        return None, f"cannot be loaded ({error})"
