"""diagnosis: what is wrong with this machine, and what somebody else needs to know to say so.

    facts        what was read, as values; `gather_*` read it, and change nothing
    findings     what follows from facts (`machine`, `board`, `serving`, `client`): pure decisions
    doctor       both together
    report       one text for a bug report, with what is private taken out (`redaction`)

The room sits on top of all others but the command line: it asks each for what it knows.
"""

from gadgetip.diagnosis.doctor import Diagnosis, diagnose
from gadgetip.diagnosis.finding import Finding, State, exit_status, worst
from gadgetip.diagnosis.roles import Role

__all__ = ["Diagnosis", "Finding", "Role", "State", "diagnose", "exit_status", "worst"]
