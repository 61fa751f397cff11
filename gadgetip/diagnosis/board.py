"""Findings about a board: whether this machine can be a device at the end of a cable.

Decisions only. The question that people bring is "why is there no controller": config.txt, the
device tree and the driver are asked in the order in which they decide.
"""

from gadgetip.diagnosis.facts import BoardFacts, DualRole, MachineFacts, RaspberryFacts, UdcFacts
from gadgetip.diagnosis.finding import Finding, Findings
from gadgetip.diagnosis.kernel_texts import dwc2_mode, parse_release
from gadgetip.diagnosis.known_faults import board_faults
from gadgetip.diagnosis.machine import judge_module, judge_root

LEGACY_GADGETS = (
    *("g_acm_ms", "g_audio", "g_cdc", "g_dbgp", "g_ether", "g_ffs", "g_hid", "g_mass_storage"),
    *("g_midi", "g_multi", "g_ncm", "g_nokia", "g_printer", "g_serial", "g_webcam", "g_zero"),
    *("tcm_usb_gadget", "raw_gadget"),
)
"""Modules that take a controller for themselves (drivers/usb/gadget/legacy)."""

AIO_REQUESTS = 512
"""About as many as an attachment may have reserved at the kernel."""


def judge_board(machine: MachineFacts, board: BoardFacts) -> list[Finding]:
    """Everything that a replica on this machine needs."""
    findings = Findings("board")
    judge_root(findings, root=machine.root, what="building a gadget")
    _judge_backends(findings, machine, board)
    _judge_kernel(findings, machine)
    _judge_configfs(findings, board)
    if board.udcs:
        for udc in board.udcs:
            _judge_udc(findings, udc, board)
    else:
        _judge_missing_udc(findings, machine, board)
    _judge_others(findings, machine, board)
    _judge_debris(findings, board)
    _judge_surroundings(findings, board)
    return findings.made


def _judge_backends(findings: Findings, machine: MachineFacts, board: BoardFacts) -> None:
    judge_module(findings, machine, "libcomposite", "every gadget")
    judge_module(findings, machine, "usb_f_fs", "FunctionFS, the backend of most devices")
    if board.gadgetfs_limit is not None:
        findings.ok("GadgetFS", f"the rebuilt module, up to {board.gadgetfs_limit} bytes")
    elif judge_module(
        findings, machine, "gadgetfs", "GadgetFS, the backend of CDC, audio and MIDI", needed=False
    ):
        findings.note(
            "GadgetFS",
            "the distribution's module ends at 256 bytes: larger configurations and control "
            "requests do not fit",
            "build the larger one: board/dkms/README.md",
        )


def _judge_kernel(findings: Findings, machine: MachineFacts) -> None:
    version = parse_release(machine.release)
    if version is not None:
        for fault in board_faults(version):
            findings.note(fault.subject, fault.found, fault.remedy)


def _judge_configfs(findings: Findings, board: BoardFacts) -> None:
    if board.gadget_directory:
        findings.ok("configfs", "mounted, with room for gadgets")
    elif not board.configfs_mounted:
        findings.failed(
            "configfs",
            "not mounted" if board.configfs_supported else "this kernel has none",
            "mount -t configfs none /sys/kernel/config"
            if board.configfs_supported
            else "modprobe configfs, or use a kernel with CONFIG_CONFIGFS_FS",
        )
    else:
        findings.note(
            "configfs", "mounted; libcomposite is not loaded yet", "modprobe libcomposite"
        )


def _judge_udc(findings: Findings, udc: UdcFacts, board: BoardFacts) -> None:
    subject = f"controller {udc.name}"
    link = f"{udc.state} at {udc.current_speed}" if udc.state == "configured" else udc.state
    text = f"{udc.model}, up to {udc.maximum_speed}, {link or 'state unknown'}"
    if udc.owner is None:
        findings.ok(subject, f"{text}, free")
    elif _is_ours(udc, board):
        findings.ok(subject, f"{text}, used by gadgetip")
    else:
        free = any(other.owner is None for other in board.udcs)
        judge = findings.note if free else findings.failed
        judge(
            subject,
            f"{text}, in use by {udc.owner}",
            "remove that gadget or module; gadgetip never takes a controller from others",
        )
    if udc.assumed:
        findings.note(f"model {udc.model}", udc.assumed, "")


def _is_ours(udc: UdcFacts, board: BoardFacts) -> bool:
    owner = udc.owner or ""
    return owner.startswith("gadget gadgetip.") or udc.name in board.held_locks


