import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gadgetip.errors import ExitStatus, GadgetipError
from gadgetip.server import binding_by_hand, bindings, policy, usbip_host
from gadgetip.server.bindings import Binding, Bindings, Places, load_bindings
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.machine_facts import BlockDevice, MachineFacts, Mount
from gadgetip.server.stub import DeviceFaultError
from tests.unit.server.local_devices import HUB, KEYBOARD, STICK, stick

from .running import Command


@dataclass
class Machine:
    """What bind and unbind ask of a machine."""

    devices: list[LocalDevice]
    policy_file: Path
    mounted: dict[str, str] = field(default_factory=dict)
    """Mount points by the bus id of the device."""
    serve: dict[str, Any] | None = None
    stub: bool = True
    asked: list[str] = field(default_factory=list)
    fault: GadgetipError | None = None

    def ask_serve(self, request: dict[str, Any]) -> dict[str, Any] | None:
        self.asked.append(request["command"])
        if self.serve is not None and "error" in self.serve:
            raise GadgetipError(self.serve["error"])
        return self.serve

    def take(self, busid: str) -> None:
        if self.fault:
            raise self.fault
        self._set_driver(busid, "usbip-host")

    def give_back(self, busid: str) -> None:
        self._set_driver(busid, "usb")

    def driver_of(self, busid: str) -> str | None:
        return next((d.driver for d in self.devices if d.busid == busid), None)

    def facts(self) -> MachineFacts:
        paths = {d.busid: d.path for d in self.devices}
        disks = tuple(
            BlockDevice(f"sd{number}", f"8:{number}", f"{paths[busid]}/block/sd{number}")
            for number, busid in enumerate(self.mounted)
        )
        mounts = tuple(
            Mount(f"8:{number}", point, f"/dev/sd{number}", "ext4")
            for number, point in enumerate(self.mounted.values())
        )
        return MachineFacts(mounts=mounts, block_devices=disks)

    def _set_driver(self, busid: str, driver: str) -> None:
        self.devices = [replace(d, driver=driver) if d.busid == busid else d for d in self.devices]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine([STICK, HUB, KEYBOARD, stick("1-3", "5D64")], tmp_path / "policy.toml")
    places = Places(tmp_path / "kept.json", tmp_path / "once.json", tmp_path / "lock")
    monkeypatch.setattr(bindings, "PLACES", places)
    monkeypatch.setattr(policy, "POLICY_FILE", made.policy_file)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(binding_by_hand, "read_inventory", lambda: tuple(made.devices))
    monkeypatch.setattr(binding_by_hand, "gather_facts", made.facts)
    monkeypatch.setattr(binding_by_hand, "ask_serve", made.ask_serve)
    monkeypatch.setattr(usbip_host, "is_available", lambda: made.stub)
    for name in ("take", "give_back", "driver_of"):
        monkeypatch.setattr(usbip_host, name, getattr(made, name))
    return made


MARK = Binding("0781:5581", "4C53", "1-1")


def test_without_serve_the_kernels_stub_has_it(gadgetip: Command, machine: Machine) -> None:
    run = gadgetip("bind", "1-1")
    assert (run.status, run.err) == (0, "")
    assert run.out == (
        "1-1 (0781:5581, serial 4C53, SanDisk Ultra) is bound; usbip-host has it, for `gadgetip "
        "serve` or usbipd to export\n"
    )
    assert load_bindings() == Bindings((MARK,))
    assert machine.driver_of("1-1") == "usbip-host"
    again = gadgetip("bind", "-b", "1-1")
    assert again.status == 0
    assert "is already bound; usbip-host has it" in again.out
    run = gadgetip("unbind", "1-1")
    assert (run.status, run.out) == (0, "1-1 (0781:5581, serial 4C53, SanDisk Ultra) is unbound\n")
    assert load_bindings() == Bindings()
    assert machine.driver_of("1-1") == "usb"
    run = gadgetip("unbind", "-b", "1-1")
    assert run.status == 0
    assert run.out == "1-1 (0781:5581, serial 4C53, SanDisk Ultra) is not bound\n"
    assert gadgetip("unbind", "9-9").out == "9-9 is not bound\n"


