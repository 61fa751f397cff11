"""Findings about what every role needs: the kernel and its modules, the clock, the network, memory.

Nothing is read here; `facts` came from elsewhere.
"""

from gadgetip.diagnosis.facts import (
    ClockFacts,
    ConfigurationFacts,
    MachineFacts,
    NetworkFacts,
    Reach,
    ServerFacts,
)
from gadgetip.diagnosis.finding import Finding, Findings
from gadgetip.diagnosis.kernel_texts import parse_release
from gadgetip.diagnosis.known_faults import OLDEST_READ, is_older_than_read

LITTLE_MEMORY_KIB = 48 * 1024
OFFERS_SHOWN = 4


def judge_machine(facts: MachineFacts, *, asks_servers: bool) -> list[Finding]:
    """The findings of any role; servers only for those that import devices."""
    findings = Findings("machine")
    _judge_kernel(findings, facts)
    _judge_clock(findings, facts.clock)
    _judge_network(findings, facts.network)
    if facts.memory_available_kib is not None:
        _judge_memory(findings, facts.memory_available_kib)
    if asks_servers:
        judge_libaio(findings, facts.libaio)
        _judge_pump(findings, facts.native_pump)
        _judge_configuration(findings, facts.configuration)
        for server in facts.servers:
            judge_server_answer(findings, server)
    return findings.made


def _judge_kernel(findings: Findings, facts: MachineFacts) -> None:
    version = parse_release(facts.release)
    oldest = ".".join(map(str, OLDEST_READ))
    if version is None or is_older_than_read(version):
        findings.warning(
            "kernel",
            f"{facts.release}, older than {oldest} or unknown: nothing is known about it",
            f"use a kernel of {oldest} or later",
        )
    else:
        findings.ok("kernel", facts.release)
    if not facts.modules.directory:
        findings.warning(
            "kernel modules",
            f"/lib/modules has nothing for {facts.release}: no module can be loaded any more, "
            "perhaps because the kernel was upgraded",
            "restart this machine; for a container, load modules on the machine that runs it",
        )


def _judge_clock(findings: Findings, clock: ClockFacts) -> None:
    if clock.now < clock.released:
        findings.warning(
            "clock",
            "it shows a time before this gadgetip was released: logs cannot be compared, and "
            "certificates would look as if they were not valid yet",
            "switch time synchronisation on: timedatectl set-ntp true",
        )
    elif clock.synchronised is False:
        findings.note(
            "clock",
            "the kernel does not know of any time synchronisation",
            "timedatectl set-ntp true, so that the logs of two machines can be compared",
        )
    else:
        findings.ok("clock", "plausible" + (", synchronised" if clock.synchronised else ""))


def _judge_network(findings: Findings, network: NetworkFacts) -> None:
    if not network.addresses:
        findings.warning(
            "network",
            "this machine has no address but its own loopback",
            "connect it: `ip address`, `nmcli device` or `networkctl` show what there is",
        )
    else:
        route = (
            f"default route through {', '.join(network.default_routes)}"
            if network.default_routes
            else "no default route: only neighbours can be reached"
        )
        findings.ok("network", f"{', '.join(network.addresses[:4])}; {route}")
    for interface in network.interfaces:
        if interface.wireless and interface.power_save is not False:
            on = "on" if interface.power_save else "not known to be off"
            findings.note(
                f"Wi-Fi {interface.name}",
                f"power saving is {on}: it can delay every packet by tens of milliseconds",
                f"iw dev {interface.name} set power_save off",
            )


def _judge_memory(findings: Findings, available_kib: int) -> None:
    if available_kib < LITTLE_MEMORY_KIB:
        findings.warning(
            "memory",
            f"{available_kib // 1024} MiB are available; an attachment needs about 30",
            "stop what is not needed: `ps aux --sort=-rss` shows who has it",
        )
    else:
        findings.ok("memory", f"{available_kib // 1024} MiB available")


def _judge_configuration(findings: Findings, configuration: ConfigurationFacts) -> None:
    if configuration.fault:
        findings.failed(
            "configuration",
            f"{configuration.path}: {configuration.fault}",
            f"gadgetip check {configuration.path} says where",
        )
    elif configuration.exists:
        count = len(configuration.servers)
        findings.ok(
            "configuration",
            f"{configuration.path}, which names {count} server{'s' * (count != 1)}",
        )


def judge_libaio(findings: Findings, missing: str) -> None:
    """Add whether the library is there that `attach` opens, with whichever pump."""
    if missing:
        findings.failed(
            "libaio",
            f"{missing}: nothing can be attached, and of controllers only the names are known",
            "apt install libaio1 (libaio1t64 on Debian 13 and later)",
        )
    else:
        findings.ok("libaio", "there")


def _judge_pump(findings: Findings, why_not_native: str) -> None:
    if why_not_native:
        findings.note(
            "pump",
            f"the native pump {why_not_native}: the Python pump works as well, and is slower",
            "apt install gcc python3-dev, and install gadgetip again (docs/native-pump.md)",
        )
    else:
        findings.ok("pump", "the native one is in")


def judge_server_answer(findings: Findings, server: ServerFacts) -> None:
    """Add what is to be said about one server that was asked."""
    subject = f"server {server.host}"
    if server.reach is Reach.ANSWERS:
        time_ms = f"answers after {server.answered_s * 1000:.0f} ms"
        if server.offers:
            more = len(server.offers) - OFFERS_SHOWN
            shown = ", ".join(server.offers[:OFFERS_SHOWN])
            findings.ok(subject, f"{time_ms}: {shown}{f' and {more} more' * (more > 0)}")
        else:
            findings.warning(
                subject,
                f"{time_ms} and offers nothing: devices in use are not listed",
                "there: `gadgetip bind DEVICE` (or `usbip bind -b BUSID`); a policy's `clients` "
                "may also leave this machine out",
            )
        return
    remedy = {
        Reach.UNRESOLVED: "check the spelling, or write the address instead of the name",
        Reach.UNREACHABLE: "there: is it on, does `gadgetip serve` (or usbipd) run and listen on "
        "an address that can be reached, does a firewall let TCP 3240 through?",
        Reach.NOT_USBIP: "check the port: something else answers there",
    }[server.reach]
    if server.by_argument:
        findings.failed(subject, server.reason, remedy)
    else:
        # The supervisor waits for a server, which may be switched off at night.
        findings.warning(subject, server.reason, remedy)


def judge_root(findings: Findings, *, root: bool, what: str) -> None:
    """Add whether we are root; without, some things cannot even be looked at."""
    if root:
        findings.ok("root", "yes")
    else:
        findings.warning(
            "root",
            f"{what} needs root, and some of what follows cannot be seen without",
            "try again with sudo",
        )


def judge_module(
    findings: Findings, facts: MachineFacts, name: str, purpose: str, *, needed: bool = True
) -> bool:
    """Add whether a module is there or can be loaded; returns whether it will do."""
    subject = f"module {name}"
    if facts.modules.is_here(name):
        how = "loaded" if name in facts.modules.loaded else "part of the kernel"
        findings.ok(subject, how)
        return True
    if facts.modules.can_be_loaded(name):
        findings.ok(subject, "installed, is loaded when it is needed")
        return True
    where = f"the running kernel {facts.release} has no such module; it is for {purpose}"
    remedy = (
        "install the distribution's full kernel package (not a -cloud one) and restart"
        if facts.modules.directory
        else "see kernel modules, above"
    )
    (findings.failed if needed else findings.note)(subject, where, remedy)
    return False
