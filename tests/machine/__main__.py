"""The bench's command line: `python -m tests.machine --help`."""

from __future__ import annotations

import argparse
import compileall
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import (
    boot,
    environment,
    gadgetfs,
    hang,
    kernel,
    kvm,
    places,
    python_files,
    terminal,
)
from tests.machine.client import Agent, MachineGone, OutOfTime
from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TIMED_OUT = 124  # as timeout(1) has it
GONE = 255
CARRY_IN_LIMIT = 300.0  # seconds
KERNEL_LOG_LINES = 60
KEPT_RUNS = 8


def say(text: str) -> None:
    """Something about the bench itself: beside the command's own output."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def write(data: bytes) -> None:
    """Output of the command inside, as it comes."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def hardware(options: argparse.Namespace) -> boot.Hardware:
    """The machine that the options ask for."""
    chosen = kernel.obtain(newest=False)
    return boot.Hardware(
        chosen,
        kvm=kvm.usable(chosen),
        memory=options.memory,
        cpus=options.cpus,
        qemu=tuple(word for group in options.qemu for word in shlex.split(group)),
    )


def boot_up(directory: Path, options: argparse.Namespace, *, keep: bool) -> boot.Machine:
    """A machine that is up."""
    parts = hardware(options)
    results = (options.results or directory / "results").resolve()
    began = time.monotonic()
    machine = boot.start(directory, parts, results=results, keep=keep)
    try:
        archive = machine.directory / python_files.LIBRARIES
        python_files.pack(archive, python_files.libraries())
        boot.wait_until_up(machine)
        carry_in(machine, python_files.unpacking(archive, python_files.libraries()))
        archive.unlink()
    except BaseException:
        machine.kill()
        raise
    acceleration = "with KVM" if parts.kvm else "without KVM"
    taken = time.monotonic() - began
    say(f"Linux {parts.kernel.release} is up after {taken:.0f} s, {acceleration}")
    return machine


def carry_in(machine: boot.Machine, line: str) -> None:
    """Have the guest's shell do what `python_files` says."""
    agent = machine.connect()
    try:
        status = agent.execute(
            ["sh", "-c", line],
            cwd=environment.directory(),
            env=environment.variables(os.environ, machine.results),
            output=write,
            deadline=time.monotonic() + CARRY_IN_LIMIT,
        )
    finally:
        agent.close()
    if status:
        raise BenchError(f"the guest could not take over Python's files (status {status})")


def execute(machine: boot.Machine, command: list[str], limit: float | None) -> int:
    """Run a command inside; when it exceeds its limit, say where it hangs and give up."""
    # The guest cannot write here: without this it compiles every module at every start, which
    # takes it longer than all the rest of starting.
    for package in ("gadgetip", "tests"):
        compileall.compile_dir(package, quiet=1)
    archive = machine.directory / python_files.CHECKOUT
    python_files.pack(archive, python_files.checkout())
    unpack = python_files.unpacking(archive, python_files.checkout())
    agent = machine.connect()
    try:
        return agent.execute(
            ["sh", "-c", f'{unpack} && exec "$@"', "sh", *command],
            cwd=environment.directory(),
            env=environment.variables(os.environ, machine.results),
            output=write,
            deadline=None if limit is None else time.monotonic() + limit,
        )
    except OutOfTime:
        say(f"not done after {limit:.0f} s. Where it hangs:")
        print(hang.report(machine, agent, write), flush=True)
        return TIMED_OUT
    except MachineGone:
        say("the machine ended under the command. The end of its kernel log:")
        print(boot.console_tail(machine.console, KERNEL_LOG_LINES), flush=True)
        return GONE
    finally:
        agent.close()


def run(options: argparse.Namespace) -> int:
    """A machine for one command."""
    directory = places.machines() / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    forget_old_runs()
    machine = boot_up(directory, options, keep=False)
    try:
        status = execute(machine, options.command, options.limit)
    finally:
        machine.kill()
    if status not in (0, TIMED_OUT, GONE):  # those two have shown it
        say(f"status {status}. The end of the guest's kernel log:")
        print(boot.console_tail(machine.console, KERNEL_LOG_LINES), flush=True)
    say(f"kernel log {machine.console}")
    say(f"results {machine.results}")
    return status


def up(options: argparse.Namespace) -> int:
    """Keep a machine, if none is kept yet."""
    directory = kept_directory(options)
    machine = boot.load(directory)
    if machine is not None and machine.alive:
        say("is up already")
    else:
        boot_up(directory, options, keep=True)
    return 0