def test_without_a_stub_the_mark_waits(gadgetip: Command, machine: Machine) -> None:
    machine.stub = False
    run = gadgetip("bind", "046d:*", "--once")
    assert run.status == 0
    assert run.out == (
        "1-2.1 (046d:c31c, Logitech USB Keyboard) is bound until the next reboot; it has no serial "
        "number: it is bound to its port; it is exported as soon as `gadgetip serve` runs\n"
    )
    assert load_bindings() == Bindings((Binding("046d:c31c", None, "1-2.1", once=True),))
    assert machine.driver_of("1-2.1") == "usb"


def test_with_serve(gadgetip: Command, machine: Machine) -> None:
    machine.serve = {"exports": [{"busid": "1-1", "published_as": "stick", "fault": None}]}
    run = gadgetip("bind", "serial=4C53")
    assert run.status == 0
    assert run.out.endswith("is bound and exported as stick\n")
    assert machine.driver_of("1-1") == "usb"  # that is serve's to do
    assert "exported as stick" in gadgetip("bind", "stick").out
    run = gadgetip("unbind", "stick")
    assert run.status == 0
    assert run.out.endswith(
        'is unbound; the policy exports it by itself, as "stick", and goes on doing so\n'
    )
    assert load_bindings() == Bindings()
    machine.take("1-1")  # by serve, as the policy says
    assert (
        'is not bound; the policy exports it by itself, as "stick"' in gadgetip("unbind", "1-1").out
    )


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        ({"exports": [{"busid": "1-1", "fault": "no libusb"}]}, "is bound: no libusb"),
        ({"exports": []}, "is bound: serve does not export it: its log says why"),
        ({"notes": ["1-10 is x", "1-1 is not exported: a tie"]}, "1-1 is not exported: a tie"),
        ({"exports": "?", "notes": 3.5}, None),
        ({"error": "serve hangs"}, "is bound: it is marked, but serve hangs"),
    ],
)
def test_with_a_serve_that_does_not(
    gadgetip: Command, machine: Machine, serve: dict[str, Any], said: str | None
) -> None:
    machine.serve = serve
    run = gadgetip("bind", "1-1")
    assert run.status == 1
    if said:
        assert said in run.err
    assert load_bindings() == Bindings((MARK,))


def test_a_device_that_cannot_be_taken(gadgetip: Command, machine: Machine) -> None:
    machine.fault = DeviceFaultError("1-1 was unplugged")
    run = gadgetip("bind", "1-1")
    assert run.status == 1
    assert run.err.endswith("is bound: 1-1 was unplugged\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1-1", "is refused: this machine runs from it"),
        ("1-2", "is refused: it is a hub"),
        ("0781:5581", "matches 2 devices here: 1-1 (0781:5581, serial 4C53"),
        ("1-7", "no device here matches 1-7"),
    ],
)
def test_what_is_refused(gadgetip: Command, machine: Machine, text: str, said: str) -> None:
    machine.mounted = {"1-1": "/"}
    run = gadgetip("bind", "1-2.1", text)
    assert run.status == 1
    assert said in run.err
    assert load_bindings() == Bindings()  # all or none
    assert not machine.asked or text == "1-7"


def test_force(gadgetip: Command, machine: Machine) -> None:
    machine.mounted = {"1-1": "/mnt"}
    run = gadgetip("bind", "1-1")
    assert run.status == 1
    assert run.err.endswith(
        "sd0 is mounted on /mnt: unmount it first (--force binds it nevertheless)\n"
    )
    assert gadgetip("bind", "1-1", "--force").status == 0
    assert load_bindings() == Bindings((replace(MARK, forced=True),))
    run = gadgetip("bind", "1-2", "--force")
    assert run.status == 1
    assert "it is a hub" in run.err


def test_what_the_policy_denies(gadgetip: Command, machine: Machine) -> None:
    machine.policy_file.write_text('schema = "policy/1"\n[[deny]]\nmatch = { serial = "4C*" }\n')
    run = gadgetip("bind", "1-1", "--force")
    assert run.status == 1
    assert "a [[deny]] of the policy denies it, which --force does not change" in run.err
    machine.policy_file.write_text('schema = "policy/1"\n[[dney]]\n')
    run = gadgetip("bind", "1-1")
    assert run.status == 1
    assert "policy.toml:2: a policy has no key dney: did you mean deny?" in run.err
    assert load_bindings() == Bindings()
    assert gadgetip("unbind", "1-1").status == 0


