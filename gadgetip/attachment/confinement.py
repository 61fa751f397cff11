"""What a forked worker gives up: its parent's files, and its privileges."""

import contextlib
import os
import pwd
from collections.abc import Collection
from pathlib import Path

UNPRIVILEGED_USER = "nobody"


def let_go_of_all_but(kept: Collection[int]) -> None:
    """Close what a worker must not have: its keeper's end, and what the supervisor gave its keeper.

    The numbers lead nowhere from now on, rather than to what is opened next: the objects that hold
    them are still there.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number not in kept and number != nowhere:
            with contextlib.suppress(OSError):
                os.fstat(number)  # the directory that was listed is closed again
                os.dup2(nowhere, number, inheritable=False)
    os.close(nowhere)


def drop_privileges() -> None:
    """Become nobody: everything that a worker needs is open, or nobody's."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def worker_uid() -> int:
    """The user that a worker runs as: nobody, or whoever runs it where that is not root."""
    return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
