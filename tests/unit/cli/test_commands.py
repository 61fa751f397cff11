"""The commands, against a server on loopback."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gadgetip.attachment import (
    Bound,
    Imported,
    Listener,
    PatientSearch,
    Search,
    Traffic,
    search_once,
)
from gadgetip.errors import DeviceUnpluggedError, ExitStatus, LinkLostError
from gadgetip.gadget import Udc
from gadgetip.gadget.udc_models import DUMMY_HCD
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, DeviceSelector
from gadgetip.profiles import ProfileChoice
from gadgetip.pump import PumpChoice, VhciPump
from gadgetip.remote import ImportedDevice
from gadgetip.remote.finding import FoundDevice
from gadgetip.server.hardware_database import known_names
from gadgetip.usb import DeviceTree, Speed, build_device_file, parse_device_file
from gadgetip.vhci import PortStatus, Remembered, VhciPort
from gadgetip.wire import ClientConnection
from tests.unit.gadget.devices import CAMERA, HS_STICK, UAS_STICK, device, stick, strings
from tests.unit.gadget.planning import STOCK, plan
from tests.unit.pump.stub import tcp_pair
from tests.unit.remote.examples import exported, record
from tests.unit.remote.server import Exported, Server

from .running import Command, served

HOSTILE = "\x1b]0;owned\x07\nroot: \u202e"


# --- list -----------------------------------------------------------------------------------


def test_a_list(gadgetip: Command) -> None:
    server = Server(exported("1-1.2-1", UAS_STICK, interfaces=True), exported("1-2"))
    with served(server) as host:
        for arguments in (
            ["list", host],
            ["list", "-r", host],
            ["list", host, "-v"],
            ["-v", "list", host],
        ):
            run = gadgetip(*arguments)
            assert (run.status, run.err) == (0, "")
            header, first, second = run.out.splitlines()
            assert header.split()[:4] == ["BUSID", "ID", "SPEED", "CLASS"]
            assert first.startswith(
                "1-1.2-1  0781:5581  5000 Mbit/s  mass storage, SCSI, bulk-only"
            )
            assert second.startswith("1-2      0781:5581  480 Mbit/s   (in its interfaces")


def test_a_list_for_programs(gadgetip: Command) -> None:
    names = known_names(0x0781, 0x5581)  # as far as this machine's database knows them
    server = Server(exported("1-2", interfaces=True))
    with served(server) as host:
        for arguments in (["list", host, "--json"], ["--json", "list", host]):
            (entry,) = json.loads(gadgetip(*arguments).out)
            assert entry == {
                "busid": "1-2",
                "id": "0781:5581",
                "bcdDevice": 0x0100,
                "vendor_name": names.vendor,
                "product_name": names.product,
                "speed": "480 Mbit/s",
                "class": "00/00/00",
                "interfaces": ["08/06/50"],
                "path": "/sys/devices/1-2",
            }


def test_an_empty_list(gadgetip: Command) -> None:
    with served(Server()) as host:
        assert gadgetip("list", host).out == f"{host} exports nothing that is free\n"
        assert gadgetip("list", host, "--json").out == "[]\n"
        assert gadgetip("list", host, "-q").out == ""


def test_a_hostile_server_cannot_write_to_the_terminal(gadgetip: Command) -> None:
    it = exported("1-2")
    it.record = replace(it.record, busid="\u202e1-2\udcff", path="/\u2028", speed=99)
    with served(Server(it)) as host:
        out = gadgetip("list", host).out
    assert "\\u202e1-2\\udcff" in out
    assert "speed 99" in out
    assert out.replace("\n", "").isprintable()


def test_no_server(gadgetip: Command) -> None:
    with served(Server()) as host:
        pass
    run = gadgetip("list", host)
    assert run.status == ExitStatus.LINK_LOST
    assert run.err.startswith("gadgetip: nothing listens on 127.0.0.1 port ")
    assert run.err.count("\n") == 1


# --- inspect --------------------------------------------------------------------------------


def test_a_device_in_words(gadgetip: Command) -> None:
    with served(Server(exported("1-2", UAS_STICK))) as host:
        run = gadgetip("inspect", host, "0781:5581")
    assert run.status == 0
    assert run.out.startswith(f"SanDisk Ultra (0781:5581) at {host}, 1-2, 5000 Mbit/s\n")
    for line in (
        '            serial: "4C530001"\n',
        "configuration 1  121 bytes, bus-powered, 896 mA\n",
        "  interface 0 setting 1  08/06/62 (mass storage, SCSI, UAS)\n",
        "    endpoint 0x83  IN bulk, 1024 bytes, bInterval 0\n",
        "BOS         20 bytes\n",
    ):
        assert line in run.out


def test_every_descriptor_of_a_class_is_shown(gadgetip: Command) -> None:
    with served(Server(exported("1-2", replace(CAMERA, strings=strings({}))))) as host:
        run = gadgetip("inspect", host, "1-2")
    assert "    cs interface descriptor, 13 bytes: 0d 24 01 00 01 33 00" in run.out
    assert "(string 4, not given)" in run.out


def test_a_device_for_programs(gadgetip: Command) -> None:
    with served(Server(exported("1-2"))) as host:
        found = json.loads(gadgetip("inspect", host, "1-2", "--json").out)
    assert (found["busid"], found["speed"], found["serial"]) == ("1-2", "high-speed", "4C530001")
    assert bytes.fromhex(found["descriptors"]) == build_device_file(HS_STICK)
    (interface,) = found["configurations"][0]["interfaces"]
    assert interface["class"] == "08/06/50"
    assert [e["address"] for e in interface["endpoints"]] == [0x81, 0x02]


def test_descriptors_are_saved_as_sysfs_has_them(gadgetip: Command, tmp_path: Path) -> None:
    file = tmp_path / "stick.descriptors"
    with served(Server(exported("1-2"))) as host:
        assert gadgetip("inspect", host, "1-2", "--save", str(file)).status == 0
        missing = gadgetip("inspect", host, "1-2", "--save", str(tmp_path / "no" / "file"))
    assert parse_device_file(file.read_bytes()).configurations == HS_STICK.configurations
    assert missing.status == ExitStatus.ERROR
    assert "cannot write" in missing.err


def test_a_hostile_device_cannot_write_to_the_terminal(gadgetip: Command) -> None:
    data = bytearray(stick())
    data[6], data[9 + 8] = 4, 5
    texts = strings(dict.fromkeys(range(1, 6), HOSTILE))
    with served(Server(exported("1-2", device(bytes(data), texts=texts)))) as host:
        plain = gadgetip("inspect", host, "1-2")
        for_programs = gadgetip("inspect", host, "1-2", "--json")
        missing = gadgetip("inspect", host, "serial=nope")
    for run in (plain, missing):
        assert (run.out + run.err).replace("\n", "").isprintable()
    assert plain.out.count("\\x1b]0;owned\\x07\\nroot: \\u202e") == 7
    assert for_programs.out.isascii()
    assert json.loads(for_programs.out)["product"] == HOSTILE


@pytest.mark.parametrize("text", ["1-9", "ffff:0000", "name=nope"])
def test_a_device_that_is_not_there(gadgetip: Command, text: str) -> None:
    with served(Server(exported("1-2"))) as host:
        run = gadgetip("inspect", host, text)
    assert run.status == ExitStatus.ERROR
    assert f"{host} exports: 1-2 (0781:5581)" in run.err
    assert run.err.count("\n") == 1


def test_a_device_without_configurations_is_refused_in_one_line(gadgetip: Command) -> None:
    it: Exported = exported("1-2", device())
    with served(Server(it)) as host:
        run = gadgetip("inspect", host, "1-2")
    assert (run.status, run.out) == (ExitStatus.ERROR, "")
    assert "bNumConfigurations" in run.err
    assert run.err.count("\n") == 1


# --- attach ---------------------------------------------------------------------------------


def bound(tree: DeviceTree) -> Bound:
    stream, other = tcp_pair()
    other.close()
    imported = ImportedDevice(HostAddress("nas"), record("1-2", tree), stream, ClientConnection())
    stream.close()
    udc = Udc("dummy_udc.0", "configured", Speed.HIGH, Speed.HIGH, None, DUMMY_HCD)
    return Bound(FoundDevice(imported, tree), udc, plan(tree, backends=STOCK[:1]))


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `attach` asked for; the attachment lives for a moment and is stopped by the user."""
    seen = SimpleNamespace(tree=HS_STICK, sinks=[], searches=[], losses=[], pumps=[])

    def to_gadget(
        address: HostAddress,
        selector: DeviceSelector,
        udc: str | None,
        profile_for: ProfileChoice,
        listener: Listener,
        search: Search,
        pump: PumpChoice,
    ) -> None:
        seen.searches.append(search)
        seen.pumps.append(pump)
        seen.sinks.append(("gadget", str(address), str(selector), udc))
        seen.profile = profile_for(DeviceFacts())
        listener.bound(bound(seen.tree))
        listener.host("the host configured the replica")
        listener.notice(f"5 bytes lost{HOSTILE}")

    def on_port_three() -> Imported:
        port = VhciPort(3, False, PortStatus.NOT_ASSIGNED, Speed.UNKNOWN, 0, "0-0")
        return Imported(bound(seen.tree).found, port, Remembered("nas", "3240", "1-2"))

    def to_vhci(
        address: HostAddress, selector: DeviceSelector, search: Search = search_once
    ) -> Imported:
        seen.searches.append(search)
        seen.sinks.append(("vhci", str(address), str(selector), None))
        return on_port_three()

    def stay(
        address: HostAddress,
        selector: DeviceSelector,
        search: Search,
        on_attached: Callable[[Imported], None],
        on_traffic: Callable[[Traffic], None],
        *,
        pump: VhciPump,
        on_notice: Callable[[str], None],
    ) -> None:
        on_traffic(Traffic(1, 2))
        seen.searches.append(search)
        seen.pumps.append(pump)
        seen.sinks.append(("stay", str(address), str(selector), None))
        if seen.losses:
            with suppress(AttributeError):  # it is found, and then it is lost
                search(address, selector)
            on_attached(on_port_three())
            raise seen.losses.pop(0)
        on_attached(on_port_three())

    monkeypatch.setattr("gadgetip.cli.attach.stay_on_vhci", stay)
    monkeypatch.setattr("gadgetip.attachment.keeping.time.sleep", lambda _: None)

    monkeypatch.setattr("gadgetip.cli.attach.attach_to_gadget", to_gadget)
    monkeypatch.setattr("gadgetip.cli.attach.attach_to_vhci", to_vhci)
    return seen


