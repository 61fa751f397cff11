"""hostile: devices and servers that mean harm, by name.

`HOSTILE` is the one table, so that tests are parametrised by it and a new way to be malicious is
one line: what it does, the device, the session (where the protocol itself is broken), and what a
client ought to make of it.

    descriptors   what a device may say of itself that is not true; the stub carries it faithfully
    protocol      what a server may send that USB/IP does not allow: the tables
    operations    ... where a device is listed or imported
    urbs          ... where URBs are answered
    lies          what hostile devices are made of

Names that begin with "data-" behave until URBs flow on an endpoint other than 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.emulated.device import EmulatedDevice
from tests.emulated.hostile import descriptors, protocol
from tests.emulated.hostile.lies import well_behaved
from tests.emulated.session import Session


@dataclass(frozen=True, slots=True)
class Hostile:
    """One way to mean harm.

    `says` is a regular expression that is found in the one line with which reading the device
    ends; None where it can be read and the harm is elsewhere. `status` is the exit status then.
    `slow`: it ends by a time limit. `attach_status` are the statuses with which an attachment may
    end; None where it may even work. `selector` is the DEVICE to ask for. `data_says` is found in
    what ends the stream once data flows; None where single transfers fail, or none.
    """

    summary: str
    make: Callable[[], EmulatedDevice]
    session: type[Session] = Session
    says: str | None = None
    status: int = 1
    slow: bool = False
    attach_status: frozenset[int] | None = None
    data_says: str | None = None
    selector: str = "1-1"

    @property
    def may_attach(self) -> bool:
        """Whether an attachment may come to life."""
        return self.says is None and self.attach_status is None


def _descriptors() -> dict[str, Hostile]:
    refused = {
        name: Hostile(summary, make, says=says)
        for name, (summary, make, says) in descriptors.MALFORMED.items()
    }
    slow = {
        name: Hostile(summary, make, says=says, slow=True)
        for name, (summary, make, says) in descriptors.SLOW.items()
    }
    readable = {
        name: Hostile(
            summary, make, attach_status=None if statuses is None else frozenset(statuses)
        )
        for name, (summary, make, statuses) in descriptors.READABLE.items()
    }
    return refused | slow | readable


def _protocol() -> dict[str, Hostile]:
    made = {}
    for name, (session, says, status) in protocol.BROKEN.items():
        summary = (session.__doc__ or "").splitlines()[0]
        made[name] = Hostile(
            summary,
            well_behaved,
            session,
            says,
            status,
            slow=name in protocol.SLOW,
            selector="1209:*" if name.startswith("list-") else "1-1",
        )
    for name, (session, data_says) in protocol.LATER.items():
        summary = (session.__doc__ or "").splitlines()[0] + " Only where data flows."
        made[name] = Hostile(
            summary,
            well_behaved,
            session,
            slow=name in protocol.SLOW,
            data_says=data_says,
        )
    return made


HOSTILE: dict[str, Hostile] = _descriptors() | _protocol()
