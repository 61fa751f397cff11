"""`gadgetip bench` beside real traffic: what it says against what dd and the test know."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gadgetip.attachment import list_running
from tests.system import drivers, host
from tests.system.attachment import GADGETIP, Attachment, gadgetip, wait_until_exported
from tests.system.devices import Gadget, catalogue
from tests.system.importers import wait_for_vhci
from tests.system.reborn import reborn
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.supervising import Supervising
from tests.system.waiting import wait_for

UDC = "dummy_udc.1"
STICK_ID = "0781:5581"
SECONDS = 600
"""More than any copy takes: it is ended when all has been seen."""
LIMIT_S = 90.0
COUNT_S = 1.3
"""Traffic is counted once a second, and later on a busy machine."""
NO_NEWS_S = 10.0
QUIET_S = 4.0
FAR_MS = 150
BLOCK = 512
MB = 1e6
TYPED_S = 0.1
SUPERVISED = f"""
[[attachment]]
name = "stick"
server = "127.0.0.1"
match = {{ id = "{STICK_ID}" }}
udc = "{UDC}"
"""


@contextmanager
def distance(round_trip_ms: int) -> Iterator[None]:
    """Delay every packet on the loopback interface by half the round trip."""
    if round_trip_ms:
        delay = ["netem", "delay", f"{round_trip_ms / 2}ms", "limit", "20000"]
        subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", *delay], check=True)
    try:
        yield
    finally:
        if round_trip_ms:
            subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


@contextmanager
def kept_on_vhci(busid: str) -> Iterator[Path]:
    """`gadgetip attach --to vhci --keep`; its disk."""
    wait_until_exported(busid)
    command = [*GADGETIP, "attach", "127.0.0.1", busid, "--to", "vhci", "--keep", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["event"] == "attached"
            yield vhci_disk()
        finally:
            process.send_signal(signal.SIGINT)


def vhci_disk() -> Path:
    device = wait_for_vhci(STICK_ID)
    return wait_for(lambda: host.disk_of(device), "a disk behind vhci", host.STACK_LIMIT_S)


def copied_while_watched(
    disk: Path, mib: int, *arguments: str, request_kib: int = 1024
) -> tuple[dict[str, Any], float]:
    """What bench says of a copy that began after it did, and dd's own bytes a second."""
    # The first who opens a new disk makes the kernel look for partitions.
    subprocess.run(["dd", f"if={disk}", "of=/dev/null", "count=1", "iflag=direct"], check=True)
    wait_until_quiet()
    with subprocess.Popen(
        [*GADGETIP, "--json", "bench", "--seconds", str(SECONDS), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        # The command is up when it looks: a copy that begins before is not seen whole.
        wait_for(lambda: _is_watching(bench.pid), "bench that watches", LIMIT_S)
        size = [f"bs={request_kib}K", f"count={mib * 1024 // request_kib}"]
        command = ["dd", f"if={disk}", "of=/dev/null", *size, "iflag=direct"]
        dd = subprocess.run(command, check=True, capture_output=True, text=True)
        ended = time.monotonic()
        wait_for(lambda: _counted_since(ended), "a count behind the copy", LIMIT_S)
        # It looks four times a second, and sleeps between.
        looks = _looks(bench.pid)
        wait_for(lambda: _looks(bench.pid) > looks + 2, "another look", LIMIT_S)
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=LIMIT_S)
    assert bench.returncode == 0, err
    took = re.search(r"copied, ([\d.]+) s", dd.stderr)
    assert took is not None, dd.stderr
    found = json.loads(out)
    print(json.dumps(found), dd.stderr)
    assert isinstance(found, dict)
    return found, mib * 2**20 / float(took[1])


def _is_watching(pid: int) -> bool:
    """It sleeps between two looks: importing what it needs, it does not."""
    return "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()


def wait_until_quiet() -> None:
    """Wait until the host has read what it wants of a new disk: then it asks if it is there."""
    seen: list[tuple[float, int]] = []

    def quiet() -> bool:
        [running] = list_running()
        moved = 0 if running.traffic is None else running.traffic.bytes_in
        if not seen or moved - seen[0][1] > BLOCK:
            seen[:] = [(time.monotonic(), moved)]
        return time.monotonic() - seen[0][0] > QUIET_S

    wait_for(quiet, "a host that is done", LIMIT_S)


def _looks(pid: int) -> int:
    """How often it went to sleep by itself."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def _counted_since(ended_s: float) -> bool:
    """Whether what moved was counted again since then; without news it is not, for seconds."""
    [running] = list_running()
    recent = running.counted_s is not None and running.counted_s > ended_s
    return recent or time.monotonic() > ended_s + NO_NEWS_S


def assert_plausible(found: dict[str, Any], mib: int, dd_per_s: float) -> None:
    """The bytes are dd's within a tenth, headers and all; the speed is like dd's.

    What has moved is counted once a second, so both ends of a copy are uncertain by so much.
    """
    assert found["bytes_in"] == pytest.approx(mib * 2**20, rel=0.1)
    took_s = mib * 2**20 / dd_per_s
    fastest = 1.1 * mib * 2**20 / max(took_s - COUNT_S, 0.1)
    assert 0.9 * mib * 2**20 / (took_s + 2 * COUNT_S) <= found["bytes_in_per_s"] <= fastest
    assert 0 < found["active_s"] <= found["seconds"] + 1
    assert found["shortest_round_trip_ms"] <= found["round_trip_ms"]


def test_beside_a_copy(stick: Stick) -> None:
    wait_until_exported(stick.busid)
    with Attachment("127.0.0.1", stick.busid, udc=UDC):
        found, dd_per_s = copied_while_watched(host.wait_for_disk(UDC), 24, UDC)
    assert_plausible(found, 24, dd_per_s)
    assert (found["to"], found["udc"], found["window_urbs"]) == ("gadget", UDC, 8)
    # Each command has a CBW out, data and a CSW in; Linux asks for 120 KiB and less with one.
    assert found["urbs_out"] >= 24 * 2**20 / (128 * 1024)
    assert found["urbs_in"] >= 2 * found["urbs_out"] * 0.9
    assert found["user_s_per_mb"] + found["system_s_per_mb"] > 0
    assert 4 * MB < found["resident_bytes"] < 200 * MB
    assert (found["errors"], found["halts"], found["discarded"]) == (0, 0, 0)
    assert found["bound"] in {"device or host", "processor"}  # no distance to speak of


def test_the_round_trip_is_what_bounds_it_from_afar(stick: Stick) -> None:
    """So far that a command takes longer to travel than a busy emulated machine to think of it."""
    wait_until_exported(stick.busid)
    with distance(FAR_MS), Attachment("127.0.0.1", stick.busid, udc=UDC):
        disk = host.wait_for_disk(UDC)
        found, dd_per_s = copied_while_watched(disk, 4, request_kib=64)
        assert_plausible(found, 4, dd_per_s)
        assert found["shortest_round_trip_ms"] == pytest.approx(FAR_MS, rel=0.1)
        timed = json.loads(gadgetip("--json", "bench", "--disk", str(disk)).stdout)
        assert timed["read"]["random_4k"]["p50_ms"] >= FAR_MS
        # dd itself is the judge: each of its requests, one command, takes one round trip at least.
        travelling = FAR_MS / 1000 * dd_per_s / (64 * 1024)
        assert travelling < 1
        if travelling < 0.5 and found["bound"] != "round trip":
            pytest.skip(f"a machine so busy that a command travels {travelling:.0%} of its time")
        assert found["bound"] == "round trip", found


def test_one_that_is_supervised_by_its_name(stick: Stick) -> None:
    wait_until_exported(stick.busid)
    with Supervising(SUPERVISED) as supervisor:
        supervisor.wait_for("stick", "running", lambda seen: bool(seen["host_configured"]))
        found, dd_per_s = copied_while_watched(host.wait_for_disk(UDC), 16, "stick")
        assert_plausible(found, 16, dd_per_s)
        assert found["name"] == "stick"


def test_through_vhci_the_kernel_counts_bytes_only(stick: Stick) -> None:
    with kept_on_vhci(stick.busid) as disk:
        found, dd_per_s = copied_while_watched(disk, 24)
        assert_plausible(found, 24, dd_per_s)
        assert (found["to"], found["urbs_in"]) == ("vhci", None)
        timed = json.loads(gadgetip("--json", "bench", "--disk", str(disk)).stdout)["read"]
        assert timed["bytes_per_s"] > 0.1 * MB
        least, p50, p99 = (timed["random_4k"][f"{each}_ms"] for each in ("least", "p50", "p99"))
        assert 0 < least <= p50 <= p99


def test_a_disk_is_written_to_only_where_nothing_uses_it(stick: Stick, tmp_path: Path) -> None:
    wait_until_exported(stick.busid)
    with Attachment("127.0.0.1", stick.busid, udc=UDC):
        disk = host.wait_for_disk(UDC)
        write = ("bench", "--disk", str(disk), "--seconds", "2", "--write", "--json")
        asked = gadgetip(*write)
        assert (asked.returncode, asked.stdout[:0]) == (2, "")
        assert "say --yes" in asked.stderr
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        subprocess.run(["mount", str(disk), str(tmp_path)], check=True)
        before = stick.checksum(2**20)
        try:
            refused = gadgetip(*write, "--yes")
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)
        assert refused.returncode == 1, refused
        assert f"{disk.name} is mounted on {tmp_path}" in refused.stderr
        written = gadgetip(*write, "--yes")
        assert written.returncode == 0, written
        assert json.loads(written.stdout)["write"]["bytes_per_s"] > 0
        assert stick.checksum(2**20) != before


def test_the_reports_of_a_keyboard(server: StockServer) -> None:
    """They are as far apart at the host as they are at the device."""
    described = catalogue.keyboard_and_mouse()
    with (
        Gadget(described, "dummy_udc.2") as gadget,
        reborn(server, gadget.busid) as both,
        ExitStack() as end,
    ):
        keys = os.open(gadget.node(described.functions[0]), os.O_RDWR)
        end.callback(os.close, keys)
        raw = drivers.hidraw(both.replica, 0)
        over = threading.Event()

        def type_on() -> None:
            number = 0
            while not over.wait(TYPED_S):
                number += 1
                os.write(keys, bytes([0, 0, 4 * (number % 2), 0, 0, 0, 0, 0]))

        typing = threading.Thread(target=type_on)
        typing.start()
        end.callback(typing.join)
        end.callback(over.set)
        for file in (raw, drivers.events(both.replica, 0)):
            done = gadgetip("--json", "bench", "--keyboard", str(file), "--seconds", "4")
            assert done.returncode == 0, done
            found = json.loads(done.stdout)
            print(found)
            assert found["reports"] >= 10
            assert found["intervals"]["p50_ms"] == pytest.approx(TYPED_S * 1000, rel=0.5)
