"""`--on USER@BOARD`: the same command, on another machine, over ssh.

It is taken out of the arguments before anything else looks at them, so that the other machine's
gadgetip, which may be another version, decides what they mean. What it prints and its exit status
come back as they are. Keys, ports, jumps and the like are ssh's business: USER@BOARD is whatever
`ssh` takes, an alias from its configuration too.

ssh hands one text to the login shell there. Every argument is quoted for it, and a small script of
`sh` gets them as they were. It uses sudo where the user is not root and sudo lets gadgetip through
without a password; else gadgetip runs as that user, and says so itself if it needs root.

A file that an argument names would be looked for there, where people do not mean it: that is
refused with a line that says so. The image of `board update` is opened here, and becomes the
standard input of the command there.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError, UsageError

OPTION = "--on"
SCRIPT = (
    'if [ "$(id -u)" != 0 ] && sudo -n -l "$0" >/dev/null 2>&1; '
    'then exec sudo -n "$0" "$@"; else exec "$0" "$@"; fi'
)
"""What `sh` runs there; "$0" is gadgetip. No single quote may be in it."""

FILE_OPTIONS = ("--config", "--descriptors", "--policy", "--save")
"""Options whose value is a file."""
FILE_COMMANDS = {
    ("check",): "check it here, without --on",
    ("profile", "import"): "import it here, and copy the result",
}
"""Commands whose arguments are files: what to do instead."""
PROFILE_READERS = ("profile show", "profile export")
"""Commands that take a name, which is looked up there, or the path of a file."""
_OUTPUT = re.compile(r"-[vq]*o(?P<short>.*)|--output(?P<long>=.*)?", re.DOTALL)
IMAGE_WORDS = ("board", "update", "IMAGE")
"""The words of the one command whose file is sent along."""
SSH_FAILED = 255
NOT_FOUND = 127


def take_destination(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split `--on USER@BOARD` off: where to run it, None for here, and all other arguments.

    What follows a `--` is left alone. Raises `UsageError` for no value, two of them, or one that
    ssh would take for an option.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found: list[str] = []
    rest: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        if word == OPTION:
            found.append(next(words, ""))
        elif word.startswith(f"{OPTION}="):
            found.append(word.removeprefix(f"{OPTION}="))
        else:
            rest.append(word)
    rest.extend(arguments[end:])
    if not found:
        return None, rest
    if len(found) > 1:
        raise UsageError(f"{OPTION} is given twice")
    destination = found[0]
    if (
        not destination
        or destination.startswith("-")
        or any(c.isspace() or not c.isprintable() for c in destination)
    ):
        raise UsageError(f"{OPTION} takes USER@BOARD as ssh does, and {destination!r} is none")
    return destination, rest


def refuse_files(arguments: Sequence[str]) -> None:
    """Raise `UsageError` where an argument names a file, which is here and not there."""
    words = [each for each in arguments if not each.startswith("-")]
    for command, instead in FILE_COMMANDS.items():
        if tuple(words[: len(command)]) == command:
            raise UsageError(f"`{' '.join(command)}` reads a file of this machine: {instead}")
    for index, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if not equals:
            value = next(iter(arguments[index + 1 : index + 2]), "")
        if option in FILE_OPTIONS or (option == "--profile" and _is_path(value)):
            raise UsageError(
                f"{option} names a file, and {OPTION} looks for none here: log in with ssh, and "
                "run the command there"
            )
    called = " ".join(words[: 2 if words[:1] in (["profile"], ["board"]) else 1])
    if called in PROFILE_READERS and any(map(_is_path, words[2:])):
        raise UsageError(f"`{called}` would read that file there: do it here, without {OPTION}")
    written = _output_of(arguments)
    if (called in {"report", "board selftest"} and written != "-") or (
        words[:1] == ["profile"] and written not in {None, "-"}
    ):
        raise UsageError(
            f"`{called} {OPTION} ...` would leave its file there: write it here with `-o - >FILE`"
        )


def _is_path(value: str) -> bool:
    return "/" in value or value.endswith(".toml")


def _output_of(arguments: Sequence[str]) -> str | None:
    """The value of -o or --output, in each way to write it; the last one counts, as in click."""
    found = None
    words = iter(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    for word in words:
        match = _OUTPUT.fullmatch(word)
        if match is not None:
            value = match["short"] if match["long"] is None else match["long"][1:]
            found = value or next(words, "")
    return found


def remote_command(arguments: Sequence[str]) -> str:
    """The text for the login shell there: gadgetip with exactly these arguments."""
    return shlex.join(["exec", "sh", "-c", SCRIPT, "gadgetip", *arguments])


def ssh_command(destination: str, arguments: Sequence[str], *, terminal: bool) -> list[str]:
    """The ssh of this machine; `terminal` asks for one there, so that Ctrl-C arrives."""
    quiet = ["-o", "LogLevel=ERROR"]  # errors, but no "Connection to BOARD closed."
    wish = ["-t"] if terminal else ["-T"]
    return ["ssh", *quiet, *wish, destination, remote_command(arguments)]


def take_image(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The image that `board update` names, if it is a file, and the arguments for there."""
    rest = list(arguments)
    end = rest.index("--") if "--" in rest else len(rest)
    words = [
        index
        for index, each in enumerate(rest)
        if index > end or (index < end and (each == "-" or not each.startswith("-")))
    ]
    if [rest[index] for index in words[:2]] != ["board", "update"] or len(words) != len(
        IMAGE_WORDS
    ):
        return None, rest
    image, rest[words[2]] = rest[words[2]], "-"
    return (None if image == "-" else image), rest


def run_on(destination: str, arguments: Sequence[str]) -> int:
    """Run gadgetip there, with this process's standard streams; returns its exit status.

    Raises `UsageError` for files, `PrerequisiteError` without ssh here or gadgetip there,
    `GadgetipError` for an image that cannot be read, and when ssh failed; it has said why on
    standard error.
    """
    refuse_files(arguments)
    image, arguments = take_image(arguments)
    if image is None:
        return _run_ssh(destination, arguments, None)
    try:
        file = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise GadgetipError(f"{image}: {error.strerror}") from None
    try:
        return _run_ssh(destination, arguments, file)
    finally:
        os.close(file)


def _run_ssh(destination: str, arguments: Sequence[str], stdin: int | None) -> int:
    terminal = stdin is None and sys.stdin.isatty() and sys.stdout.isatty()
    command = ssh_command(destination, arguments, terminal=terminal)
    interrupted = False

    def leave_it_to_ssh(_: int, __: FrameType | None) -> None:
        # Ctrl-C reaches ssh as well, which ends, or hands it on where it has a terminal there.
        nonlocal interrupted
        interrupted = True

    before = signal.signal(signal.SIGINT, leave_it_to_ssh)
    try:
        try:
            process = subprocess.Popen(command, stdin=stdin)
        except FileNotFoundError:
            raise PrerequisiteError("there is no ssh here: apt install openssh-client") from None
        with process:
            status = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted and status < 0:
        return ExitStatus.DONE
    if status == SSH_FAILED or status < 0:
        raise GadgetipError(f"ssh to {destination} failed: try `ssh {destination} true`")
    if status == NOT_FOUND:
        raise PrerequisiteError(f"{destination} has no gadgetip on its PATH: install it there")
    return status