@pytest.mark.parametrize(
    ("arguments", "sink"),
    [
        (["nas", "1-2"], ("gadget", "nas", "1-2", None)),
        (["nas:1", "0781:5581", "--udc", "x"], ("gadget", "nas:1", "0781:5581", "x")),
        (["nas", "1-2", "--to", "vhci"], ("vhci", "nas", "1-2", None)),
        (["nas", "1-2", "--to", "vhci", "--wait"], ("vhci", "nas", "1-2", None)),
        (["nas", "1-2", "--to", "vhci", "--keep"], ("stay", "nas", "1-2", None)),
        (["nas", "1-2", "--to", "vhci", "--pump", "auto"], ("vhci", "nas", "1-2", None)),
        (["nas", "1-2", "--to", "vhci", "--pump", "kernel"], ("vhci", "nas", "1-2", None)),
        (["nas", "1-2", "--to", "vhci", "--pump", "native"], ("stay", "nas", "1-2", None)),
        (["nas", "1-2", "--keep", "--wait"], ("gadget", "nas", "1-2", None)),
        # The stock tool's spelling does what the stock tool does, unless told otherwise.
        (["-r", "nas", "-b", "1-2"], ("vhci", "nas", "1-2", None)),
        (["-r", "nas", "-b", "1-2", "--to", "gadget"], ("gadget", "nas", "1-2", None)),
    ],
)
def test_where_a_device_goes(
    gadgetip: Command, attached: SimpleNamespace, arguments: list[str], sink: object
) -> None:
    run = gadgetip("attach", *arguments)
    assert run.status == 0
    assert attached.sinks == [sink]
    if "--keep" not in arguments:
        assert isinstance(attached.searches[0], PatientSearch) == ("--wait" in arguments)


