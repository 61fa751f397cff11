"""`gadgetip doctor` and `report`: a machine that has everything, and one that lacks something.

The command itself is run once; for the rest the doctor is called here, in a child where the machine
has to look different, because starting Python is most of what a run costs on the bench.
"""

import ctypes
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from gadgetip.diagnosis import Finding, Role, State, diagnose
from gadgetip.diagnosis.report import make_report
from tests.system.attachment import gadgetip
from tests.system.stick import Stick

MOUNTS, NETWORK = 0x00020000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET of include/uapi/linux/sched.h


def by_subject(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.subject: each for each in findings}


def failed(found: dict[str, Finding]) -> list[str]:
    return [subject for subject, each in found.items() if each.state is State.FAILED]


def seen_from(prepare: Callable[[], object], role: Role, flags: int = 0) -> dict[str, Finding]:
    """What the doctor finds in a child with namespaces of its own, after `prepare`."""

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            if flags:
                assert ctypes.CDLL(None, use_errno=True).unshare(flags) == 0
            if flags & MOUNTS:
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            prepare()
            told = [each.as_json() for each in diagnose(role).findings]
            with os.fdopen(writer, "w") as answer:
                json.dump(told, answer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    findings = (
        Finding(each["role"], each["subject"], State(each["state"]), each["found"], each["remedy"])
        for each in json.loads(text)
    )
    return by_subject(tuple(findings))


def command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True)


def test_a_healthy_board(stick: Stick) -> None:
    done = gadgetip("--json", "doctor", "board", "127.0.0.1")
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = {each["subject"]: each for each in json.loads(done.stdout)["findings"]}
    assert not [each for each in found.values() if each["state"] == "failed"]
    assert found["server 127.0.0.1"]["state"] == "ok"
    assert f"{stick.busid} {stick.id}" in found["server 127.0.0.1"]["found"]
    assert "free" in found["controller dummy_udc.1"]["found"]
    assert found["module usb_f_fs"]["state"] == "ok"
    # Another gadget in the way, and which one.
    other = found["controller dummy_udc.0"]
    assert (other["state"], "gadget stick-dummy_udc.0" in other["found"]) == ("note", True)
    assert "stick-dummy_udc.0 on dummy_udc.0" in found["gadget stick-dummy_udc.0"]["found"]


def test_a_healthy_client(stick: Stick) -> None:
    found = by_subject(diagnose(Role.CLIENT).findings)
    assert not failed(found)
    assert found["module vhci_hcd"].found == "loaded"
    assert "are free" in found["ports"].found


def test_a_healthy_server_where_nobody_has_the_port(stick: Stick) -> None:
    found = seen_from(lambda: None, Role.SERVER, NETWORK)
    assert not failed(found)
    assert found[f"device {stick.busid}"].found == f"{stick.id}: exported, free"
    assert found["port 3240"].found == "free"


def test_the_stock_daemon_has_the_port(stick: Stick) -> None:
    found = by_subject(diagnose(Role.SERVER).findings)
    assert failed(found) == ["port 3240"]
    assert "the stock usbipd" in found["port 3240"].found


def test_configfs_is_not_mounted(stick: Stick) -> None:
    found = seen_from(command("umount", "/sys/kernel/config"), Role.BOARD, MOUNTS)
    assert failed(found) == ["configfs"]
    assert "mount -t configfs" in found["configfs"].remedy


def test_without_root(stick: Stick) -> None:
    found = seen_from(lambda: os.setresuid(65534, 65534, 65534), Role.BOARD)
    assert not failed(found)
    assert found["root"].state is State.WARNING


def test_a_report_has_no_serial_number(stick: Stick) -> None:
    """Not the stick's, nor that of anything else: in sysfs, configfs, the kernel's log."""
    serials = [p.read_text().strip() for p in Path("/sys/bus/usb/devices").glob("[0-9]*/serial")]
    assert stick.serial in serials
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    assert f"SerialNumber: {stick.serial}" in log
    text = make_report(addresses=True).text()
    for serial in serials:
        assert len(serial) < 8 or serial.lower() not in text.lower(), serial
    assert stick.id in text
    assert "dummy_udc.0" in text
    assert "SerialNumber: <serial-" in text


def test_modules_of_another_kernel(stick: Stick) -> None:
    """The module is not loaded, and the running kernel's directory is gone, as after an upgrade."""
    subprocess.run(["modprobe", "-r", "vhci-hcd"], check=True)
    try:
        hide = command("mount", "-t", "tmpfs", "none", "/lib/modules")
        found = seen_from(hide, Role.CLIENT, MOUNTS)
    finally:
        subprocess.run(["modprobe", "vhci-hcd"], check=True)
    assert failed(found) == ["module vhci_hcd"]
    assert "restart" in found["kernel modules"].remedy
