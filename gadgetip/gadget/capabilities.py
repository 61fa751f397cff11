"""What a backend can do, as data for the plan.

The plan knows no backend by name. Each declares its limits in these terms, in its own file, and
the plan tries the device on all of them. A backend takes descriptors in one of two forms:

    function   the kernel composes the configuration: it numbers interfaces, endpoints and strings
               and takes only the descriptors that it knows (FunctionFS)
    raw        the configuration is given byte for byte, and whatever the kernel does not answer by
               itself is asked of the device: strings, alternate settings (GadgetFS)
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from gadgetip.errors import UsageError
from gadgetip.usb import Speed


class Form(StrEnum):
    """How a backend takes descriptors; see the head of this module."""

    FUNCTION = "function"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The limits of one backend.

    `max_configuration_bytes` and `max_control_bytes` bound a configuration and the data stage of
    a control request. `exclusive` says that the system can have one such replica. `unavailable` is
    why it cannot be used here and now, in words, `remedy` how to get past its byte limits; both
    are empty where there is nothing to say.
    """

    name: str
    form: Form
    max_speed: Speed
    max_configurations: int
    max_configuration_bytes: int
    max_control_bytes: int
    remote_wakeup: bool
    exclusive: bool = False
    unavailable: str = ""
    remedy: str = ""

    def without(self, reason: str) -> "Capabilities":
        """The same, which cannot be used, and why."""
        return replace(self, unavailable=reason)


@dataclass(frozen=True, slots=True, order=True)
class KernelVersion:
    """The numbers in front of a kernel's release string."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "KernelVersion":
        """Read "6.12", "6.12.117", "6.12.117+deb12-amd64"; raises `UsageError`."""
        match = re.match(r"(\d{1,4})\.(\d{1,4})(?![0-9])", text)
        if match is None:
            raise UsageError(f"{text!r} is no kernel version: write it like 6.12 or 6.1.192")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST_KERNEL = KernelVersion(6, 1)
"""The oldest whose sources were read for this program: Debian 12's own."""
