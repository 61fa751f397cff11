"""A finding: one prerequisite, how it is here, and what to do about it.

The decisions (`board`, `server`, `client`, `network`) make findings out of facts and touch nothing;
printing them, as lines or as JSON, is somebody else's. A script wants one number: `worst` says it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from gadgetip.errors import ExitStatus


class State(StrEnum):
    """How a prerequisite is.

    `NOTE` is worth knowing and harmless here, `WARNING` bites in some use, `FAILED` means that the
    role does not work.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


_ORDER = tuple(State)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: `subject` in a word or two, `found` a sentence, `remedy` what to do.

    `role` is "board", "server", "client" or "machine" (what all of them need). The remedy is empty
    where nothing has to be done.
    """

    role: str
    subject: str
    state: State
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """The same, as `doctor --json` and the report show it."""
        return {name: str(value) for name, value in asdict(self).items()}


def worst(findings: Iterable[Finding]) -> State:
    """The worst state among findings; `State.OK` of none."""
    return max((each.state for each in findings), key=_ORDER.index, default=State.OK)


def exit_status(findings: Iterable[Finding]) -> ExitStatus:
    """What `doctor` exits with: a failed prerequisite is a missing one."""
    return ExitStatus.PREREQUISITE if worst(findings) is State.FAILED else ExitStatus.DONE


class Findings:
    """Collects the findings of one role."""

    def __init__(self, role: str) -> None:
        self._role = role
        self.made: list[Finding] = []

    def ok(self, subject: str, found: str) -> None:
        """Add what is as it should be."""
        self.made.append(Finding(self._role, subject, State.OK, found))

    def note(self, subject: str, found: str, remedy: str = "") -> None:
        """Add what is worth knowing."""
        self.made.append(Finding(self._role, subject, State.NOTE, found, remedy))

    def warning(self, subject: str, found: str, remedy: str) -> None:
        """Add what bites in some use."""
        self.made.append(Finding(self._role, subject, State.WARNING, found, remedy))

    def failed(self, subject: str, found: str, remedy: str) -> None:
        """Add what makes the role impossible."""
        self.made.append(Finding(self._role, subject, State.FAILED, found, remedy))
