"""Asking the supervisor that runs on this machine."""

import os
from typing import Any

from gadgetip.errors import PrerequisiteError
from gadgetip.service.control import ask
from gadgetip.supervisor.control_requests import GROUP, SERVICE

LIMIT_S = 30.0
"""A device is given back before `stop` is answered, which is bounded by the supervisor."""


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
