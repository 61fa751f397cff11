"""Servers that break USB/IP: before the import, at each answer, or only where data flows.

`BROKEN` misbehave from the beginning; by name: the session, what the one line must say, and the
exit status. `LATER` are the same sessions, but well-behaved on endpoint 0, so that a device can
be read and configured first; with what ends the stream, None where single URBs fail. `SLOW` end
by a limit of the client's.
"""

from tests.emulated.hostile.operations import (
    CloseAfterImport,
    ControlCharacters,
    DrippingImport,
    Garbage,
    HalfImportReply,
    ListOfMillions,
    ListOfTheSame,
    ListWithoutEnd,
    OtherBusid,
    OtherCode,
    OtherVersion,
    SilentImport,
    SpeedOutOfRange,
    UnknownOpStatus,
    Unterminated,
)
from tests.emulated.hostile.urbs import (
    ClientsCommand,
    CloseInsideHeader,
    Crash,
    DataForOut,
    Drip,
    Duplicate,
    Eoverflow,
    Eproto,
    Eshutdown,
    Flood,
    FloodAfterImport,
    HalfHeader,
    Huge,
    Misbehaving,
    Negative,
    Packets,
    PositiveStatus,
    RetUnlinkForNothing,
    ShortOut,
    TooLong,
    UnknownCommand,
    UnknownStatus,
    UnlinkTwice,
    UnlinkUnanswered,
    WrongSeqnum,
)
from tests.emulated.session import Session


def _where_data_flows(session: type[Misbehaving]) -> type[Misbehaving]:
    """The same, but well-behaved on endpoint 0."""
    name = f"{session.__name__}WhereDataFlows"
    return type(name, (session,), {"data_only": True, "__doc__": session.__doc__})


BROKEN: dict[str, tuple[type[Session], str | None, int]] = {
    "wrong-seqnum": (WrongSeqnum, r"RET_SUBMIT.seqnum is \d+", 1),
    "duplicate-ret-submit": (Duplicate, r"RET_SUBMIT.seqnum is \d+", 1),
    "too-long": (TooLong, r"RET_SUBMIT.actual_length is 19", 1),
    "huge": (Huge, r"RET_SUBMIT.actual_length is 2147483647", 1),
    "negative": (Negative, r"RET_SUBMIT.actual_length is -1, which is negative", 1),
    "iso-packets": (Packets, r"RET_SUBMIT.number_of_packets is 1000000", 1),
    "unknown-command": (UnknownCommand, r"command is 0x666", 1),
    "clients-command": (ClientsCommand, r"command is 0x1,", 1),
    "ret-unlink-for-nothing": (RetUnlinkForNothing, r"RET_UNLINK.seqnum is \d+", 1),
    "half-header": (HalfHeader, r"CMD_UNLINK unanswered", 4),
    "close-inside-header": (CloseInsideHeader, r"the stream ended inside", 1),
    "crash": (Crash, r"reset the connection", 4),
    "eshutdown": (Eshutdown, r"the device is gone", 3),
    "eoverflow": (Eoverflow, r"EOVERFLOW", 1),
    "eproto": (Eproto, r"EPROTO", 1),
    "positive-status": (PositiveStatus, r"status 2147483647", 1),
    "unknown-status": (UnknownStatus, r"status -2147483648", 1),
    "slow-drip": (Drip, r"did not answer|CMD_UNLINK unanswered", 4),
    "flood": (Flood, r"RET_SUBMIT.seqnum is \d+", 1),
    "flood-after-import": (FloodAfterImport, r"RET_SUBMIT.seqnum is \d+", 1),
    "garbage-after-import": (Garbage, r"command is 0xa5a5a5a5", 1),
    "import-of-another": (OtherBusid, r"busid is '9-9'", 1),
    "import-control-characters": (ControlCharacters, r"control characters", 1),
    "import-unterminated": (Unterminated, r"no terminating NUL", 1),
    "import-speed": (SpeedOutOfRange, r"speed 99", 1),
    "import-version": (OtherVersion, r"version", 1),
    "import-code": (OtherCode, r"code", 1),
    "import-status": (UnknownOpStatus, r"status", 1),
    "import-half": (HalfImportReply, r"said nothing", 4),
    "import-silent": (SilentImport, r"said nothing", 4),
    "import-drip": (DrippingImport, r"said nothing", 4),
    "close-after-import": (CloseAfterImport, r"(closed|reset) the connection", 4),
    "list-of-millions": (ListOfMillions, r"4294967295", 1),
    "list-without-end": (ListWithoutEnd, r"said nothing", 4),
    "list-of-the-same": (ListOfTheSame, r"matches 1000 devices", 1),
}

LATER: dict[str, tuple[type[Session], str | None]] = {
    f"data-{name}": (_where_data_flows(session), says)
    for name, session, says in (
        ("wrong-seqnum", WrongSeqnum, r"RET_SUBMIT.seqnum is \d+"),
        ("duplicate-ret-submit", Duplicate, r"RET_SUBMIT.seqnum is \d+"),
        ("too-long", TooLong, r"RET_SUBMIT.actual_length is \d+"),
        ("huge", Huge, r"RET_SUBMIT.actual_length is 2147483647"),
        ("negative", Negative, r"RET_SUBMIT.actual_length is -1"),
        ("iso-packets", Packets, r"RET_SUBMIT.number_of_packets is 1000000"),
        ("unknown-command", UnknownCommand, r"command is 0x666"),
        ("clients-command", ClientsCommand, r"command is 0x1,"),
        ("for-out", DataForOut, r"command is 0x0,"),
        ("ret-unlink-for-nothing", RetUnlinkForNothing, r"RET_UNLINK.seqnum is \d+"),
        ("half-header", HalfHeader, r"CMD_UNLINK unanswered"),
        ("close-inside-header", CloseInsideHeader, r"the stream ended inside"),
        ("crash", Crash, r"reset the connection"),
        ("eshutdown", Eshutdown, None),
        ("eoverflow", Eoverflow, None),
        ("eproto", Eproto, None),
        ("positive-status", PositiveStatus, None),
        ("unknown-status", UnknownStatus, None),
        ("short-out", ShortOut, None),
        ("unlink-unanswered", UnlinkUnanswered, r"CMD_UNLINK unanswered"),
        ("unlink-twice", UnlinkTwice, r"RET_UNLINK.seqnum is \d+"),
        ("slow-drip", Drip, r"CMD_UNLINK unanswered"),
        ("flood", Flood, r"RET_SUBMIT.seqnum is \d+"),
    )
}

SLOW = {
    "half-header",
    "slow-drip",
    "import-half",
    "import-silent",
    "import-drip",
    "list-without-end",
    "data-half-header",
    "data-slow-drip",
    "data-unlink-unanswered",
    "data-unlink-twice",
}
