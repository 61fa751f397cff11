"""What the host will see that differs from the device, in words, before anything is bound."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a deviation matters."""

    INFO = "info"
    """Visible to whoever compares descriptors; no driver cares."""

    DEGRADED = "degraded"
    """Something that the device can do does not work, or works less well."""

    REFUSED = "refused"
    """The replica would not work: it is not built."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference: how bad, which descriptor it concerns, and why it is so."""

    severity: Severity
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"
