"""Findings about a server: whether this machine can export its devices. Decisions only."""

from gadgetip.diagnosis.facts import MachineFacts, ServingFacts, StubDevice
from gadgetip.diagnosis.finding import Finding, Findings
from gadgetip.diagnosis.machine import judge_module, judge_root

IN_ERROR = 3  # SDEV_ST_ERROR of include/uapi/linux/usbip.h
BUSIDS_OF_STUB = 16  # MAX_BUSID of drivers/usb/usbip/stub_main.c
LITTLE_USBFS_MEMORY_MB = 16


def judge_serving(machine: MachineFacts, serving: ServingFacts) -> list[Finding]:
    """Everything that `gadgetip serve` needs."""
    findings = Findings("server")
    judge_root(findings, root=machine.root, what="exporting a device")
    _judge_stubs(findings, machine, serving)
    if serving.usb:
        count = serving.devices
        findings.ok("devices", f"{count} plugged in" if count else "none is plugged in")
    else:
        findings.failed("devices", "this kernel has no USB", "modprobe usbcore")
    if serving.netlink:
        findings.failed(
            "hotplug",
            f"the kernel's news of devices cannot be heard: {serving.netlink}",
            "allow AF_NETLINK (a sandbox, a container?)",
        )
    else:
        findings.ok("hotplug", "the kernel tells of devices that come and go")
    for stub in serving.stubs:
        _judge_device(findings, stub)
    _judge_policy(findings, serving)
    _judge_listening(findings, serving)
    return findings.made


def _judge_stubs(findings: Findings, machine: MachineFacts, serving: ServingFacts) -> None:
    kernel = (
        judge_module(findings, machine, "usbip_host", "the kernel's stub", needed=False)
        and serving.sysfs_writable
    )
    if not serving.sysfs_writable:
        findings.note(
            "sysfs",
            "/sys is read-only (a container?): the kernel's stub cannot be used",
            "gadgetip serve --stub userspace",
        )
    if not serving.libusb:
        findings.ok("libusb", "there, for the user-space stub")
    elif kernel:
        findings.note(
            "libusb",
            f"{serving.libusb}: there is no user-space stub, the kernel's is used",
            "apt install libusb-1.0-0",
        )
    else:
        findings.failed(
            "stub",
            f"neither the kernel's stub nor the user-space one can be used ({serving.libusb})",
            "install the distribution's full kernel package, or libusb-1.0-0",
        )
    if serving.usbfs_memory_mb is not None and not serving.libusb:
        memory = serving.usbfs_memory_mb
        if 0 < memory <= LITTLE_USBFS_MEMORY_MB:
            findings.note(
                "usbfs memory",
                f"{memory} MiB for all programs together: little for cameras and audio through "
                "the user-space stub",
                "echo 128 > /sys/module/usbcore/parameters/usbfs_memory_mb; at boot: "
                "usbcore.usbfs_memory_mb=128",
            )
        else:
            findings.ok("usbfs memory", f"{memory} MiB" if memory else "not limited")
    if serving.known_busids >= BUSIDS_OF_STUB:
        findings.warning(
            "usbip-host",
            f"all {BUSIDS_OF_STUB} places of its table of bus ids are taken",
            "gadgetip unbind what is not needed; the user-space stub has no such limit",
        )


def _judge_device(findings: Findings, stub: StubDevice) -> None:
    subject = f"device {stub.busid}"
    if stub.status == IN_ERROR:
        findings.failed(
            subject,
            f"{stub.id}: usbip-host has it in the error state, nobody can import it",
            f"gadgetip unbind {stub.busid} && gadgetip bind {stub.busid}; a running "
            "`gadgetip serve` does that by itself",
        )
    else:
        words = {1: "exported, free", 2: "exported, in use"}.get(stub.status or 0, "with the stub")
        findings.ok(subject, f"{stub.id}: {words}")


def _judge_policy(findings: Findings, serving: ServingFacts) -> None:
    if serving.policy_fault:
        findings.failed(
            "policy", serving.policy_fault, f"gadgetip check {serving.policy_path} lists all faults"
        )
    elif serving.policy_exists:
        findings.ok("policy", f"{serving.policy_path}, {serving.rules} rules")
    else:
        findings.ok("policy", "no file: what was bound is exported, to this machine only")
    if serving.marks_fault:
        findings.failed("marks", serving.marks_fault, "bind the devices again")
    elif not serving.marks and not serving.rules:
        findings.note(
            "marks", "nothing is marked for export", "gadgetip list, then gadgetip bind DEVICE"
        )
    else:
        findings.ok("marks", f"{serving.marks} devices were bound by hand")


def _judge_listening(findings: Findings, serving: ServingFacts) -> None:
    if serving.wide:
        findings.warning(
            "listening",
            f"{', '.join(serving.wide)}: USB/IP is neither encrypted nor authenticated, and "
            "others reach this",
            "listen on a VPN's address or the loopback (ssh -L), and name `clients` in the policy",
        )
    elif serving.listen:
        findings.note(
            "listening",
            f"{', '.join(serving.listen)}: only this machine itself can connect",
            "gadgetip serve --listen ADDRESS, or `listen` in the policy",
        )
    if serving.serving_pid is not None:
        findings.ok("gadgetip serve", f"runs, process {serving.serving_pid}")
    elif serving.port_taken:
        who = "the stock usbipd" if serving.stock_daemon else "another program"
        findings.failed(
            f"port {serving.port}",
            f"{who} listens on it already",
            "systemctl stop usbipd (or what it is), or gadgetip serve --port N",
        )
    else:
        findings.ok(f"port {serving.port}", "free")
    if serving.firewall and (serving.wide or serving.serving_pid is not None):
        findings.note(
            "firewall",
            f"{', '.join(serving.firewall)}: it may keep clients away",
            f"let TCP {serving.port} in from those who may import",
        )
