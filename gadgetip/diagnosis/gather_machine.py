"""The facts of any machine, read from it now. Loads no module, changes nothing."""

import ctypes
import fcntl
import os
import socket
import struct
import time
from pathlib import Path

from gadgetip.diagnosis.configuration import MAX_FILE_BYTES, parse_servers
from gadgetip.diagnosis.facts import (
    ClockFacts,
    ConfigurationFacts,
    Interface,
    MachineFacts,
    ModuleFacts,
    NetworkFacts,
)
from gadgetip.diagnosis.kernel_texts import (
    module_name,
    parse_addresses_ipv6,
    parse_meminfo_kib,
    parse_module_files,
    parse_modules,
)
from gadgetip.diagnosis.system_files import children, exists, output_of, read_bytes, read_text
from gadgetip.pump.native_module import why_not
from gadgetip.server.machine_facts import parse_ipv6_routes, parse_routes

CONFIGURATION = Path("/etc/gadgetip/gadgetip.toml")
RELEASED = 1_795_305_600.0
"""2026-11-22: no copy of this gadgetip is older, so a clock that says so is wrong."""
_SIOCGIFADDR = 0x8915  # include/uapi/linux/sockios.h
_TIME_ERROR = 5  # include/uapi/linux/timex.h: the clock is not synchronised
_MODULE_FILES_LIMIT = 4 << 20


def gather_machine(*, libaio: str = "") -> MachineFacts:
    """The facts of this moment; servers are not asked here."""
    release = os.uname().release
    return MachineFacts(
        release=release,
        root=os.geteuid() == 0,
        modules=gather_modules(release),
        clock=ClockFacts(time.time(), RELEASED, _is_synchronised()),
        network=_network(),
        configuration=gather_configuration(),
        memory_available_kib=parse_meminfo_kib(read_text("/proc/meminfo"), "MemAvailable"),
        libaio=libaio,
        native_pump=why_not(),
    )


def gather_configuration(path: Path = CONFIGURATION) -> ConfigurationFacts:
    """What the file of the attachments says, if there is one."""
    try:
        path.lstat()
    except OSError:
        return ConfigurationFacts(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        return ConfigurationFacts(str(path), exists=True, fault=error.strerror or str(error))
    return parse_servers(str(path), data)


def gather_modules(release: str, root: Path = Path("/")) -> ModuleFacts:
    """What is loaded, and what could be; `root` is another machine's in a test."""
    directory = root / "lib/modules" / release
    builtin = parse_module_files(read_text(directory / "modules.builtin", _MODULE_FILES_LIMIT))
    return ModuleFacts(
        loaded=parse_modules(read_text(root / "proc/modules")),
        present=frozenset(module_name(each.name) for each in children(root / "sys/module")),
        installed=parse_module_files(read_text(directory / "modules.dep", _MODULE_FILES_LIMIT)),
        builtin=builtin,
        directory=exists(directory),
    )


def missing_libaio() -> str:
    """Why the C library cannot be opened, "" if it can; the Python package opens it on import."""
    try:
        import libaio  # noqa: F401, PLC0415 (that this may fail is the question)
    except (OSError, ImportError) as error:
        return f"the library libaio cannot be opened ({error})"
    return ""


def _is_synchronised() -> bool | None:
    """As the kernel says (adjtimex(2) with no mode set); None if it does not."""
    buffer = ctypes.create_string_buffer(512)  # struct timex: 208 bytes at most
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _network() -> NetworkFacts:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    ipv4 = [address for name in names if (address := _ipv4(name))]
    ipv6 = parse_addresses_ipv6(read_text("/proc/net/if_inet6"))
    routes = (
        *parse_routes(read_text("/proc/net/route")),
        *parse_ipv6_routes(read_text("/proc/net/ipv6_route")),
    )
    return NetworkFacts(
        addresses=(*ipv4, *ipv6),
        default_routes=tuple(dict.fromkeys(routes)),
        interfaces=tuple(_interface(name) for name in names if _is_up(name)),
    )


def _ipv4(interface: str) -> str:
    """An interface's first address; "" without one."""
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24])
        except OSError:
            return ""


def _is_up(interface: str) -> bool:
    return read_text(f"/sys/class/net/{interface}/operstate").strip() != "down"


def _interface(name: str) -> Interface:
    wireless = exists(Path(f"/sys/class/net/{name}/phy80211"))
    power_save: bool | None = None
    if wireless:
        power_save = read_power_save(output_of("iw", "dev", name, "get", "power_save"))
    return Interface(name, wireless, power_save)


def read_power_save(text: str) -> bool | None:
    """What `iw dev NAME get power_save` prints; None for anything else."""
    return {"Power save: on": True, "Power save: off": False}.get(text.strip())


def read_device_tree_model() -> bytes:
    """What the device tree calls this machine; b"" on one without."""
    return read_bytes("/proc/device-tree/model")
