"""The facts of a machine that exports devices, read from it now. Binds and loads nothing."""

import os
import socket
from contextlib import closing
from pathlib import Path

from gadgetip.diagnosis.facts import ServingFacts, StubDevice
from gadgetip.diagnosis.kernel_texts import parse_listeners, parse_number
from gadgetip.diagnosis.system_files import children, exists, read_text
from gadgetip.errors import GadgetipError
from gadgetip.server.bindings import load_bindings
from gadgetip.server.inventory import read_inventory
from gadgetip.server.listeners import is_loopback_name
from gadgetip.server.policy import DEFAULT_POLICY, POLICY_FILE, Policy, load_policy
from gadgetip.server.surroundings import ask_serve
from gadgetip.server.usbip_host import known_busids

USB_DEVICES = Path("/sys/bus/usb/devices")
USBFS_MEMORY = Path("/sys/module/usbcore/parameters/usbfs_memory_mb")
SERVE_LIMIT_S = 3.0
_NETLINK_KOBJECT_UEVENT = 15  # include/uapi/linux/netlink.h
_KERNEL_GROUP = 1


def gather_serving() -> ServingFacts:
    """The facts of this moment."""
    policy, policy_fault = _policy()
    marks, marks_fault = _marks()
    inventory = read_inventory()
    return ServingFacts(
        usb=exists(USB_DEVICES),
        devices=sum(not device.is_hub for device in inventory),
        sysfs_writable=not _is_read_only("/sys"),
        libusb=_missing_libusb(),
        usbfs_memory_mb=parse_number(read_text(USBFS_MEMORY)),
        stubs=tuple(
            StubDevice(device.busid, device.id, device.stub_status)
            for device in inventory
            if device.driver == "usbip-host"
        ),
        known_busids=len(known_busids()),
        policy_path=str(POLICY_FILE),
        policy_exists=exists(POLICY_FILE),
        policy_fault=policy_fault,
        listen=policy.listen,
        wide=tuple(each for each in policy.listen if not is_loopback_name(each)),
        port=policy.port,
        rules=len(policy.exports),
        marks=marks,
        marks_fault=marks_fault,
        serving_pid=_serving_pid(),
        port_taken=policy.port in _listened_ports(),
        stock_daemon=_runs("usbipd"),
        netlink=_deaf(),
        firewall=_firewalls(),
    )


def _policy() -> tuple[Policy, str]:
    try:
        return load_policy(None), ""
    except GadgetipError as error:
        return DEFAULT_POLICY, str(error)


def _marks() -> tuple[int, str]:
    try:
        return len(load_bindings()), ""
    except GadgetipError as error:
        return 0, str(error)


def _missing_libusb() -> str:
    from gadgetip.server.userspace import UserspaceStub  # noqa: PLC0415 (it opens libusb)

    return UserspaceStub.why_unavailable() or ""


def _is_read_only(place: str) -> bool:
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return True


def _serving_pid() -> int | None:
    """The serve that runs; None without one, or where only root may ask."""
    try:
        answer = ask_serve({"command": "state"}, SERVE_LIMIT_S)
    except GadgetipError:
        return None
    pid = (answer or {}).get("pid")
    return pid if isinstance(pid, int) else None


def _listened_ports() -> frozenset[int]:
    texts = (read_text("/proc/net/tcp"), read_text("/proc/net/tcp6"))
    return parse_listeners(texts[0]) | parse_listeners(texts[1])


def _runs(name: str) -> bool:
    processes = (each for each in children("/proc") if each.name.isdecimal())
    return any(read_text(each / "comm", 64).strip() == name for each in processes)


def _deaf() -> str:
    """Why the kernel's events cannot be heard, "" if they can."""
    try:
        with closing(
            socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT)
        ) as listener:
            listener.bind((0, _KERNEL_GROUP))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _firewalls() -> tuple[str, ...]:
    found = []
    if "ENABLED=yes" in read_text("/etc/ufw/ufw.conf").splitlines():
        found.append("ufw")
    if exists(Path("/run/firewalld")):
        found.append("firewalld")
    if read_text("/proc/net/ip_tables_names").strip():
        found.append("iptables")
    return tuple(found)
