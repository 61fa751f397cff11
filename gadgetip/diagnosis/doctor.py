"""The doctor: gathers the facts that the roles need, and has them judged.

Everything that may take its time is bounded: servers are asked side by side, commands have limits.
Nothing is changed and no module is loaded; that is why a module that is merely not loaded is fine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gadgetip.diagnosis.ask_servers import ask_servers
from gadgetip.diagnosis.board import judge_board
from gadgetip.diagnosis.client import judge_client
from gadgetip.diagnosis.finding import Finding
from gadgetip.diagnosis.gather_board import gather_board
from gadgetip.diagnosis.gather_client import gather_client
from gadgetip.diagnosis.gather_machine import gather_machine, missing_libaio
from gadgetip.diagnosis.gather_serving import gather_serving
from gadgetip.diagnosis.machine import judge_machine
from gadgetip.diagnosis.roles import Role, possible_roles
from gadgetip.diagnosis.serving import judge_serving


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was looked at, and what was found, the machine's own findings first."""

    roles: tuple[Role, ...]
    findings: tuple[Finding, ...]


def diagnose(role: Role | None = None, hosts: Sequence[str] = ()) -> Diagnosis:
    """Look at this machine in one role, or in every one that it can play.

    `hosts` are servers to ask beside those that the configuration names.
    """
    libaio = missing_libaio()
    board = gather_board(libaio=not libaio)
    machine = gather_machine(libaio=libaio)
    roles = (role,) if role is not None else possible_roles(machine.modules, board)
    imports = any(each is not Role.SERVER for each in roles) or bool(hosts)
    if imports:
        servers = ask_servers(hosts, machine.configuration.servers)
        machine = replace(machine, servers=servers)
    findings = judge_machine(machine, asks_servers=imports)
    if Role.SERVER in roles:
        findings += judge_serving(machine, gather_serving())
    if Role.BOARD in roles:
        findings += judge_board(machine, board)
    if Role.CLIENT in roles:
        findings += judge_client(machine, gather_client())
    return Diagnosis(roles, tuple(findings))
