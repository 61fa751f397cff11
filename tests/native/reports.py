"""What sanitizers wrote: one report after the other, and which of them are about our C.

Pure. A report is a paragraph or several: it begins with a line that names the fault and ends where
the next begins. It is ours where a frame of one of its stacks lies in our module or our sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

MODULE = "_native.abi3.so"
SOURCES = "gadgetip/pump/native/"

_BEGINS = re.compile(
    r"^(?:==\d+==ERROR: AddressSanitizer: |==\d+==ERROR: LeakSanitizer: "
    r"|(?:Direct|Indirect) leak of |WARNING: ThreadSanitizer: |\S+:\d+:\d+: runtime error: )",
    re.MULTILINE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LEAKS_FOLLOW = "LeakSanitizer: detected memory leaks"


@dataclass(frozen=True, slots=True)
class Report:
    """One fault: its text from the line that names it on."""

    text: str

    @property
    def title(self) -> str:
        """The line that names the fault."""
        return self.text.partition("\n")[0]

    @property
    def ours(self) -> bool:
        """Whether our C has a part in it."""
        return MODULE in self.text or SOURCES in self.text


def parse_reports(text: str) -> list[Report]:
    """Every report in what a sanitizer wrote; each leak is one."""
    text = _COLOURS.sub("", text)
    starts = [*(match.start() for match in _BEGINS.finditer(text)), len(text)]
    reports = [Report(text[start:end].strip()) for start, end in pairwise(starts)]
    return [report for report in reports if _LEAKS_FOLLOW not in report.title]
