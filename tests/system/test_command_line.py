"""What a user meets at the command line: lists, and one clear line for everything that is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.attachment import gadgetip
from tests.system.stick import Stick


def line_of(*arguments: str, status: int) -> str:
    """The one line that a failing command prints."""
    done = gadgetip(*arguments)
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_list(stick: Stick) -> None:
    listed = json.loads(gadgetip("list", "127.0.0.1", "--json").stdout)
    assert [(d["busid"], d["id"], d["speed"]) for d in listed] == [
        (stick.busid, stick.id, "480 Mbit/s")
    ]
    shown = gadgetip("list", "-r", "localhost").stdout
    assert stick.busid in shown
    assert stick.id in shown


def test_inspect_saves_what_sysfs_has(stick: Stick, tmp_path: Path) -> None:
    saved = tmp_path / "stick.descriptors"
    shown = gadgetip("inspect", "[::1]", f"serial={stick.serial}", "--save", str(saved))
    assert shown.returncode == 0, shown.stderr
    assert "mass storage, SCSI, bulk-only" in shown.stdout
    assert f'serial: "{stick.serial}"' in shown.stdout
    with (stick.sysfs / "descriptors").open("rb") as own:
        assert saved.read_bytes() == own.read()


def test_udc_lists_all_controllers(stick: Stick) -> None:
    listed = json.loads(gadgetip("--json", "udc").stdout)
    names = [u["name"] for u in listed]
    assert {"dummy_udc.0", "dummy_udc.1", "dummy_udc.2", "dummy_udc.3"} <= set(names)
    owner = next(u for u in listed if u["name"] == "dummy_udc.0")
    assert owner["model"] == "dummy_hcd"
    assert "stick-dummy_udc.0" in owner["owner"]


def test_what_the_server_does_not_have(stick: Stick) -> None:
    line = line_of("attach", "127.0.0.1", "9-9.9", "--udc", "dummy_udc.1", status=1)
    assert stick.busid in line
    line = line_of("attach", "127.0.0.1", "dead:beef", "--udc", "dummy_udc.1", status=1)
    assert stick.busid in line


def test_nothing_listens(stick: Stick) -> None:
    assert "nothing listens" in line_of(
        "attach", "127.0.0.1:9", "1-1", "--udc", "dummy_udc.1", status=4
    )
    assert "no address is known" in line_of("list", "no-such-host.invalid", status=4)


def test_several_controllers_are_free(stick: Stick) -> None:
    line = line_of("attach", "127.0.0.1", stick.busid, status=6)
    assert "dummy_udc.1 (free)" in line
    assert "stick-dummy_udc.0" in line


def test_a_controller_in_use(stick: Stick) -> None:
    line = line_of("attach", "127.0.0.1", stick.busid, "--udc", "dummy_udc.0", status=6)
    assert "stick-dummy_udc.0" in line
    line = line_of("attach", "127.0.0.1", stick.busid, "--udc", "nonsense", status=1)
    assert "dummy_udc.1 (free)" in line


def test_not_root(stick: Stick) -> None:
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            sys.executable,
            "-m",
            "gadgetip",
            "attach",
            "127.0.0.1",
            stick.busid,
            "--udc",
            "dummy_udc.1",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 6
    assert "root" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_configfs_not_mounted(stick: Stick) -> None:
    """In a mount namespace of its own, so that nobody else notices."""
    script = (
        "umount /sys/kernel/config && exec "
        f"{sys.executable} -m gadgetip attach 127.0.0.1 {stick.busid} --udc dummy_udc.1 "
        "--backend functionfs"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 6
    assert "mount -t configfs" in done.stderr


def test_two_devices_match(stick: Stick) -> None:
    with Stick("dummy_udc.2", serial="OTHER") as second:
        subprocess.run(["usbip", "bind", "-b", second.busid], check=True, capture_output=True)
        try:
            line = line_of("attach", "127.0.0.1", stick.id, "--udc", "dummy_udc.1", status=1)
            assert stick.busid in line
            assert second.busid in line
            shown = gadgetip("inspect", "127.0.0.1", "serial=OTHER")
            assert second.busid in shown.stdout, shown.stderr
        finally:
            subprocess.run(["usbip", "unbind", "-b", second.busid], check=True, capture_output=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    done = gadgetip("completion", shell)
    assert done.returncode == 0
    assert "_GADGETIP_COMPLETE" in done.stdout


def test_a_closed_pipe_is_no_traceback(stick: Stick) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gadgetip", "udc"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
