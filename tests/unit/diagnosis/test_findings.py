"""What follows from facts: healthy machines, and each thing that people run into."""

from dataclasses import replace

import pytest

from gadgetip.diagnosis.board import LEGACY_GADGETS, judge_board
from gadgetip.diagnosis.client import judge_client
from gadgetip.diagnosis.facts import (
    BoardFacts,
    ClientFacts,
    ClockFacts,
    ConfigurationFacts,
    DualRole,
    Interface,
    MachineFacts,
    ModuleFacts,
    NetworkFacts,
    PortFacts,
    RaspberryFacts,
    Reach,
    ServerFacts,
    ServingFacts,
    StubDevice,
    UdcFacts,
)
from gadgetip.diagnosis.finding import Finding, State, exit_status, worst
from gadgetip.diagnosis.kernel_texts import parse_config_txt
from gadgetip.diagnosis.known_faults import OLDEST_READ, board_faults
from gadgetip.diagnosis.machine import judge_machine
from gadgetip.diagnosis.roles import Role, possible_roles
from gadgetip.diagnosis.serving import judge_serving
from gadgetip.errors import ExitStatus
from gadgetip.gadget.capabilities import OLDEST_KERNEL, KernelVersion

MODULES = ModuleFacts(
    loaded=frozenset({"libcomposite", "usbip_host"}),
    installed=frozenset({"usb_f_fs", "gadgetfs", "vhci_hcd", "dwc2"}),
)
MACHINE = MachineFacts(
    release="6.12.117+deb12-amd64",
    modules=MODULES,
    clock=ClockFacts(2.0, 1.0, True),
    network=NetworkFacts(("192.168.1.9",), ("eth0",), (Interface("eth0"),)),
    configuration=ConfigurationFacts("/etc/gadgetip/gadgetip.toml"),
    memory_available_kib=300_000,
)
UDC = UdcFacts("20980000.usb", "dwc2-bcm2835", "not attached", "UNKNOWN", "high-speed")
BOARD = BoardFacts(udcs=(UDC,), aio_used=0, aio_max=65536, gadgetfs_limit=4096)
PI = RaspberryFacts("Raspberry Pi Zero 2 W Rev 1.0", "/boot/firmware/config.txt")
SERVING = ServingFacts(devices=2, listen=("127.0.0.1",), marks=1, usbfs_memory_mb=128)
CLIENT = ClientFacts(loaded=True, ports=16, free=16)
LOADED = replace(MACHINE, modules=replace(MODULES, loaded=MODULES.loaded | {"vhci_hcd"}))


def of(findings: list[Finding], subject: str) -> Finding:
    """The one finding about a subject."""
    (found,) = [each for each in findings if each.subject == subject]
    return found


def test_a_healthy_machine_of_every_role() -> None:
    findings = [
        *judge_machine(MACHINE, asks_servers=True),
        *judge_board(MACHINE, BOARD),
        *judge_serving(MACHINE, SERVING),
        *judge_client(LOADED, CLIENT),
    ]
    assert worst(findings) is State.NOTE
    assert exit_status(findings) is ExitStatus.DONE
    assert {f.subject for f in findings if f.state is State.NOTE} == {
        "FunctionFS, memory",
        "listening",
    }


