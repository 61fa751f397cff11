"""Help, usage, and where every error ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from gadgetip import __version__
from gadgetip.cli.main import COMMANDS, cli
from gadgetip.errors import (
    DeviceUnpluggedError,
    ExitStatus,
    GadgetipError,
    LinkLostError,
    LocalProtocolError,
    PrerequisiteError,
    RefusedError,
    RemoteProtocolError,
    UsageError,
)
from gadgetip.pump.native_module import pump_in

from .running import Command


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(gadgetip: Command, flag: str) -> None:
    run = gadgetip(flag)
    assert (run.status, run.err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in run.out
    assert "Exit status: 0 done" in run.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_has_an_example_and_fits_a_terminal(gadgetip: Command, name: str) -> None:
    run = gadgetip(name, "--help")
    assert (run.status, run.err) == (0, "")
    assert f"gadgetip {name}" in run.out
    assert "Example" in run.out
    assert max(map(len, run.out.splitlines())) <= 100


def test_every_command_goes_by_the_name_that_it_is_called_by() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name


def test_version(gadgetip: Command) -> None:
    run = gadgetip("--version")
    assert run.status == 0
    assert run.out == f"gadgetip {__version__} ({pump_in()})\n"


def test_version_where_libaio_is_missing() -> None:
    """Attaching is what needs it, not knowing which pump is in."""
    program = (
        "import sys; sys.modules['libaio'] = None\n"
        "sys.argv = ['gadgetip', '--version']\n"
        "from gadgetip.cli import main; main()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert run.returncode == 0
    assert run.stdout.decode() == f"gadgetip {__version__} ({pump_in()})\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["list", "--nonsense"], "No such option"),
        (["list", "-l", "a"], "leave HOST out"),
        (["list", "nas:0"], "'0' is no port"),
        (["list", "a", "-r", "b"], "HOST is given twice"),
        (["list", "\x1b[2J"], r"'\x1b[2J' is no host"),
        (["attach"], "missing HOST"),
        (["attach", "nas"], "missing DEVICE"),
        (["attach", "nas", "-b", "1-1", "1-2"], "DEVICE is given twice"),
        (["attach", "nas", "1-1 2"], "is no bus id"),
        (["attach", "nas", "\x1b]0;x\x07"], r"'\x1b]0;x\x07' is no bus id"),
        (["attach", "nas", "serial="], "is no device"),
        (["attach", "nas", "1-1", "--to", "moon"], "'moon' is not one of"),
        (["attach", "nas", "1-1", "--to", "vhci", "--udc", "x"], "--udc goes with --to gadget"),
        (["attach", "-r", "nas", "-b", "1-1", "--udc", "x"], "--udc goes with --to gadget"),
        (["attach", "nas", "1-1", "--backend", "moon"], "'moon' is not one of"),
        (["attach", "-r", "nas", "-b", "1-1", "--backend", "auto"], "--backend goes with --to"),
        (["attach", "nas", "1-1", "--to", "vhci", "--profile", "generic"], "--profile goes with"),
        (["attach", "-r", "nas", "-b", "1-1", "--profile", "generic"], "--profile goes with --to"),
        (["plan"], "give HOST and DEVICE, or --descriptors FILE"),
        (["plan", "nas"], "missing DEVICE"),
        (["plan", "nas", "1-1", "--descriptors", "/dev/null"], "give HOST and DEVICE, or"),
        (["plan", "--descriptors", "/nowhere/at/all"], "does not exist"),
        (["plan", "--descriptors", "/"], "is a directory"),
        (["plan", "--descriptors", "/dev/null", "--backend", "moon"], "'moon' is not one of"),
        (
            ["plan", "--descriptors", "/dev/null", "--udc", "x", "--udc-model", "dwc3"],
            "--udc and --udc-model exclude each other",
        ),
        (["plan", "--descriptors", "/dev/null", "--kernel", "six"], "is no kernel version"),
        (["inspect", "nas"], "Missing argument 'DEVICE'"),
        (["inspect", "nas", "1-1", "--save", "/"], "is a directory"),
        (["completion", "csh"], "'csh' is not one of"),
    ],
)
def test_usage_errors(gadgetip: Command, arguments: list[str], problem: str) -> None:
    run = gadgetip(*arguments)
    assert (run.status, run.out) == (ExitStatus.USAGE, "")
    assert problem in run.err
    assert "Traceback" not in run.err
    assert "\x1b" not in run.err


ERRORS: list[tuple[Exception, ExitStatus]] = [
    (GadgetipError("it went wrong"), ExitStatus.ERROR),
    (LocalProtocolError("it went wrong"), ExitStatus.ERROR),
    (RemoteProtocolError("it went wrong"), ExitStatus.ERROR),
    (UsageError("it went wrong"), ExitStatus.USAGE),
    (DeviceUnpluggedError("it went wrong"), ExitStatus.UNPLUGGED),
    (LinkLostError("it went wrong"), ExitStatus.LINK_LOST),
    (RefusedError("it went wrong"), ExitStatus.REFUSED),
    (PrerequisiteError("it went wrong"), ExitStatus.PREREQUISITE),
]


def test_the_statuses_are_the_ones_that_scripts_know() -> None:
    assert [(s.name, int(s)) for s in ExitStatus] == [
        ("DONE", 0),
        ("ERROR", 1),
        ("USAGE", 2),
        ("UNPLUGGED", 3),
        ("LINK_LOST", 4),
        ("REFUSED", 5),
        ("PREREQUISITE", 6),
        ("DEGRADED", 7),
    ]


@pytest.fixture
def attaching(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Lets `attach` end with an error."""

    def end_with(error: BaseException) -> None:
        def attach(*_: object) -> None:
            raise error

        monkeypatch.setattr("gadgetip.cli.attach.attach_to_gadget", attach)

    return end_with


