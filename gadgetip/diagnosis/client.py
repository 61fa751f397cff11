"""Findings about a vhci client: whether this machine can attach devices to itself. Decisions."""

from gadgetip.diagnosis.facts import ClientFacts, MachineFacts
from gadgetip.diagnosis.finding import Finding, Findings
from gadgetip.diagnosis.machine import judge_module, judge_root


def judge_client(machine: MachineFacts, client: ClientFacts) -> list[Finding]:
    """Everything that `gadgetip attach --to vhci` needs."""
    findings = Findings("client")
    judge_root(findings, root=machine.root, what="attaching a device")
    there = judge_module(findings, machine, "vhci_hcd", "devices that are attached to this machine")
    if there and client.loaded:
        _judge_ports(findings, client)
    if client.stale_records:
        findings.note(
            "records",
            f"of ports that are free by now: {', '.join(client.stale_records)}",
            "`gadgetip ports` removes them",
        )
    return findings.made


def _judge_ports(findings: Findings, client: ClientFacts) -> None:
    for port in client.taken:
        subject = f"port {port.number:02}"
        origin = f" ({port.remembered})" if port.remembered else ""
        if port.state == "error":
            findings.warning(
                subject,
                f"in the error state{origin}",
                f"gadgetip detach {port.number}; if it stays, the device's driver holds it (dmesg)",
            )
        else:
            findings.ok(subject, f"{port.state}{origin}")
    if client.ports and not client.free:
        findings.failed(
            "ports",
            f"all {client.ports} are taken",
            "gadgetip ports lists them, gadgetip detach PORT frees one",
        )
    else:
        findings.ok("ports", f"{client.free} of {client.ports} are free")
