"""Whether a gap was reported: what the serial load's oracle found against what was said. Pure.

A report is a moment in which somebody said that bytes are or may be lost: gadgetip in the
attachment's log, with how many where it knows; or the host itself, that reset its own port.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.lines import Gap

SLACK_S = 5.0
"""A gap is seen when the next line comes, and a report is read when a log is."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something was lost, at a time; `bytes` is at most how many, None where that is not said."""

    at: float
    text: str
    bytes: int | None = None


def unreported(gaps: Sequence[Gap], reports: Sequence[Report]) -> list[str]:
    """The gaps that nobody reported, or not at their size.

    Where an end was opened anew a report of any kind will do: how much lay in the buffers of the
    kernel that closed it, gadgetip cannot know.
    """
    faults = []
    for gap in gaps:
        near = [r for r in reports if gap.begin_s - SLACK_S <= r.at <= gap.end_s + SLACK_S]
        said = sum(report.bytes or 0 for report in near)
        if near and (gap.cut or said >= gap.bytes):
            continue
        faults.append(
            f"{gap.bytes} bytes from line {gap.first} on are missing, between {gap.begin_s:.1f} "
            f"and {gap.end_s:.1f}; reported: {[r.text for r in near] or 'nothing'}"
        )
    return faults