def test_a_pump_that_does_not_go_with_it(gadgetip: Command, attached: SimpleNamespace) -> None:
    """The kernel carries no replica, and Python no vhci port."""
    for sink, pump in (("gadget", "kernel"), ("vhci", "python")):
        run = gadgetip("attach", "nas", "1-2", "--to", sink, "--pump", pump)
        assert run.status == ExitStatus.USAGE
        assert pump in run.err.splitlines()[-1]
    assert attached.sinks == []


def test_a_backend_and_a_profile_reach_the_attachment(
    gadgetip: Command, attached: SimpleNamespace, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('schema = "profile/1"\nname = "mine"\n[gadget]\nbackend = "functionfs"\n')
    assert gadgetip("attach", "nas", "1-2").status == 0
    assert (attached.profile.name, attached.profile.gadget.backend) == ("generic", "auto")
    assert gadgetip("attach", "nas", "1-2", "--profile", str(file)).status == 0
    assert (attached.profile.name, attached.profile.gadget.backend) == ("mine", "functionfs")
    assert attached.sinks[-1] == ("gadget", "nas", "1-2", None)
    file.write_text(file.read_text() + 'udc = "b"\n')
    assert gadgetip("attach", "nas", "1-2", "--profile", str(file)).status == 0
    assert attached.sinks[-1] == ("gadget", "nas", "1-2", "b")
    # The command line goes first.
    assert gadgetip("attach", "nas", "1-2", "--profile", str(file), "--udc", "a").status == 0
    assert attached.sinks[-1] == ("gadget", "nas", "1-2", "a")
    chosen = gadgetip("attach", "nas", "1-2", "--profile", str(file), "--backend", "gadgetfs")
    assert chosen.status == 0
    assert (attached.profile.name, attached.profile.gadget.backend) == ("mine", "gadgetfs")


def test_a_device_that_is_kept(
    gadgetip: Command, attached: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gadgetip.cli.attach.search_once", lambda *_: bound(attached.tree).found)
    monkeypatch.setattr(
        "gadgetip.attachment.keeping.PatientSearch",
        lambda *_, **__: lambda *_: bound(HS_STICK).found,
    )
    losses = [LinkLostError("silence\x1b"), DeviceUnpluggedError("pulled out")]
    attached.losses = losses[:]
    run = gadgetip("attach", "nas", "1-2", "--to", "vhci", "--keep")
    assert run.status == 0
    there = "SanDisk Ultra (0781:5581) from nas (1-2) is on vhci port 3 of this machine\n"
    assert run.out == (
        f"{there}lost: silence\\x1b; attaching it again when it is there\n"
        f"{there}lost: pulled out; attaching it again when it is there\n"
        f"{there}stopped; the device is detached\n"
    )
    attached.losses = losses[:]
    run = gadgetip("attach", "nas", "1-2", "--to", "vhci", "--keep", "--json")
    events = [json.loads(line) for line in run.out.splitlines()]
    assert [(e["event"], e.get("reason")) for e in events] == [
        ("attached", None),
        ("lost", "link lost"),
        ("attached", None),
        ("lost", "unplugged"),
        ("attached", None),
        ("stopped", None),
    ]


def test_a_device_that_is_awaited(
    gadgetip: Command, attached: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    del attached  # the sinks
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    def really_search(address: HostAddress, selector: DeviceSelector, *rest: Any) -> None:
        search = next(each for each in rest if isinstance(each, PatientSearch))
        search(address, selector)

    monkeypatch.setattr("gadgetip.cli.attach.attach_to_gadget", really_search)
    monkeypatch.setattr("gadgetip.attachment.searching.time.sleep", nap)
    with served(Server()) as host:
        run = gadgetip("attach", host, "0781:5581", "--wait")
    assert run.status == 0
    assert run.out == (
        f"waiting for 0781:5581: no device on {host} matches 0781:5581. {host} exports nothing "
        "that is free: bind a device there first\nstopped; the replica is unplugged\n"
    )
    assert all(0 < nap <= 0.5 for nap in naps)


def test_what_attach_says(gadgetip: Command, attached: SimpleNamespace) -> None:
    run = gadgetip("attach", "nas", "1-2")
    assert run.out == (
        "SanDisk Ultra (0781:5581) from nas (1-2) is on dummy_udc.0 through functionfs at "
        "480 Mbit/s; nothing differs from the device\n"
        "stopped; the replica is unplugged\n"
    )
    assert run.err == "note: 5 bytes lost\\x1b]0;owned\\x07\\nroot: \\u202e\n"


def test_what_attach_says_of_differences(gadgetip: Command, attached: SimpleNamespace) -> None:
    attached.tree = UAS_STICK
    brief, verbose = gadgetip("attach", "nas", "1-2"), gadgetip("attach", "nas", "1-2", "-v")
    assert (
        "it differs in 3 limitations (below) and 2 cosmetic differences (-v lists them)"
        in brief.out
    )
    assert brief.out.count("\n  degraded: ") == 3
    assert brief.out.count("\n  info: ") == 0
    assert verbose.out.count("\n  info: ") == 2
    assert "the host configured the replica\n" in verbose.out


def test_what_attach_says_to_programs(gadgetip: Command, attached: SimpleNamespace) -> None:
    run = gadgetip("attach", "nas", "1-2", "--json")
    events = [json.loads(line) for line in run.out.splitlines()]
    assert [event["event"] for event in events] == ["bound", "host", "notice", "stopped"]
    assert events[0]["udc"] == "dummy_udc.0"
    assert events[0]["deviations"] == []


def test_a_hostile_device_that_is_attached(gadgetip: Command, attached: SimpleNamespace) -> None:
    attached.tree = device(stick(), texts=strings({1: HOSTILE, 2: HOSTILE, 3: HOSTILE}))
    for to in ("gadget", "vhci"):
        run = gadgetip("attach", "nas", "1-2", "--to", to, "-v")
        assert run.status == 0
        assert (run.out + run.err).replace("\n", "").isprintable()


# --- udc ------------------------------------------------------------------------------------


def test_controllers(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    udcs = (
        Udc("dummy_udc.0", "configured", Speed.HIGH, Speed.HIGH, "gadget g\x1b[2J", DUMMY_HCD),
        Udc("dummy_udc.1", "not attached", Speed.UNKNOWN, Speed.HIGH, None, DUMMY_HCD),
    )
    gadgetip("udc", "--help")
    monkeypatch.setattr("gadgetip.cli.udc.list_udcs", lambda: udcs)
    lines = gadgetip("udc").out.splitlines()
    assert lines[1].split() == [
        "dummy_udc.0",
        "dummy_hcd",
        "high-speed",
        "configured",
        "gadget",
        "g\\x1b[2J",
    ]
    assert lines[2].endswith("(free)")
    assert [u["owner"] for u in json.loads(gadgetip("udc", "--json").out)] == [
        "gadget g\x1b[2J",
        None,
    ]


def test_no_controllers(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    gadgetip("udc", "--help")
    monkeypatch.setattr("gadgetip.cli.udc.list_udcs", tuple)
    assert gadgetip("udc").out == "this machine has no USB device controller\n"
    assert gadgetip("udc", "--json").out == "[]\n"