@pytest.mark.parametrize(("error", "status"), ERRORS)
def test_an_error_is_one_line_and_a_status(
    gadgetip: Command,
    attaching: Callable[[BaseException], None],
    error: Exception,
    status: ExitStatus,
) -> None:
    attaching(error)
    run = gadgetip("attach", "nas", "1-1")
    assert (run.status, run.out, run.err) == (status, "", "gadgetip: it went wrong\n")


@pytest.mark.parametrize(("error", "status"), ERRORS)
def test_with_json_an_error_is_an_event_besides(
    gadgetip: Command,
    attaching: Callable[[BaseException], None],
    error: Exception,
    status: ExitStatus,
) -> None:
    attaching(error)
    run = gadgetip("attach", "nas", "1-1", "--json")
    assert (run.status, run.err) == (status, "gadgetip: it went wrong\n")
    assert json.loads(run.out) == {
        "event": "error",
        "message": "it went wrong",
        "exit_status": status,
    }


def test_a_mistake_in_the_command_line_is_no_event(gadgetip: Command) -> None:
    run = gadgetip("list", "--json", "--nonsense")
    assert (run.status, run.out) == (ExitStatus.USAGE, "")
    assert run.err.startswith("Usage:")


def test_a_bug_is_one_line_too(
    gadgetip: Command, attaching: Callable[[BaseException], None]
) -> None:
    attaching(ZeroDivisionError("division\x1b[2J by\nzero"))
    run = gadgetip("attach", "nas", "1-1")
    assert run.status == ExitStatus.ERROR
    assert run.err == (
        "gadgetip: this is a bug: ZeroDivisionError: division\\x1b[2J by\\nzero "
        "(--debug shows more)\n"
    )


def test_debug_shows_where(gadgetip: Command, attaching: Callable[[BaseException], None]) -> None:
    attaching(LinkLostError("it went wrong"))
    run = gadgetip("--debug", "attach", "nas", "1-1")
    assert run.status == ExitStatus.LINK_LOST
    assert "Traceback" in run.err
    assert run.err.endswith("gadgetip: it went wrong\n")


def test_hostile_words_in_an_error_do_not_reach_the_terminal(
    gadgetip: Command, attaching: Callable[[BaseException], None]
) -> None:
    attaching(GadgetipError("the server says \x1b[2J\x9b31m\u202e\udcff\r\nall is well"))
    run = gadgetip("attach", "nas", "1-1")
    assert run.err == (
        "gadgetip: the server says \\x1b[2J\\x9b31m\\u202e\\udcff\\r\\nall is well\n"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_whoever_stops_it_meant_to(
    gadgetip: Command, attaching: Callable[[BaseException], None], error: BaseException
) -> None:
    attaching(error)
    assert gadgetip("attach", "nas", "1-1").status == ExitStatus.DONE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(gadgetip: Command, shell: str) -> None:
    run = gadgetip("completion", shell)
    assert run.status == 0
    assert "_GADGETIP_COMPLETE" in run.out


def test_nothing_is_left_of_signal_handlers(gadgetip: Command) -> None:
    before = signal.getsignal(signal.SIGINT)
    gadgetip("--version")
    assert signal.getsignal(signal.SIGINT) is before