def _judge_missing_udc(findings: Findings, machine: MachineFacts, board: BoardFacts) -> None:
    subject = "controller"
    none = "this machine has no USB device controller"
    if board.raspberry is not None and _judge_raspberry(findings, board.raspberry, none):
        return
    host = [each for each in board.dual_role if each.dr_mode == "host"]
    idle = [each for each in board.dual_role if each.dr_mode != "host" and not each.driver]
    if host:
        findings.failed(subject, f"{none}: {_host_only(host)}", _remedy_for_mode(board))
    elif idle:
        module = "dwc2" if board.raspberry is not None else "the controller's driver"
        missing = " (module dwc2 is not installed)" * (
            board.raspberry is not None
            and not machine.modules.is_here("dwc2")
            and not machine.modules.can_be_loaded("dwc2")
        )
        findings.failed(
            subject,
            f"{none}: no driver has {idle[0].path}{missing}",
            f"modprobe {module}; the kernel log (dmesg) says if it refuses",
        )
    elif board.dual_role:
        findings.failed(
            subject,
            f"{none}: {board.dual_role[0].path} has the driver {board.dual_role[0].driver} and "
            "did not become a device",
            "the kernel log (dmesg) may say why; an OTG controller waits for the right cable",
        )
    else:
        findings.failed(
            subject,
            none,
            "use a board with one (Raspberry Pi Zero, BeagleBone); to try things out: "
            "modprobe dummy_hcd",
        )


def _judge_raspberry(findings: Findings, raspberry: RaspberryFacts, none: str) -> bool:
    """Whether config.txt is the reason, which was added then."""
    path = raspberry.config_path
    if path is None:
        return False
    mode = dwc2_mode(raspberry.overlays)
    if mode is None:
        problem, line = "does not ask for the overlay dwc2", "dtoverlay=dwc2,dr_mode=peripheral"
    elif mode == "host":
        problem = "asks for dwc2 as a host (dr_mode=host)"
        line = "dtoverlay=dwc2,dr_mode=peripheral in place of it"
    elif not _counts_here(raspberry):
        problem = f"asks for dwc2 only below a filter that is not for this {raspberry.model}"
        line = "dtoverlay=dwc2,dr_mode=peripheral below [all]"
    else:
        return False
    findings.failed(
        "controller", f"{none}: {path} {problem}", f"put {line} into {path} and restart"
    )
    return True


def _counts_here(raspberry: RaspberryFacts) -> bool:
    """Whether a filter of config.txt lets dwc2 through; what is not understood does.

    Raspberry Pi OS ships `[cm4]` and `[cm5]` sections that ask for it on compute modules only.
    """
    sections = {o.section for o in raspberry.overlays if o.name == "dwc2"}
    model = raspberry.model.lower()
    return any("compute module" in model or not each.startswith("cm") for each in sections)


def _host_only(controllers: list[DualRole]) -> str:
    return f"the device tree makes {controllers[0].path} a host (dr_mode)"


def _remedy_for_mode(board: BoardFacts) -> str:
    if board.raspberry is not None:
        return "dtoverlay=dwc2,dr_mode=peripheral in config.txt, and restart"
    return 'set dr_mode = "peripheral" (or "otg") in the device tree, and restart'


def _judge_others(findings: Findings, machine: MachineFacts, board: BoardFacts) -> None:
    for module in LEGACY_GADGETS:
        if module in machine.modules.loaded:
            findings.warning(
                f"module {module}",
                "a gadget of its own, which takes the controller",
                f"rmmod {module}; and take it out of /etc/modules, /etc/modules-load.d and "
                "cmdline.txt",
            )
    for gadget in board.other_gadgets:
        findings.note(f"gadget {gadget.partition(' ')[0]}", f"somebody else's: {gadget}")


def _judge_debris(findings: Findings, board: BoardFacts) -> None:
    debris = [
        *(each for each in board.own_gadgets if not _is_held(each, board)),
        *(each for each in board.own_mounts if not _is_held(each, board)),
    ]
    if debris:
        findings.note(
            "debris",
            f"left by a gadgetip that died: {', '.join(debris)}",
            "the next `gadgetip attach` on that controller removes it",
        )


def _is_held(thing: str, board: BoardFacts) -> bool:
    return any(udc in thing for udc in board.held_locks)


def _judge_surroundings(findings: Findings, board: BoardFacts) -> None:
    if board.aio_used is not None and board.aio_max is not None:
        left = board.aio_max - board.aio_used
        if left < AIO_REQUESTS:
            findings.warning(
                "asynchronous I/O",
                f"{board.aio_used} of {board.aio_max} requests are reserved on this machine",
                f"sysctl fs.aio-max-nr={max(board.aio_max * 2, 65536)}",
            )
        else:
            findings.ok("asynchronous I/O", f"{left} requests can be reserved")
    if not board.worker_user:
        findings.failed(
            "user nobody",
            "there is no such user; the process that carries the traffic runs as it",
            "useradd --system --no-create-home nobody",
        )
    if not board.module_loading:
        findings.note("modprobe", "it is not installed: no module can be loaded", "install kmod")
