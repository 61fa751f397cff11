"""The root of every error that a user can cause or meet.

This is the ground floor: it imports nothing and everything may import it. Two kinds by blame sit
below the root, as in the protocol libraries that this project learned from: a
`LocalProtocolError` is our bug, a `RemoteProtocolError` is the peer's. Every other error that a
person at a command line can cause is a subclass that knows the exit status that tells scripts
what happened; the message is one line that says what is wrong and what to do.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses that scripts may rely on (the same for every command)."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    UNPLUGGED = 3
    LINK_LOST = 4
    REFUSED = 5
    PREREQUISITE = 6
    DEGRADED = 7


class GadgetipError(Exception):
    """What went wrong, in one line that also says what to do about it."""

    exit_status = ExitStatus.ERROR


class LocalProtocolError(GadgetipError):
    """We asked the protocol for something that it does not allow: a bug of ours."""


class RemoteProtocolError(GadgetipError):
    """The peer broke the protocol; the message names the field and the value."""


class UsageError(GadgetipError):
    """What was asked for cannot be understood, or matches more than one thing."""

    exit_status = ExitStatus.USAGE


class PrerequisiteError(GadgetipError):
    """This machine lacks something: a module, a mount, a privilege, a free controller."""

    exit_status = ExitStatus.PREREQUISITE


class RefusedError(GadgetipError):
    """The plan says that this device cannot be rebuilt here; the message says why."""

    exit_status = ExitStatus.REFUSED


class DeviceUnpluggedError(GadgetipError):
    """The server is there, the device is not any more."""

    exit_status = ExitStatus.UNPLUGGED


class LinkLostError(GadgetipError):
    """The connection to the server ended, or no answer came in time."""

    exit_status = ExitStatus.LINK_LOST