def test_whatever_is_wrong_has_a_remedy() -> None:
    broken = MachineFacts(
        "5.10",
        root=False,
        modules=ModuleFacts(loaded=frozenset(LEGACY_GADGETS), directory=False),
        clock=ClockFacts(0.0, 1.0),
        network=NetworkFacts(interfaces=(Interface("wlan0", True, True),)),
        configuration=ConfigurationFacts("f", True, (), "no valid TOML: x"),
        servers=tuple(ServerFacts("h", reach, reason="r") for reach in Reach),
        memory_available_kib=1,
        libaio="no libaio",
    )
    board = BoardFacts(
        gadget_directory=False,
        configfs_mounted=False,
        aio_used=65536,
        aio_max=65536,
        worker_user=False,
        module_loading=False,
        own_gadgets=("gadgetip.x",),
    )
    serving = ServingFacts(
        usb=False,
        sysfs_writable=False,
        libusb="no libusb",
        known_busids=16,
        policy_fault="line 1",
        marks_fault="damaged",
        wide=("0.0.0.0",),
        port_taken=True,
        netlink="not permitted",
        firewall=("ufw",),
        stubs=(StubDevice("1-1", "0781:5581", 3),),
    )
    client = ClientFacts(True, 2, 0, (PortFacts(0, "error"), PortFacts(1, "in use")), ("portX",))
    findings = [
        *judge_machine(broken, asks_servers=True),
        *judge_board(broken, board),
        *judge_serving(broken, serving),
        *judge_client(broken, client),
        *judge_client(LOADED, client),
    ]
    assert exit_status(findings) is ExitStatus.PREREQUISITE
    for finding in findings:
        if finding.state in {State.WARNING, State.FAILED}:
            assert finding.remedy, finding
        assert finding.found
    assert len({f.subject for f in findings if f.state is State.FAILED}) >= 12


def config(text: str) -> RaspberryFacts:
    return replace(PI, overlays=parse_config_txt(text))


@pytest.mark.parametrize(
    ("board", "found", "remedy"),
    [
        (BoardFacts(), "no USB device controller", "Raspberry Pi Zero"),
        (BoardFacts(raspberry=config("")), "does not ask for", "put dtoverlay=dwc2,dr_mode"),
        (
            BoardFacts(raspberry=config("dtoverlay=dwc2,dr_mode=host")),
            "as a host",
            "in place of it",
        ),
        (
            BoardFacts(raspberry=config("[cm4]\ndtoverlay=dwc2,dr_mode=peripheral")),
            "not for this",
            "below [all]",
        ),
        (
            BoardFacts(
                raspberry=config("dtoverlay=dwc2"), dual_role=(DualRole("3f980000.usb", "otg"),)
            ),
            "no driver has 3f980000.usb",
            "modprobe dwc2",
        ),
        (
            BoardFacts(dual_role=(DualRole("47400000.usb", "host", "musb-hdrc"),)),
            "a host (dr_mode)",
            "peripheral",
        ),
        (
            BoardFacts(dual_role=(DualRole("47400000.usb", "otg", "musb-hdrc"),)),
            "did not become a device",
            "dmesg",
        ),
    ],
)
def test_why_there_is_no_controller(board: BoardFacts, found: str, remedy: str) -> None:
    finding = of(judge_board(MACHINE, board), "controller")
    assert finding.state is State.FAILED
    assert found in finding.found
    assert remedy in finding.remedy


def test_a_compute_modules_filter_counts_on_one() -> None:
    text = "[cm4]\ndtoverlay=dwc2,dr_mode=peripheral"
    pi = replace(config(text), model="Raspberry Pi Compute Module 4")
    board = BoardFacts(raspberry=pi, dual_role=(DualRole("fe980000.usb", "peripheral"),))
    assert "no driver has" in of(judge_board(MACHINE, board), "controller").found


def test_another_gadget_in_the_way() -> None:
    taken = replace(UDC, owner="gadget other")
    board = replace(BOARD, udcs=(taken,), other_gadgets=("other on 20980000.usb",))
    findings = judge_board(MACHINE, board)
    assert of(findings, "controller 20980000.usb").state is State.FAILED
    assert "in use by gadget other" in of(findings, "controller 20980000.usb").found
    assert of(findings, "gadget other").state is State.NOTE
    second = replace(UDC, name="b")
    findings = judge_board(MACHINE, replace(board, udcs=(taken, second)))
    assert of(findings, "controller 20980000.usb").state is State.NOTE


@pytest.mark.parametrize(
    "board",
    [
        replace(BOARD, udcs=(replace(UDC, owner="gadget gadgetip.20980000.usb"),)),
        replace(
            BOARD,
            udcs=(replace(UDC, owner="USB Gadget filesystem"),),
            held_locks=("20980000.usb",),
        ),
    ],
)
def test_our_own_gadget_is_not_in_the_way(board: BoardFacts) -> None:
    finding = of(judge_board(MACHINE, board), "controller 20980000.usb")
    assert (finding.state, "used by gadgetip" in finding.found) == (State.OK, True)


