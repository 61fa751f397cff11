"""Asking the supervisor that runs on this machine."""

import os
import time
from typing import Any

from gadgetip.cli.output import Output
from gadgetip.errors import PrerequisiteError
from gadgetip.service.asking import NoAnswerError, ask
from gadgetip.supervisor.address import GROUP, SERVICE

LIMIT_S = 30.0
"""A device is given back before `stop` is answered, which is bounded by the supervisor."""

RETURN_LIMIT_S = 30.0
"""A supervisor that is started anew is waited for: seconds on a small board, and it ends first."""
RETURN_POLL_S = 0.5


def ask_supervisor(command: str, **fields: object) -> dict[str, Any]:
    """The answer; raises `PrerequisiteError` if there is nobody to ask, or we may not."""
    answer = ask(SERVICE, {"command": command, **fields}, LIMIT_S)
    if answer is not None:
        return answer
    if SERVICE.path.exists() and not os.access(SERVICE.path, os.W_OK):
        raise PrerequisiteError(
            f"asking the supervisor needs root or the group {GROUP}: try again with sudo"
        )
    raise PrerequisiteError(
        "no supervisor runs here: `sudo systemctl start gadgetip`, or `sudo gadgetip run`"
    )


def ask_again(output: Output, command: str, **fields: object) -> dict[str, Any]:
    """The answer of one that answered before; while it is away it is waited for, which is said.

    Raises as `ask_supervisor`, but that nobody is there after `RETURN_LIMIT_S` only.
    """
    deadline: float | None = None
    while True:
        try:
            return ask_supervisor(command, **fields)
        except (PrerequisiteError, NoAnswerError):
            if deadline is None:
                deadline = time.monotonic() + RETURN_LIMIT_S
                output.warn(
                    f"the supervisor is away; waiting for it, {RETURN_LIMIT_S:.0f} s at most"
                )
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETURN_POLL_S)
