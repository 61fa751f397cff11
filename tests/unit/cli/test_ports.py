"""`ports` and `detach`, on a machine whose ports are files."""

import json
import os
from pathlib import Path

import pytest

from gadgetip.attachment import Registration
from gadgetip.errors import ExitStatus
from gadgetip.vhci import Remembered, local, ports, remember, remembered

from .running import Command

STATUS = """\
hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010002 000003 3-1
hs  0001 005 000 00000000 000000 0-0
hs  0002 004 000 00000000 000000 0-0
"""
SECOND = """\
hub port sta spd dev      sockfd local_busid
hs  0030 004 000 00000000 000000 0-0
ss  0045 006 005 00020003 000007 6-1
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two controllers; what is written to `detach` is kept."""
    for name in ("vhci", "usb/3-1"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(ports, "CONTROLLER", tmp_path / "vhci")
    monkeypatch.setattr(local, "DEVICES", tmp_path / "usb")
    monkeypatch.setattr(remembered, "STOCK_DIRECTORY", tmp_path / "stock")
    monkeypatch.setattr(remembered, "DIRECTORY", tmp_path / "own")
    monkeypatch.setattr(ports, "wait_until_free", lambda *_: None)
    (tmp_path / "vhci/status").write_text(STATUS)
    (tmp_path / "vhci/status.1").write_text(SECOND)
    (tmp_path / "vhci/detach").write_text("")
    for name, value in (
        ("idVendor", "0781"),
        ("idProduct", "5581"),
        ("manufacturer", "SanDisk"),
        ("product", "Ul\x1btra"),
    ):
        (tmp_path / f"usb/3-1/{name}").write_text(value + "\n")
    remember(0, Remembered("fd00::7", "3240", "1-1.4", devid=0x10002, started=5.0, selector="x=y"))
    return tmp_path


def empty(machine: Path) -> None:
    (machine / "vhci/status").write_text(STATUS.splitlines()[0] + "\n" + STATUS.splitlines()[3])
    (machine / "vhci/status.1").unlink()


def test_ports(gadgetip: Command) -> None:
    for arguments in (["ports"], ["port"]):
        run = gadgetip(*arguments)
        assert (run.status, run.err) == (0, "")
        header, first, second, third = (line.split() for line in run.out.splitlines())
        assert header == [
            "PORT",
            "CONTROLLER",
            "STATE",
            "SPEED",
            "REMOTE",
            "LOCAL",
            "BUSID",
            "DEVICE",
        ]
        assert first == [
            r"00",
            r"vhci_hcd.0",
            r"in",
            r"use",
            r"480",
            r"Mbit/s",
            r"[fd00::7]",
            r"1-1.4",
            r"3-1",
            r"0781:5581",
            r"SanDisk",
            r"Ul\x1btra",
        ]
        assert second == ["01", "vhci_hcd.0", "starting", "(high-speed)", "?"]
        assert third == ["45", "vhci_hcd.1", "in", "use", "5000", "Mbit/s", "?", "6-1"]


def test_free_ports_too(gadgetip: Command) -> None:
    lines = gadgetip("ports", "-v").out.splitlines()
    assert len(lines) == 6
    assert lines[3].split() == ["02", "vhci_hcd.0", "free", "(high-speed)"]


def test_ports_for_programs(gadgetip: Command) -> None:
    rows = json.loads(gadgetip("ports", "--json").out)
    assert rows[0] == {
        "port": 0,
        "controller": "vhci_hcd.0",
        "superspeed": False,
        "state": "in use",
        "speed": "480 Mbit/s",
        "devid": 0x10002,
        "local_busid": "3-1",
        "id": "0781:5581",
        "remote": {"host": "fd00::7", "port": "3240", "busid": "1-1.4"},
        "device": "x=y",
        "started": 5.0,
        "kept_by": None,
    }
    assert [row["port"] for row in rows] == [0, 1, 45]
    assert [r["port"] for r in json.loads(gadgetip("ports", "-v", "--json").out)][2:4] == [2, 30]


def test_no_ports(gadgetip: Command, machine: Path) -> None:
    empty(machine)
    assert gadgetip("ports").out == "nothing is attached; 1 ports are free (-v lists them)\n"
    (machine / "vhci/status").unlink()
    run = gadgetip("ports")
    assert run.out == "nothing is attached: the kernel module vhci_hcd is not loaded\n"
    assert gadgetip("ports", "--json").out == "[]\n"


def test_what_is_kept_and_what_is_awaited(gadgetip: Command) -> None:
    with Registration("vhci", "nas", "0483:5740") as registration:
        assert gadgetip("ports").out.splitlines()[-1] == (
            f"awaited: 0483:5740 of nas, by process {os.getpid()}"
        )
        registration.attached("1-9", port=45)
        shown = gadgetip("ports").out
        assert "awaited" not in shown
        assert "in use (kept)" in shown.splitlines()[-1]
        assert json.loads(gadgetip("ports", "--json").out)[2]["kept_by"] == os.getpid()


@pytest.mark.parametrize("what", [["0"], ["-p", "00"], ["1-1.4"], ["3-1"]])
def test_detaching(gadgetip: Command, machine: Path, what: list[str]) -> None:
    run = gadgetip("detach", *what)
    assert run.status == 0
    assert run.out == "detached: 1-1.4 of [fd00::7] on port 0, 3-1 here\n"
    assert (machine / "vhci/detach").read_text() == "0"
    assert not (machine / "stock").exists()
    assert not list((machine / "own").iterdir())


@pytest.mark.parametrize("what", ["--all", "all"])
def test_detaching_everything(gadgetip: Command, what: str) -> None:
    run = gadgetip("detach", what, "--json")
    assert run.status == 0
    events = [json.loads(line) for line in run.out.splitlines()]
    assert [(e["event"], e["port"]) for e in events] == [
        ("detached", 0),
        ("detached", 1),
        ("detached", 45),
    ]


def test_there_is_nothing_to_detach(gadgetip: Command, machine: Path) -> None:
    assert gadgetip("detach", "2").out == "nothing is attached to port 2\n"
    run = gadgetip("detach", "77")
    assert (run.status, run.err) == (1, "gadgetip: vhci_hcd has no port 77: it has 5, 0 to 45\n")
    run = gadgetip("detach", "9" * 5000)
    assert run.status == ExitStatus.ERROR
    assert run.err == "gadgetip: there is no port 999999999... (`gadgetip ports` lists them)\n"
    run = gadgetip("detach", "9-9")
    assert run.status == ExitStatus.ERROR
    assert run.err.startswith("gadgetip: 9-9 is not attached here; attached: 1-1.4 of [fd00::7]")
    empty(machine)
    run = gadgetip("detach", "--all")
    assert (run.status, run.out) == (0, "nothing is attached\n")


@pytest.mark.parametrize("arguments", [[], ["0", "-p", "1"], ["0", "--all"]])
def test_what_cannot_be_meant(gadgetip: Command, arguments: list[str]) -> None:
    assert gadgetip("detach", *arguments).status == ExitStatus.USAGE