def test_debris_is_what_nobody_holds() -> None:
    left = replace(
        BOARD,
        own_gadgets=("/sys/kernel/config/usb_gadget/gadgetip.20980000.usb",),
        own_mounts=("/run/gadgetip/20980000.usb.c1",),
    )
    assert of(judge_board(MACHINE, left), "debris").state is State.NOTE
    held = replace(left, held_locks=("20980000.usb",))
    assert not [f for f in judge_board(MACHINE, held) if f.subject == "debris"]


@pytest.mark.parametrize("module", ["g_ether", "g_mass_storage"])
def test_a_legacy_gadget(module: str) -> None:
    machine = replace(MACHINE, modules=replace(MODULES, loaded=frozenset({module})))
    assert f"rmmod {module}" in of(judge_board(machine, BOARD), f"module {module}").remedy


def test_the_distributions_gadgetfs() -> None:
    findings = judge_board(MACHINE, replace(BOARD, gadgetfs_limit=None))
    assert "256 bytes" in of(findings, "GadgetFS").found
    assert of(judge_board(MACHINE, BOARD), "GadgetFS").state is State.OK


def test_configfs() -> None:
    board = replace(BOARD, gadget_directory=False)
    assert of(judge_board(MACHINE, board), "configfs").state is State.NOTE
    board = replace(board, configfs_mounted=False)
    assert "mount -t configfs" in of(judge_board(MACHINE, board), "configfs").remedy


def test_an_upgraded_kernel_wants_a_restart() -> None:
    machine = replace(MACHINE, modules=ModuleFacts(directory=False))
    findings = judge_machine(machine, asks_servers=False)
    assert "restart" in of(findings, "kernel modules").remedy
    assert of(judge_client(machine, CLIENT), "module vhci_hcd").state is State.FAILED


def test_a_part_of_the_kernel_is_as_good_as_a_module() -> None:
    machine = replace(MACHINE, modules=ModuleFacts(builtin=frozenset({"vhci_hcd"})))
    assert of(judge_client(machine, CLIENT), "module vhci_hcd").found == "part of the kernel"


@pytest.mark.parametrize(
    ("clock", "state"),
    [
        (ClockFacts(5.0, 10.0, True), State.WARNING),
        (ClockFacts(20.0, 10.0, False), State.NOTE),
        (ClockFacts(20.0, 10.0, None), State.OK),
    ],
)
def test_clocks(clock: ClockFacts, state: State) -> None:
    findings = judge_machine(replace(MACHINE, clock=clock), asks_servers=False)
    assert of(findings, "clock").state is state


@pytest.mark.parametrize(("power_save", "told"), [(True, True), (None, True), (False, False)])
def test_power_saving_of_wireless_networks(power_save: bool | None, told: bool) -> None:
    network = replace(MACHINE.network, interfaces=(Interface("wlan0", True, power_save),))
    findings = judge_machine(replace(MACHINE, network=network), asks_servers=False)
    assert any(f.subject == "Wi-Fi wlan0" for f in findings) is told


@pytest.mark.parametrize(
    ("server", "state"),
    [
        (ServerFacts("h", Reach.ANSWERS, ("1-1 0781:5581",)), State.OK),
        (ServerFacts("h", Reach.ANSWERS), State.WARNING),
        (ServerFacts("h", Reach.UNREACHABLE, reason="x"), State.FAILED),
        (ServerFacts("h", Reach.UNREACHABLE, reason="x", by_argument=False), State.WARNING),
        (ServerFacts("h", Reach.UNRESOLVED, reason="x"), State.FAILED),
        (ServerFacts("h", Reach.NOT_USBIP, reason="x"), State.FAILED),
    ],
)
def test_servers(server: ServerFacts, state: State) -> None:
    findings = judge_machine(replace(MACHINE, servers=(server,)), asks_servers=True)
    assert of(findings, "server h").state is state


