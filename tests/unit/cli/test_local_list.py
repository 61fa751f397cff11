"""`gadgetip list` of this machine, with devices and marks that are data."""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gadgetip.cli import local_list
from gadgetip.cli.local_list import ExportState, rows
from gadgetip.errors import ExitStatus, GadgetipError
from gadgetip.server.binding_marks import Binding, Bindings
from gadgetip.server.hardware_database import KnownNames
from gadgetip.server.local_device import LocalDevice, LocalInterface
from tests.unit.remote.examples import exported
from tests.unit.remote.server import Server
from tests.unit.server.local_devices import stick

from .running import Command, served

HOSTILE = "\x1b]0;owned\x07\nroot: \u202e"
STICK = stick(
    "1-1.4",
    devnum=5,
    bcdDevice=0x0126,
    vendor_name="SanDisk Corp.",
    product_name="Ultra",
    path="/sys/devices/pci/usb1/1-1/1-1.4",
)
HUB = replace(
    STICK,
    busid="1-1",
    bDeviceClass=9,
    interfaces=(),
    serial=None,
    manufacturer=None,
    product=None,
    vendor_name="Genesys",
    product_name="Hub",
)
STUBBED = replace(STICK, driver="usbip-host", interfaces=(LocalInterface(0, 8, 6, 0x50),))
MARK = Binding("0781:5581", "4C53", "1-1.4")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the command finds here."""
    it = SimpleNamespace(devices=(HUB, STICK), bindings=Bindings(), served=None)

    def ask_serve(request: dict[str, object], limit_s: float) -> dict[str, object] | None:
        assert request == {"command": "state"}
        if isinstance(it.served, GadgetipError):
            raise it.served
        served: dict[str, object] | None = it.served
        return served

    monkeypatch.setattr("gadgetip.cli.listing.read_inventory", lambda: it.devices)
    monkeypatch.setattr("gadgetip.cli.listing.load_bindings", lambda: it.bindings)
    monkeypatch.setattr("gadgetip.cli.listing.ask_serve", ask_serve)
    return it


def test_the_devices_of_this_machine(gadgetip: Command, machine: SimpleNamespace) -> None:
    for arguments in (["list"], ["list", "-l"], ["list", "--local"]):
        run = gadgetip(*arguments)
        assert (run.status, run.err) == (0, "")
        header, line = run.out.splitlines()
        assert header.split() == list(local_list.HEADER)
        assert line.split("  ") == [
            "1-1.4",
            "0781:5581",
            "SanDisk Ultra",
            "4C53",
            "",
            "480 Mbit/s",
            "mass storage, SCSI, bulk-only",
            "usb-storage",
            "no",
        ]
    assert len(gadgetip("list", "-v").out.splitlines()) == 3
    assert "1-1 " in gadgetip("list", "-v").out
    assert "Genesys Hub" in gadgetip("list", "-v").out


def test_nothing_is_plugged_in(gadgetip: Command, machine: SimpleNamespace) -> None:
    machine.devices = (HUB,)
    assert gadgetip("list").out == "no device is plugged in here (-v shows hubs)\n"
    assert gadgetip("list", "--json").out == "[]\n"


def test_for_programs(gadgetip: Command, machine: SimpleNamespace) -> None:
    machine.bindings = Bindings((replace(MARK, once=True), Binding("dead:beef", None, "1-9")))
    device, missing = json.loads(gadgetip("list", "--json").out)
    assert device["busid"] == "1-1.4"
    assert device["interfaces"] == [{"number": 0, "class": "08/06/50", "driver": "usb-storage"}]
    assert device["bound"] == {"once": True, "forced": False}
    assert (device["exported"], device["plugged"], device["hub"]) == ("bound", True, False)
    assert (device["vendor_name"], device["product_name"]) == ("SanDisk Corp.", "Ultra")
    assert (missing["id"], missing["busid"], missing["plugged"]) == ("dead:beef", "1-9", False)
    hub, *_ = json.loads(gadgetip("list", "--json", "-v").out)
    assert hub["hub"] is True


@pytest.mark.parametrize(
    ("device", "marks", "export", "text"),
    [
        (STICK, [], None, "no"),
        (STICK, [MARK], None, "bound, not exported now"),
        (replace(STUBBED, stub_status=1), [], None, "yes"),
        (replace(STUBBED, stub_status=2), [MARK], None, "in use"),
        (replace(STUBBED, stub_status=3), [], None, "error"),
        (STICK, [], {"published_as": "prog", "client": None}, "yes, as prog"),
        (STICK, [MARK], {"published_as": "1-1.4", "client": None}, "yes"),
        (
            replace(STUBBED, stub_status=2),
            [MARK],
            {"published_as": "prog", "client": "[fd00::1]:4711", "since": 1.5},
            "in use by [fd00::1]:4711, as prog",
        ),
        (replace(STUBBED, stub_status=3), [], {"published_as": "1-1.4"}, "error"),
        (STICK, [], {"taken": True, "in_use": True, "client": None}, "in use"),
        (STICK, [], {"taken": False, "fault": "16 bus ids"}, "error: 16 bus ids"),
        (STICK, [], {"taken": False, "fault": None}, "being made ready"),
        (STICK, [], {"published_as": 5, "client": ["odd"]}, "in use"),
    ],
)
def test_what_is_exported(
    device: LocalDevice, marks: Sequence[Binding], export: dict[str, Any] | None, text: str
) -> None:
    state = None if export is None else {"exports": [{"busid": "1-1.4", **export}, "odd"]}
    (row,) = rows((device,), Bindings(tuple(marks)), state)
    assert local_list.cells(row)[-1] == text


def test_a_fault_for_programs() -> None:
    served = {"exports": [{"busid": "1-1.4", "fault": "16 bus ids"}]}
    (row,) = rows((STICK,), Bindings(), served)
    found = local_list.as_json(row)
    assert (found["exported"], found["fault"]) == ("error", "16 bus ids")


def test_marks_without_their_device() -> None:
    twin = replace(STICK, busid="1-2")
    far = Binding("0781:5581", "4C53", "1-7")
    *_, row = rows((STICK, twin), Bindings((far,)), None)
    assert local_list.cells(row)[:4] == ("1-7", "0781:5581", "(several fit)", "4C53")
    (row,) = rows((), Bindings((far,)), None)
    assert local_list.cells(row)[2] == "(not plugged in)"
    (row,) = rows((), Bindings((Binding("dead:beef", None, "1-9"),)), None)
    assert local_list.cells(row) == (
        *("1-9", "dead:beef", "(not plugged in)"),
        *("-", "-", "-", "-", "bound"),
    )


def test_names() -> None:
    for changes, name in (
        ({}, "SanDisk Ultra"),
        ({"product": None, "manufacturer": None}, "SanDisk Corp. Ultra"),
        ({"manufacturer": "SanDisk", "product": "SanDisk Ultra"}, "SanDisk Ultra"),
        (dict.fromkeys(("manufacturer", "product", "vendor_name", "product_name")), "-"),
    ):
        (row,) = rows((replace(STICK, **changes),), Bindings(), None)
        assert local_list.cells(row)[2] == name


def test_an_imported_device() -> None:
    imported = replace(STICK, path="/sys/devices/platform/vhci_hcd.0/usb9/9-1")
    (row,) = rows((imported,), Bindings(), None)
    assert local_list.cells(row)[-1] == "no, it is imported here"
    assert ExportState().text("1-1") == "no"


def test_a_device_cannot_write_to_the_terminal(gadgetip: Command, machine: SimpleNamespace) -> None:
    hostile = {"serial": HOSTILE, "product": HOSTILE, "manufacturer": HOSTILE}
    machine.devices = (replace(STICK, **hostile),)  # type: ignore[arg-type]
    out = gadgetip("list").out
    assert len(out.splitlines()) == 2
    assert out.replace("\n", "").isprintable()
    assert gadgetip("list", "--json").out.isascii()


def test_a_source_that_fails_is_a_note(gadgetip: Command, machine: SimpleNamespace) -> None:
    machine.served = GadgetipError("serve is stuck")
    run = gadgetip("list")
    assert (run.status, run.err) == (0, "note: serve is stuck\n")
    assert "1-1.4" in run.out
    machine.served = {"exports": [], "notes": ["1-1.4 is not exported: two rules fit", 5]}
    assert gadgetip("list").err == "note: 1-1.4 is not exported: two rules fit\n"


def test_local_and_remote(gadgetip: Command, machine: SimpleNamespace) -> None:
    for arguments in (["-l", "-r", "h"], ["-l", "h"], ["h", "-r", "h"]):
        assert gadgetip("list", *arguments).status == ExitStatus.USAGE
    assert "--local" not in gadgetip("list", "--help").out


def test_names_in_a_servers_list(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def patch(names: KnownNames) -> None:
        monkeypatch.setattr("gadgetip.cli.listing.known_names", lambda *_: names)

    with served(Server(exported("1-2"))) as host:
        patch(KnownNames("SanDisk Corp.", "Ultra"))
        header, line = gadgetip("list", host).out.splitlines()
        assert header.split()[-1] == "NAME"
        assert line.endswith("  SanDisk Corp. Ultra")
        patch(KnownNames(None, None))
        header, _ = gadgetip("list", host).out.splitlines()
        assert header.split()[-1] == "CLASS"
