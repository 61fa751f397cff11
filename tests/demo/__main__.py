"""`make demo`: a remote USB stick comes out of a real port.

    the stick ──dummy_hcd.0── SERVER ──USB/IP── BOARD ──dummy_hcd.1── HOST

All of it in one virtual machine with Debian's kernel: a stick with a filesystem is plugged into
the server and exported by the stock tools, `gadgetip attach` rebuilds it on another controller, and
the host at the end of that cable uses it with its own drivers. Every step is checked; the exit
status tells whether all of them held.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.system import host, modules
from tests.system.attachment import GADGETIP, leftovers
from tests.system.server import StockServer
from tests.system.stick import STORE, Stick
from tests.system.waiting import wait_for

UDC = "dummy_udc.1"
HOST_BUS = "dummy_hcd.1"
PARTITION_START = 2048
SECTOR = 512
LETTER = "letter.bin"
ANSWER = "answer.txt"
BEGAN = time.monotonic()


def say(text: str = "") -> None:
    """A line with the time since the start."""
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}" if text else "", flush=True)


def show(*command: str) -> str:
    """Run a command as a person would and show it with its output."""
    print(f"          $ {' '.join(command)}", flush=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        print(f"            {line}", flush=True)
    return done.stdout


def check(held: object, what: str) -> None:
    """One claim, checked."""
    say(f"{'ok  ' if held else 'FAIL'} {what}")
    if not held:
        sys.exit(1)


def on_the_bus(controller: str) -> str:
    """What `lsusb` shows on the bus behind a controller, hubs left out."""
    bus = next((host.PLATFORM / controller).glob("usb*"))
    number = (bus / "busnum").read_text().strip()
    listed = subprocess.run(
        ["lsusb", "-s", f"{number}:"], check=False, capture_output=True, text=True
    ).stdout
    return "\n".join(line for line in listed.splitlines() if "root hub" not in line)


@contextlib.contextmanager
def mounted(source: Path, *options: str) -> Iterator[Path]:
    """A filesystem, mounted for a while."""
    directory = STORE / f"mnt-{source.name}"
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, str(source), str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def inside(stick: Stick, *options: str) -> "contextlib.AbstractContextManager[Path]":
    """The stick's filesystem, opened at the server behind the device's back."""
    loop = ",".join(("loop", f"offset={PARTITION_START * SECTOR}", *options))
    return mounted(stick.store, "-o", loop)


def prepare(stick: Stick) -> str:
    """Put a partition, a filesystem and a file on the stick; returns the file's SHA-256."""
    subprocess.run(
        ["sfdisk", "-q", str(stick.store)], input=f"{PARTITION_START},,c\n", text=True, check=True
    )
    sectors = stick.store.stat().st_size // SECTOR - PARTITION_START
    subprocess.run(
        [
            "mkfs.vfat",
            "-n",
            "GADGETIP",
            "--offset",
            str(PARTITION_START),
            str(stick.store),
            str(sectors // 2),
        ],
        check=True,
        capture_output=True,
    )
    content = os.urandom(4 << 20)
    with inside(stick) as directory:
        (directory / LETTER).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """The whole story."""
    say("loading the kernel's drivers")
    modules.load()
    subprocess.run(["modprobe", "-a", "vfat", "loop", "nls_cp437", "nls_ascii"], check=True)
    with StockServer() as server, Stick("dummy_udc.0") as stick:
        stick.unplug()
        host.wait_for_unplug("dummy_udc.0")
        letter = prepare(stick)
        stick.plug()
        say(f"a stick with a filesystem is plugged into the server; SHA-256 of {LETTER}:")
        say(f"     {letter}")
        with server.exporting(stick.busid):
            say("the stock usbipd exports it")
            show("gadgetip", "list", "127.0.0.1")
            say("the host's port, before:")
            before = on_the_bus(HOST_BUS)
            print(f"            {before or '(nothing)'}", flush=True)
            check(not before, "the host sees nothing")
            use(stick, letter)
    say("done: everything held")


def use(stick: Stick, letter: str) -> None:
    """Attach, use from the host's side, detach."""
    say("now, on the board:")
    command = ["attach", "127.0.0.1", stick.id, "--udc", UDC]
    print(f"          $ gadgetip {' '.join(command)}", flush=True)
    with subprocess.Popen([*GADGETIP, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        print(f"            {process.stdout.readline().strip()}", flush=True)
        check(process.poll() is None, "the replica is bound")
        replica = host.wait_for_device(UDC)
        disk = host.wait_for_disk(UDC)
        say("the host's port, after:")
        print(f"            {on_the_bus(HOST_BUS)}", flush=True)
        check("0781:5581" in on_the_bus(HOST_BUS), "the host sees the stick")
        driver = (next(replica.glob("*:1.0")) / "driver").resolve().name
        check(driver == "usb-storage", f"the host's own driver has it: {driver}")
        partition = wait_for(lambda: _partition(disk), "the stick's partition")
        with mounted(partition) as directory:
            content = (directory / LETTER).read_bytes()
            check(
                hashlib.sha256(content).hexdigest() == letter,
                f"{len(content) >> 20} MiB read by the host have the SHA-256 of the server's file",
            )
            answer = os.urandom(2 << 20)
            (directory / ANSWER).write_bytes(answer)
        say(f"the host wrote {ANSWER} and unmounted")
        say("Ctrl-C at the board")
        process.send_signal(signal.SIGINT)
        print(f"            {process.stdout.read().strip()}", flush=True)
        check(process.wait(timeout=30) == 0, "gadgetip ended with status 0")
    host.wait_for_unplug(UDC)
    check(not on_the_bus(HOST_BUS), "the host saw an unplug")
    check(not leftovers(UDC), "nothing is left behind on the board")
    with inside(stick, "ro") as directory:
        found = (directory / ANSWER).read_bytes()
    check(found == answer, f"{ANSWER} is on the device's backing store, {len(found) >> 20} MiB")


def _partition(disk: Path) -> Path | None:
    node = Path(f"{disk}1")
    return node if node.exists() else None


if __name__ == "__main__":
    main()