def test_which_pump_is_in() -> None:
    found = of(judge_machine(MACHINE, asks_servers=True), "pump")
    assert (found.state, found.found) == (State.OK, "the native one is in")
    without = replace(MACHINE, native_pump="is not built")
    found = of(judge_machine(without, asks_servers=True), "pump")
    assert found.state is State.NOTE
    assert "the native pump is not built" in found.found
    assert "python3-dev" in found.remedy


def test_the_native_pump_is_in_where_libaio_is_missing() -> None:
    findings = judge_machine(replace(MACHINE, libaio="missing"), asks_servers=True)
    assert of(findings, "libaio").state is State.FAILED
    assert of(findings, "pump").state is State.OK


def test_no_server_is_asked_about_on_a_server() -> None:
    broken = replace(MACHINE, libaio="missing")
    assert worst(judge_machine(broken, asks_servers=False)) is State.OK
    assert worst(judge_machine(broken, asks_servers=True)) is State.FAILED


@pytest.mark.parametrize(
    ("serving", "subject", "state"),
    [
        (replace(SERVING, port_taken=True, stock_daemon=True), "port 3240", State.FAILED),
        (replace(SERVING, port_taken=True, serving_pid=7), "gadgetip serve", State.OK),
        (replace(SERVING, wide=("0.0.0.0",)), "listening", State.WARNING),
        (replace(SERVING, stubs=(StubDevice("1-1", "a", 3),)), "device 1-1", State.FAILED),
        (replace(SERVING, stubs=(StubDevice("1-1", "a", 2),)), "device 1-1", State.OK),
        (replace(SERVING, policy_fault="x"), "policy", State.FAILED),
        (replace(SERVING, marks=0), "marks", State.NOTE),
        (replace(SERVING, usbfs_memory_mb=16), "usbfs memory", State.NOTE),
        (replace(SERVING, usbfs_memory_mb=0), "usbfs memory", State.OK),
        (replace(SERVING, libusb="none"), "libusb", State.NOTE),
        (replace(SERVING, libusb="none", sysfs_writable=False), "stub", State.FAILED),
        (replace(SERVING, serving_pid=1, firewall=("ufw",)), "firewall", State.NOTE),
    ],
)
def test_serving(serving: ServingFacts, subject: str, state: State) -> None:
    assert of(judge_serving(MACHINE, serving), subject).state is state


def test_ports() -> None:
    taken = (PortFacts(0, "in use", "nas 1-1"), PortFacts(1, "error"))
    findings = judge_client(LOADED, ClientFacts(True, 2, 0, taken))
    assert of(findings, "port 00").found == "in use (nas 1-1)"
    assert of(findings, "port 01").state is State.WARNING
    assert of(findings, "ports").state is State.FAILED


def test_kernel_faults() -> None:
    assert [f.subject for f in board_faults((6, 1))] == [
        "FunctionFS, memory",
        "FunctionFS, alternate settings",
    ]
    assert [f.subject for f in board_faults((6, 12))] == ["FunctionFS, memory"]
    assert not board_faults((7, 0))
    assert KernelVersion(*OLDEST_READ) == OLDEST_KERNEL


@pytest.mark.parametrize(
    ("modules", "board", "roles"),
    [
        (MODULES, BOARD, (Role.SERVER, Role.BOARD, Role.CLIENT)),
        (ModuleFacts(), BOARD, (Role.BOARD,)),
        (ModuleFacts(), BoardFacts(raspberry=PI), (Role.BOARD,)),
        (MODULES, BoardFacts(), (Role.SERVER, Role.CLIENT)),
        (ModuleFacts(), BoardFacts(), tuple(Role)),
    ],
)
def test_roles(modules: ModuleFacts, board: BoardFacts, roles: tuple[Role, ...]) -> None:
    assert possible_roles(modules, board) == roles


def test_json_has_texts_only() -> None:
    finding = judge_client(LOADED, CLIENT)[0]
    assert finding.as_json() == {
        "role": "client",
        "subject": "root",
        "state": "ok",
        "found": "yes",
        "remedy": "",
    }
