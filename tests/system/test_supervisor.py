"""`gadgetip run` on a real kernel. One supervisor for all: in the order of this file.

stick       dummy_udc.1, from the stock server; it is unplugged, killed, stopped, started
rival       wants the same controller, listed later
board       vhci, from an emulated server
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.supervisor.wishes import FILE_NAME, STATE_DIRECTORY
from gadgetip.vhci import list_ports
from tests.emulated import EmulatedServer, make_device
from tests.system import host
from tests.system.attachment import leftovers, wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.supervising import Supervising, is_alive
from tests.system.test_endings import destroy_client_socket
from tests.system.test_vhci import here
from tests.system.waiting import wait_for

UDC = "dummy_udc.1"
STICK = f"""
[[attachment]]
name = "stick"
server = "127.0.0.1"
match = {{ id = "0781:5581", serial = "SUPER*" }}
udc = "{UDC}"
"""
RIVAL = f"""
[[attachment]]
name = "rival"
server = "127.0.0.1"
match = {{ id = "ffff:0001" }}
udc = "{UDC}"
"""


def board(server: EmulatedServer) -> str:
    return f"""
[[attachment]]
name = "board"
server = "{server.host}"
match = [{{ id = "ffff:0002" }}, {{ busid = "1-*" }}]
to = "vhci"
"""


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatedServer]:
    with EmulatedServer(make_device("winusb")) as running:
        yield running


@pytest.fixture(scope="module")
def stick(server: StockServer) -> Iterator[Stick]:
    with Stick("dummy_udc.0", serial="SUPER-1") as plugged, server.exporting(plugged.busid):
        yield plugged


@pytest.fixture(scope="module")
def supervising(stick: Stick, emulated: EmulatedServer) -> Iterator[Supervising]:
    wait_until_exported(stick.busid)
    with Supervising(STICK + RIVAL + board(emulated)) as running:
        yield running
        assert running.stop() < 25
        host.wait_for_unplug(UDC)
        assert leftovers(UDC) == []
        assert used() == []


def used() -> list[int]:
    return [port.number for port in list_ports() if not port.is_free]


def pid_of(supervising: Supervising, name: str) -> int | None:
    pid = supervising.status(name)["pid"]
    assert isinstance(pid, int | None)
    return pid


def test_from_the_configuration_to_running(supervising: Supervising, stick: Stick) -> None:
    began = time.monotonic()
    running = supervising.wait_for("stick", "running")
    print(f"running {time.monotonic() - began:.1f} s after the supervisor answered")
    assert (running["udc"], running["busid"], running["id"]) == (UDC, stick.busid, stick.id)
    assert (running["host_configured"], running["speed"]) == (True, "high-speed")
    assert (running["backend"], running["device"]) == ("functionfs", "SanDisk Ultra")
    assert is_alive(running["worker_pid"])
    # It forks, so it must have no other thread.
    assert "Threads:\t1\n" in Path(f"/proc/{supervising.process.pid}/status").read_text()
    rival = supervising.wait_for("rival", "waiting for controller")
    assert rival["reason"] == f"stick has {UDC}"
    attached = supervising.wait_for("board", "running")
    assert used() == [attached["port"]]


def test_figures_move(supervising: Supervising) -> None:
    disk = host.wait_for_disk(UDC)
    before = supervising.wait_for("stick", "running", lambda now: now["traffic"] is not None)
    subprocess.run(
        ["dd", f"if={disk}", "of=/dev/null", "bs=64k", "count=16", "iflag=direct"],
        check=True,
        capture_output=True,
    )
    least = before["traffic"]["bytes_in"] + (1 << 20)
    after = supervising.wait_for(
        "stick", "running", lambda now: now["traffic"]["bytes_in"] >= least
    )
    assert after["traffic"]["urbs_in"] > before["traffic"]["urbs_in"]
    assert after["traffic"]["round_trip_ms"] > 0
    board_now = supervising.wait_for("board", "running", lambda now: now["traffic"] is not None)
    assert board_now["traffic"]["urbs_in"] is None
    assert board_now["traffic"]["bytes_in"] > 0


def test_hooks_were_told(supervising: Supervising) -> None:
    def told() -> list[str] | None:
        states = supervising.states_told("stick")
        return states if states[-1:] == ["running"] else None

    states = wait_for(told, "the hook told that it runs")
    assert states[0] == "waiting for server"
    assert states[-3:] == ["planning", "bound", "running"]
    assert "waiting for controller" in supervising.states_told("rival")


def test_the_command_line(supervising: Supervising) -> None:
    shown = here("status", "stick")
    assert re.search(r"^stick +running .*SanDisk Ultra \(0781:5581", shown, re.MULTILINE)
    with pytest.raises(GadgetipError, match="end it with `gadgetip stop stick`"):
        here("detach", UDC)
    with pytest.raises(PrerequisiteError, match=rf"\(process {supervising.process.pid}\)"):
        here("run", "--config", str(supervising.config))


def test_replugged_at_the_server(
    supervising: Supervising, server: StockServer, stick: Stick
) -> None:
    losses = supervising.status("stick")["losses"]
    stick.unplug()
    supervising.wait_for("stick", "waiting for device")
    host.wait_for_unplug(UDC)
    stick.plug()
    plugged = time.monotonic()
    subprocess.run(["usbip", "bind", "-b", stick.busid], check=True, capture_output=True)
    running = supervising.wait_for("stick", "running")
    print(f"running {time.monotonic() - plugged:.1f} s after it was plugged in")
    assert running["losses"] == losses + 1
    host.wait_for_disk(UDC)


def test_the_server_is_restarted(
    supervising: Supervising, server: StockServer, stick: Stick
) -> None:
    server.stop()
    destroy_client_socket()
    away = supervising.wait_for("stick", "waiting for server")
    assert "nothing listens on 127.0.0.1" in away["reason"]
    wait_until_exported(stick.busid)
    server.__enter__()
    began = time.monotonic()
    # The network is said to come back: the pause is over at once.
    subprocess.run(["ip", "address", "add", "127.0.0.99/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "address", "del", "127.0.0.99/32", "dev", "lo"], check=True)
    supervising.wait_for("stick", "running")
    print(f"running {time.monotonic() - began:.1f} s after the server was back")


def test_the_worker_is_killed(supervising: Supervising) -> None:
    before = supervising.wait_for("stick", "running")
    os.kill(before["worker_pid"], signal.SIGKILL)
    again = before["restarts"] + 1
    after = supervising.wait_for("stick", "running", lambda now: now["restarts"] == again)
    assert after["pid"] == before["pid"]
    assert after["worker_pid"] not in {None, before["worker_pid"]}
    log = [line["text"] for line in supervising.ask("log", name="stick")["lines"]]
    assert "lost: the worker died: killed by SIGKILL" in log


@pytest.mark.parametrize("name", ["stick", "board"])
def test_an_attachment_process_is_killed(supervising: Supervising, name: str) -> None:
    before = supervising.wait_for(name, "running")
    os.kill(before["pid"], signal.SIGKILL)
    after = supervising.wait_for(name, "running", lambda now: now["pid"] != before["pid"])
    assert after["restarts"] == before["restarts"] + 1
    assert "its process ended: killed by SIGKILL" in supervising.log
    if name == "board":
        assert len(used()) == 1, "what the killed one left on a port is taken off"


def test_a_reload_touches_what_changed(supervising: Supervising, emulated: EmulatedServer) -> None:
    stick, attached = pid_of(supervising, "stick"), pid_of(supervising, "board")
    supervising.configure("[[attachment]]\nname = 1\n")
    with pytest.raises(GadgetipError, match="server is missing"):
        here("reload")
    changed = RIVAL.replace("ffff:0001", "ffff:0003")
    supervising.configure(board(emulated) + STICK + changed)
    answer = supervising.ask("reload")
    assert (answer["added"], answer["removed"], answer["changed"]) == ([], [], ["rival"])
    assert supervising.status("rival")["match"] == "id=ffff:0003"
    assert (pid_of(supervising, "stick"), pid_of(supervising, "board")) == (stick, attached)


def test_who_has_the_controller(supervising: Supervising, stick: Stick) -> None:
    supervising.ask("stop", names=["stick"])
    assert supervising.status("stick")["state"] == "stopped"
    host.wait_for_unplug(UDC, 1.0)
    rival = supervising.wait_for("rival", "waiting for device")
    assert rival["udc"] == UDC
    wait_until_exported(stick.busid)
    supervising.ask("start", names=["stick"])
    running = supervising.wait_for("stick", "running")
    assert running["udc"] == UDC
    assert supervising.status("rival")["reason"] == f"stick has {UDC}"
    assert not any(each and is_alive(each) for each in [supervising.status("rival")["pid"]])


def test_the_controller_goes_and_comes(supervising: Supervising, stick: Stick) -> None:
    driver = Path("/sys/bus/platform/drivers/dummy_udc")
    (driver / "unbind").write_text(UDC)
    try:
        gone = supervising.wait_for("stick", "waiting for controller")
        assert gone["reason"] == f"this machine has no controller {UDC}"
    finally:
        (driver / "bind").write_text(UDC)
    supervising.wait_for("stick", "running")


def test_the_supervisor_is_killed(supervising: Supervising, stick: Stick) -> None:
    supervising.ask("stop", names=["rival"])
    pids = [supervising.wait_for(name, "running")["pid"] for name in ("stick", "board")]
    supervising.kill()
    wait_for(lambda: not any(map(is_alive, pids)), "the end of its processes", 20)
    host.wait_for_unplug(UDC)
    assert used() == []
    wait_until_exported(stick.busid)
    supervising.start()
    supervising.wait_for("stick", "running")
    supervising.wait_for("board", "running")
    # It was stopped, and nobody has said otherwise.
    assert supervising.status("rival")["state"] == "stopped"
    assert "rival" in (STATE_DIRECTORY / FILE_NAME).read_text()


def test_five_crashes_park_it(supervising: Supervising) -> None:
    killed: set[int | None] = set()
    for _ in range(5):
        pid = wait_for(lambda: pid_of(supervising, "board"), "a process to kill", 60)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
        wait_for(lambda: pid_of(supervising, "board") not in killed, "its end")
    parked = supervising.wait_for("board", "parked")
    assert parked["reason"].startswith("5 crashes in 60 s, the last: killed by SIGKILL")
    assert supervising.status("stick")["state"] == "running"
    supervising.ask("start", names=["board"])
    supervising.wait_for("board", "running")
    assert len(used()) == 1
