"""The units: what systemd says of them, and that a sandbox lets through what gadgetip does."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.attachment import leftovers
from tests.system.booted_systemd import BOARD, Systemd, install_command
from tests.system.host import wait_for_device, wait_for_unplug
from tests.system.stick import Stick
from tests.system.waiting import wait_for

UNITS = BOARD / "systemd"
UNIT = "gadgetip.service"
UDC = "dummy_udc.1"
BOARD_POWERS = sum(1 << number for number in (0, 1, 5, 6, 7, 21))
"""CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, SYS_ADMIN (include/uapi/linux/capability.h)."""
START_LIMIT_S = 120.0
CLIENT = "gadgetip-vhci-only.conf"
EXPOSURE_LIMITS = {"board": 3.8, "vhci client": 2.7, "server": 2.8}

# The sandbox is the unit's; what runs in it is one attachment, so that it alone is looked at.
ATTACH = """
[Unit]
ConditionPathExists=

[Service]
Type=exec
WatchdogSec=0
ProtectHome=read-only
Restart=always
RestartSec=100ms
ExecStart=
ExecStart=/usr/local/bin/gadgetip -v attach 127.0.0.1 {busid} --udc {udc} {options}
"""


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
    client.write_text((UNITS / UNIT).read_text() + (UNITS / CLIENT).read_text())
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


@pytest.fixture(scope="module")
def systemd(stick: Stick) -> Iterator[Systemd]:
    """A systemd that knows the board's unit, for each backend and for vhci, in their sandboxes."""
    unit = (UNITS / UNIT).read_text()
    client = (UNITS / CLIENT).read_text()
    files = {}
    for name, options in (
        ("functionfs", f"--udc {UDC} --backend functionfs"),
        ("gadgetfs", f"--udc {UDC} --backend gadgetfs"),
        ("vhci", "--to vhci --keep"),
    ):
        text = ATTACH.replace("--udc {udc} {options}", options).format(busid=stick.busid)
        files[f"try-{name}.service"] = unit + (client if name == "vhci" else "") + text
    # The rule starts the unit; that it was started is all that is asked.
    files[f"{UNIT}.d/bench.conf"] = (
        "[Unit]\nConditionPathExists=\n[Service]\nType=exec\nExecStartPre=\nWatchdogSec=0\n"
        "ExecStart=\nExecStart=/bin/sleep infinity\n"
    )
    with Systemd(files) as booted:
        yield booted


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_a_replica_from_within_the_sandbox(systemd: Systemd, stick: Stick, backend: str) -> None:
    unit = f"try-{backend}.service"

    def worker() -> str:
        """The child that became nobody, and carries the traffic; others come and go (modprobe)."""
        pid = systemd.main_process(unit)
        for child in systemd.run("cat", f"/proc/{pid}/task/{pid}/children", check=False).split():
            status = systemd.run("cat", f"/proc/{child}/status", check=False)
            if re.findall(r"Uid:\s*(\d+)", status) == ["65534"]:
                return child
        return ""

    systemd.run("systemctl", "start", unit)
    try:
        first = wait_for(worker, "a worker", START_LIMIT_S)
        device = wait_for_device(UDC)
        assert (device / "idVendor").read_text().strip() == stick.id.partition(":")[0]
        # Nobody carries the traffic, and the keeper has what the unit leaves it.
        keeper = systemd.main_process(unit)
        assert powers(systemd, str(keeper), "CapBnd") == BOARD_POWERS
        assert powers(systemd, first, "CapEff") == 0
        systemd.run("systemctl", "kill", "--signal=KILL", "--kill-whom=all", unit)
        wait_for(lambda: worker() not in {"", first}, "another worker", START_LIMIT_S)
        wait_for_device(UDC)
    finally:
        systemd.run("systemctl", "stop", unit)
    wait_for_unplug(UDC)
    assert leftovers(UDC) == []


def powers(systemd: Systemd, process: str, which: str) -> int:
    """One of a process's sets of capabilities, as in /proc/PID/status."""
    status = systemd.run("cat", f"/proc/{process}/status")
    return int(re.findall(rf"{which}:\s*([0-9a-f]+)", status)[0], 16)


def test_vhci_from_within_its_sandbox(systemd: Systemd, stick: Stick) -> None:
    systemd.run("systemctl", "start", "try-vhci.service")

    def attached() -> bool:
        devices = Path("/sys/bus/usb/devices").glob("*/serial")
        found = [path for path in devices if path.read_text().strip() == stick.serial]
        return any("/vhci_hcd." in str(path.resolve()) for path in found)

    wait_for(attached, "the stick on a port of vhci_hcd", START_LIMIT_S)
    pid = systemd.main_process("try-vhci.service")
    assert powers(systemd, str(pid), "CapBnd") == 1  # CHOWN
    systemd.run("systemctl", "stop", "try-vhci.service")
    assert not attached()


def test_lines_have_fields_in_the_journal(systemd: Systemd) -> None:
    lines = systemd.run(
        *("journalctl", "--no-pager", "-o", "json", "SYSLOG_IDENTIFIER=gadgetip"),
        check=False,
    ).splitlines()
    entries = [json.loads(line) for line in lines]
    sent = [entry for entry in entries if entry.get("LOGGER", "").startswith("gadgetip.")]
    assert sent, lines[:5]
    assert {entry["_SYSTEMD_UNIT"] for entry in sent} >= {"try-functionfs.service"}
    assert all(entry["PRIORITY"] in {"3", "4", "6"} for entry in sent)


def test_a_controller_that_appears_starts_the_unit(systemd: Systemd) -> None:
    assert systemd.state(UNIT) == "inactive"
    subprocess.run(["udevadm", "trigger", "--action=add", "--subsystem-match=udc"], check=True)
    wait_for(lambda: systemd.state(UNIT) == "active", "the unit started by the rule", 60)
