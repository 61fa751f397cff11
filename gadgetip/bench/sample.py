"""What is looked at, again and again, while an attachment is watched; nothing here has effects."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gadgetip.attachment.traffic import Traffic


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """What some processes and the machine had used at `at_s` (CLOCK_MONOTONIC).

    All other times are seconds of a processor. `user_s` and `system_s` are the processes' own,
    `threads_s` has both together for each of their threads, by thread id. `busy_s` is what all
    processors of the machine, `processors` of them, were not idle, whoever used it: the kernel's
    own work for USB and network is in it.
    """

    at_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    threads_s: Mapping[int, float] = field(default_factory=dict)
    busy_s: float = 0.0
    processors: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """The traffic as it was counted at `at_s` (CLOCK_MONOTONIC), and what it had cost by then."""

    at_s: float
    traffic: Traffic
    used: ProcessorUse