def test_all(gadgetip: Command, machine: Machine) -> None:
    machine.mounted = {"1-3": "/mnt"}
    run = gadgetip("bind", "--all", "--json")
    assert run.status == 0
    answers = {entry["busid"]: entry for entry in json.loads(run.out)}
    assert {busid: entry["outcome"] for busid, entry in answers.items()} == {
        "1-3": "refused",
        "1-1": "bound",
        "1-2.1": "bound",
    }
    assert "mounted on /mnt" in answers["1-3"]["problem"]
    assert answers["1-1"]["by"] == "serial"
    assert answers["1-2.1"]["by"] == "busid"
    run = gadgetip("unbind", "--all")
    assert run.status == 0
    assert run.out.count(" is unbound") == 2
    assert {d.driver for d in machine.devices} == {"usb"}
    assert gadgetip("unbind", "--all").out == "nothing is bound\n"
    machine.devices, machine.mounted = [HUB], {}
    run = gadgetip("bind", "--all")
    assert not run.err
    assert run.out == "nothing here may be exported\n"


def test_what_the_stock_tools_bound(gadgetip: Command, machine: Machine) -> None:
    machine.take("1-3")
    run = gadgetip("unbind", "1-3")
    assert (run.status, machine.driver_of("1-3")) == (0, "usb")
    assert run.out.endswith(" is unbound\n")


def test_a_device_that_is_not_plugged_in(gadgetip: Command, machine: Machine) -> None:
    assert gadgetip("bind", "1-1", "1-2.1").status == 0
    machine.devices = [HUB]
    run = gadgetip("unbind", "serial=4C53", "046d:c31c")
    assert run.status == 0
    assert run.out == (
        "0781:5581 serial=4C53 (not plugged in) is unbound\n"
        "046d:c31c at 1-2.1 (not plugged in) is unbound\n"
    )
    assert load_bindings() == Bindings()


def test_copies_with_one_serial_number(gadgetip: Command, machine: Machine) -> None:
    machine.devices = [STICK, stick("1-3")]
    run = gadgetip("bind", "1-3")
    assert "its serial number does not tell it from others: it is bound to its port" in run.out
    assert load_bindings() == Bindings((Binding("0781:5581", None, "1-3"),))
    assert machine.driver_of("1-1") == "usb"


def test_a_mark_stays_what_it_is(gadgetip: Command, machine: Machine) -> None:
    gadgetip("bind", "1-1")
    machine.devices = [STICK, stick("1-3")]
    assert "is already bound" in gadgetip("bind", "1-1").out
    assert load_bindings() == Bindings((MARK,))
    assert gadgetip("bind", "1-3").status == 0
    assert len(load_bindings()) == 2


@pytest.mark.parametrize(
    "arguments", [["bind"], ["unbind"], ["bind", "1-1", "--all"], ["bind", "a b"]]
)
def test_usage(gadgetip: Command, machine: Machine, arguments: list[str]) -> None:
    assert gadgetip(*arguments).status == ExitStatus.USAGE
    assert not machine.asked


def test_root_is_needed(
    gadgetip: Command, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for verb in ("bind", "unbind"):
        run = gadgetip(verb, "1-1")
        assert run.status == ExitStatus.PREREQUISITE
        assert "run it as root" in run.err
    assert not machine.asked


def test_unbind_leaves_to_serve_what_serve_has(gadgetip: Command, machine: Machine) -> None:
    gadgetip("bind", "1-1")
    machine.serve = {"error": "not everything is settled"}
    run = gadgetip("unbind", "1-1")
    assert run.status == ExitStatus.ERROR
    assert "serve may export it still: not everything is settled" in run.err
    assert machine.driver_of("1-1") == "usbip-host"
    assert load_bindings() == Bindings()
    # Without a mark serve may have it by a rule.
    run = gadgetip("unbind", "1-1")
    assert (run.status, machine.driver_of("1-1")) == (ExitStatus.ERROR, "usbip-host")


def test_unbind_says_what_serve_did_not_give_back(gadgetip: Command, machine: Machine) -> None:
    gadgetip("bind", "1-1")
    machine.serve = {"exports": []}
    run = gadgetip("unbind", "1-1")
    assert run.status == ExitStatus.ERROR
    assert "serve has not given it back" in run.err
    assert machine.driver_of("1-1") == "usbip-host"


def test_unbind_says_that_serve_cannot_read_its_policy(gadgetip: Command, machine: Machine) -> None:
    machine.stub = False
    gadgetip("bind", "1-1")
    machine.serve = {"exports": [], "policy_fault": "policy.toml:3: no"}
    run = gadgetip("unbind", "1-1")
    assert run.status == 0
    assert "is unbound; serve goes on with its old policy: policy.toml:3: no" in run.out