def run_in_kept(options: argparse.Namespace) -> int:
    """A command in the kept machine."""
    machine = kept(options)
    status = execute(machine, options.command, options.limit)
    if status == TIMED_OUT:
        machine.kill()
        say("killed the machine")
    return status


def shell(options: argparse.Namespace) -> int:
    """A shell in the kept machine."""
    machine = kept(options)
    agent: Agent = machine.connect()
    variables = environment.variables(os.environ, machine.results)
    try:
        return terminal.interact(
            agent, ["bash", "--norc", "-i"], cwd=environment.directory(), env=variables
        )
    finally:
        agent.close()


def log(options: argparse.Namespace) -> int:
    """The kernel log of the kept machine, or of the last one."""
    console = kept_directory(options) / "console.log"
    if not console.exists():
        raise BenchError("there has been no machine")
    if options.follow:
        return subprocess.run(["tail", "-n", "+1", "-f", str(console)], check=False).returncode
    write(console.read_bytes().replace(b"\r", b""))
    return 0


def down(options: argparse.Namespace) -> int:
    """End the kept machine."""
    machine = boot.load(kept_directory(options))
    if machine is not None:
        machine.kill()
    return 0


def status(options: argparse.Namespace) -> int:
    """Say what runs."""
    found = [boot.load(path.parent) for path in sorted(places.machines().glob("*/machine.json"))]
    running = [machine for machine in found if machine is not None and machine.alive]
    for machine in running:
        acceleration = "KVM" if machine.kvm else "no KVM"
        print(f"{machine.directory.name}: Linux {machine.release}, {acceleration}")
        print(f"    kernel log {machine.console}\n    results {machine.results}")
    if not running:
        print("no machine is up")
    return 0


def fetch_kernel(options: argparse.Namespace) -> int:
    """Have the newest kernel in the cache, and the module of board/dkms for it."""
    chosen = kernel.obtain(newest=True)
    print(f"kernel: Linux {chosen.release}")
    if os.environ.get("GADGETIP_KERNEL") and kernel.other_series() is None:
        print("gadgetfs: not built for a kernel that is not the bench's own")
    else:
        gadgetfs.obtain(chosen)
    return 0


def build_gadgetfs(options: argparse.Namespace) -> int:
    """Have the module of board/dkms for the cached kernel."""
    print(f"gadgetfs: {gadgetfs.obtain(kernel.obtain(newest=False))}")
    return 0


def kept_directory(options: argparse.Namespace) -> Path:
    """The place of the machine with that name."""
    return places.machines() / str(options.name)


def kept(options: argparse.Namespace) -> boot.Machine:
    """The machine that is kept up."""
    machine = boot.load(kept_directory(options))
    if machine is None or not machine.alive:
        raise BenchError("no machine is up: `make bench-up` starts one")
    return machine


def forget_old_runs() -> None:
    """Remove all but the last few private machines, and what killed ones left in /tmp."""
    runs = sorted(places.machines().glob("run-*"))
    for number, directory in enumerate(runs, start=1):
        machine = boot.load(directory)
        if machine is not None and machine.alive:
            continue
        if machine is not None:
            machine.kill()
        if number <= len(runs) - KEPT_RUNS:
            shutil.rmtree(directory, ignore_errors=True)


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        words = (action.__doc__ or "").strip()
        made = verbs.add_parser(name, help=words, description=words)
        made.set_defaults(action=action)
        return made

    named = [verb("up", up), verb("exec", run_in_kept), verb("shell", shell), verb("log", log)]
    named.append(verb("down", down))
    private = verb("run", run)
    verb("status", status)
    verb("kernel", fetch_kernel)
    verb("gadgetfs", build_gadgetfs)
    for one in named:
        name = os.environ.get("GADGETIP_MACHINE", "kept")
        one.add_argument("--name", default=name, help="which machine ($GADGETIP_MACHINE)")
    for one in (private, named[0]):
        one.add_argument("--memory", default="2G", help="as QEMU's -m; 2G")
        one.add_argument("--cpus", type=int, default=2)
        one.add_argument("--qemu", action="append", default=[], help="more QEMU arguments, quoted")
        one.add_argument("--results", type=Path, help="a directory that the guest may write")
    for one, limit in ((private, 1800.0), (named[1], None)):
        text = "seconds after which the guest is asked where it hangs, and killed"
        one.add_argument("--limit", type=float, default=limit, help=text)
        one.add_argument("command", nargs="+", help="after --")
    named[3].add_argument("-f", "--follow", action="store_true")
    return top


def main() -> int:
    """Parse and do; a known problem is one line, a signal ends the machine too."""
    options = parser().parse_args()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        return int(options.action(options))
    except BenchError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
