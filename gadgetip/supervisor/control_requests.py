"""What the commands ask a supervisor that runs: `status`, `log`, `start`, `stop` and the like.

    {"command": "status", "names": ["stick"]}
    {"command": "log", "name": "stick", "lines": 100, "after": 0}
    {"command": "stop", "names": []}                    all of them
    {"command": "reload"}

Requests come from root and from the group that may use the socket; they are checked all the same,
because a wrong type must not end the service.
"""

from collections.abc import Callable
from typing import Any

from gadgetip.errors import GadgetipError
from gadgetip.service.control import Request
from gadgetip.supervisor.log_ring import LINES
from gadgetip.supervisor.reloading import Changes
from gadgetip.supervisor.supervisor import Supervisor


class ControlRequests:
    """Answers the requests; `reload` reads the configuration again and follows it."""

    def __init__(
        self,
        supervisor: Supervisor,
        about: Callable[[], dict[str, object]],
        reload: Callable[[], Changes],
    ) -> None:
        self._supervisor = supervisor
        self._about = about
        self._reload = reload

    async def handle(self, request: Request) -> dict[str, object]:
        """Do what is asked; raises `GadgetipError` that says why not."""
        command = request["command"]
        if command == "status":
            chosen = self._supervisor.choose(_names(request))
            return {
                "supervisor": self._about(),
                "attachments": [each.as_json() for each in chosen],
            }
        if command == "log":
            return self._log(request)
        if command == "reload":
            changed = self._reload()
            return {
                "added": changed.added,
                "removed": changed.removed,
                "changed": changed.changed,
            }
        actions = {
            "start": self._supervisor.start,
            "stop": self._supervisor.stop,
            "restart": self._supervisor.restart,
        }
        if command not in actions:
            raise GadgetipError(f"the supervisor knows no command {command!a}")
        names = _names(request)
        await actions[command](names)
        return {"names": [each.name for each in self._supervisor.choose(names)]}

    def _log(self, request: Request) -> dict[str, object]:
        [each] = self._supervisor.choose([_text(request, "name")])
        lines = each.log.last(_count(request, "lines", LINES), _count(request, "after", 0))
        return {
            "supervisor": self._about(),
            "newest": each.log.newest,
            "lines": [{"number": ln.number, "at": ln.at, "text": ln.text} for ln in lines],
        }


def _names(request: Request) -> list[str]:
    names: Any = request.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GadgetipError("names is a list of texts")
    return list(dict.fromkeys(names))


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise GadgetipError(f"{key} is a text")
    return value


def _count(request: Request, key: str, default: int) -> int:
    value = request.get(key, default)
    if type(value) is not int or value < 0:
        raise GadgetipError(f"{key} is a number")
    return value
