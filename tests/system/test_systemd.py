"""The units: what systemd says of them; and one that keeps attachments, in the order of this file.

stick       dummy_udc.1, FunctionFS, from the stock server; later on a port of vhci
serial      dummy_udc.2, GadgetFS, from an emulated server
board       vhci, from the same
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.pump.native_module import native_module
from gadgetip.supervisor.wishes import FILE_NAME, STATE_DIRECTORY
from tests.emulated import EmulatedServer, make_device
from tests.system.attachment import wait_until_exported, with_pump
from tests.system.booted_systemd import BOARD, INSTALLED, install_command
from tests.system.host import wait_for_device, wait_for_disk, wait_for_unplug
from tests.system.stick import Stick
from tests.system.supervised_unit import UNIT, UNITS, VHCI_ONLY, SupervisedUnit
from tests.system.waiting import wait_for

UDC = "dummy_udc.1"
SERIAL_UDC = "dummy_udc.2"
BOARD_POWERS = sum(1 << number for number in (0, 1, 5, 6, 7, 21))
"""CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, SYS_ADMIN (include/uapi/linux/capability.h)."""
VHCI_POWERS = 1
"""CHOWN."""
EXPOSURE_LIMITS = {"board": 3.8, "vhci client": 2.7, "server": 2.8}


def test_systemd_has_nothing_against_the_units() -> None:
    install_command()
    units = [str(path) for path in (*UNITS.glob("*.service"), *UNITS.glob("*.socket"))]
    assert len(units) >= 3
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def exposure(unit: str) -> float:
    """The figure of `systemd-analyze security`: 0 is nothing to be feared, 10 everything."""
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert found is not None, shown
    return float(found[1])


def test_how_exposed_a_unit_is(tmp_path: Path) -> None:
    client = tmp_path / UNIT
    client.write_text((UNITS / UNIT).read_text() + (UNITS / VHCI_ONLY).read_text())
    found = {
        "board": exposure(str(UNITS / UNIT)),
        "vhci client": exposure(str(client)),
        "server": exposure(str(UNITS / "gadgetip-serve.service")),
    }
    print(f"exposure: {found}")
    assert {name for name, figure in found.items() if figure > EXPOSURE_LIMITS[name]} == set()


@pytest.mark.skipif(not Path("/lib/systemd/systemd-udevd").exists(), reason="udevd is missing")
def test_the_rule_is_understood() -> None:
    """As udevd reads it (`udevadm verify` is newer than Debian 12's)."""
    rules = BOARD / "udev/99-gadgetip.rules"
    target = Path("/run/udev/rules.d/99-gadgetip.rules")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(rules.read_text())
    try:
        shown = subprocess.run(
            ["udevadm", "test", "--action=add", f"/sys/class/udc/{UDC}"],
            check=False,
            capture_output=True,
            text=True,
        )
    finally:
        target.unlink()
    assert "SYSTEMD_WANTS=gadgetip.service" in shown.stdout, shown.stderr
    assert "TAGS=:systemd:" in shown.stdout


def configured(name: str, server: str, busid: str, **keys: str) -> str:
    """An attachment of the configuration."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    return with_pump(
        f'[[attachment]]\nname = "{name}"\nserver = "{server}"\n'
        f'match = {{ busid = "{busid}" }}\n{lines}'
    )


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatedServer]:
    with EmulatedServer(make_device("cdc-acm"), make_device("winusb")) as running:
        yield running


@pytest.fixture(scope="module")
def board(emulated: EmulatedServer) -> str:
    return configured("board", emulated.host, "1-2", to="vhci")


@pytest.fixture(scope="module")
def everything(stick: Stick, emulated: EmulatedServer, board: str) -> str:
    return (
        configured("stick", "127.0.0.1", stick.busid, udc=UDC)
        + configured("serial", emulated.host, "1-1", udc=SERIAL_UDC)
        + board
    )


@pytest.fixture(scope="module")
def unit(stick: Stick, everything: str) -> Iterator[SupervisedUnit]:
    wait_until_exported(stick.busid)
    with SupervisedUnit(everything) as installed:
        yield installed


def powers(unit: SupervisedUnit, pid: int, which: str) -> int:
    """One of a process's sets of capabilities, as in /proc/PID/status."""
    status = unit.file(Path(f"/proc/{pid}/status")).read_text()
    return int(re.findall(rf"{which}:\s*([0-9a-f]+)", status)[0], 16)


def on_vhci(stick: Stick) -> bool:
    """Whether the stick is on a port of vhci_hcd, beside its own."""
    serials = Path("/sys/bus/usb/devices").glob("*/serial")
    found = [str(path.resolve()) for path in serials if path.read_text().strip() == stick.serial]
    return any("/vhci_hcd." in path for path in found)


def test_a_controller_that_appears_starts_it(unit: SupervisedUnit, stick: Stick) -> None:
    assert unit.property("ActiveState") == "inactive"
    subprocess.run(["udevadm", "trigger", "--action=add", "--subsystem-match=udc"], check=True)
    keeper = unit.wait_until_active()
    running = {name: unit.wait_for(name, "running") for name in ("stick", "serial", "board")}
    assert running["stick"]["backend"] == "functionfs"
    assert running["serial"]["backend"] == "gadgetfs"
    device = wait_for_device(UDC)
    assert (device / "idVendor").read_text().strip() == stick.id.partition(":")[0]
    wait_for_device(SERIAL_UDC)
    # Nobody carries the traffic, and the keepers have what the unit leaves them.
    assert powers(unit, keeper, "CapBnd") == BOARD_POWERS
    for name in ("stick", "serial"):
        assert powers(unit, running[name]["pid"], "CapEff") == BOARD_POWERS
        assert powers(unit, running[name]["worker_pid"], "CapEff") == 0


def test_bytes_move(unit: SupervisedUnit, stick: Stick) -> None:
    stick.fill()
    read = subprocess.run(
        ["dd", f"if={wait_for_disk(UDC)}", "bs=64k", "count=16", "iflag=direct", "status=none"],
        check=True,
        capture_output=True,
    ).stdout
    with stick.store.open("rb") as store:
        assert read == store.read(1 << 20)
    assert unit.status("stick")["worker_pid"] is not None


def test_status_from_outside(unit: SupervisedUnit) -> None:
    shown = json.loads(unit.systemd.run(str(INSTALLED), "--json", "status"))
    assert [each["name"] for each in shown["attachments"]] == ["stick", "serial", "board"]
    assert shown["supervisor"]["pid"] == int(unit.property("MainPID"))
    wait_for(lambda: unit.property("StatusText") == "3 running", "what systemctl status shows")


def test_a_hook_runs_in_the_sandbox(unit: SupervisedUnit) -> None:
    def told() -> list[list[str]] | None:
        found = [line for line in unit.told() if line[:2] == ["stick", "running"]]
        return found or None

    [line] = wait_for(told, "the hook told that the stick runs")
    assert (int(line[2], 16), line[3]) == (BOARD_POWERS, "read-only")


def test_lines_have_fields_in_the_journal(unit: SupervisedUnit) -> None:
    def sent() -> list[str] | None:
        found = [each for each in unit.entries() if each.get("GADGETIP_NAME") == "stick"]
        assert {each["SYSLOG_IDENTIFIER"] for each in found} <= {"gadgetip"}
        return [each["MESSAGE"] for each in found if each["PRIORITY"] == "6"] or None

    lines = wait_for(sent, "lines about the stick")
    assert any("running" in line for line in lines), lines


def test_a_reload(unit: SupervisedUnit, everything: str, stick: Stick) -> None:
    before = unit.status("stick")["pid"]
    unit.configure(everything + configured("spare", "127.0.0.1", "9-9", to="vhci"))
    unit.systemd.run("systemctl", "reload", UNIT)

    def names() -> list[str]:
        return [each["name"] for each in unit.ask("status")["attachments"]]

    wait_for(lambda: "spare" in names(), "the new attachment")
    unit.configure(everything)
    unit.ask("reload")
    assert "spare" not in names()
    assert unit.status("stick")["pid"] == before
    assert unit.property("ActiveState") == "active"


def test_it_is_killed(unit: SupervisedUnit) -> None:
    unit.ask("stop", names=["board"])
    # A supervisor, two keepers, two workers; with the native module each worker has its shelter.
    before = unit.settled(5 if native_module() is None else 7)
    keeper = int(unit.property("MainPID"))
    unit.systemd.run("kill", "-KILL", str(keeper))
    unit.wait_until_active(other_than=keeper)
    for name in ("stick", "serial"):
        unit.wait_for(name, "running")
    for udc in (UDC, SERIAL_UDC):
        wait_for_device(udc)
    unit.wait_until_it_has(before)
    assert unit.status("board")["state"] == "stopped"


def test_with_the_powers_of_a_vhci_client(unit: SupervisedUnit, stick: Stick, board: str) -> None:
    unit.configure(board + configured("stick", "127.0.0.1", stick.busid, to="vhci"))
    drop_in = unit.file(Path(f"/etc/systemd/system/{UNIT}.d/{VHCI_ONLY}"))
    drop_in.write_text((UNITS / VHCI_ONLY).read_text())
    unit.systemd.run("systemctl", "daemon-reload")
    unit.systemd.run("systemctl", "restart", UNIT)
    # The replicas went in order, and nobody is configured now who would clean up behind them.
    for udc in (UDC, SERIAL_UDC):
        wait_for_unplug(udc)
    assert unit.belongings().gadgets == []
    unit.wait_for("stick", "running")
    assert powers(unit, unit.status("stick")["pid"], "CapEff") == VHCI_POWERS
    wait_for(lambda: on_vhci(stick), "the stick on a port of vhci_hcd")
    # Stopped means stopped, until somebody says otherwise.
    assert unit.status("board")["state"] == "stopped"
    assert "board" in unit.file(STATE_DIRECTORY / FILE_NAME).read_text()


def test_one_that_is_stuck_is_started_again(unit: SupervisedUnit, stick: Stick) -> None:
    before = unit.settled(2)  # a supervisor, one keeper
    keeper = int(unit.property("MainPID"))
    fed = unit.property("WatchdogTimestampMonotonic")
    wait_for(lambda: unit.property("WatchdogTimestampMonotonic") != fed, "a sign of life")
    unit.systemd.run("kill", "-STOP", str(keeper))
    unit.wait_until_active(other_than=keeper)
    unit.wait_for("stick", "running")
    unit.wait_until_it_has(before)
    wait_for(lambda: on_vhci(stick), "the stick on a port of vhci_hcd")


def test_stopped_it_leaves_nothing(unit: SupervisedUnit, stick: Stick) -> None:
    unit.systemd.run("systemctl", "stop", UNIT)
    assert unit.property("Result") == "success"
    left = unit.belongings()
    assert (left.processes, left.gadgets, left.ports) == (0, [], 0)
    assert not on_vhci(stick)
    kept = {name for name in left.files if not name.endswith(".lock")}
    assert kept == {"attachments", "told", "vhci"}, "but for directories and what the hook wrote"
