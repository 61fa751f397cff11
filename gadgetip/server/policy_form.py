"""The form in which people write the export policy: TOML, read strictly.

`docs/policy.md` is the reference of the keys. What is wrong in it is refused as a whole: half of a
policy would export what the other half denies.

`publish_as` is what stock clients take for a bus id. The kernel's own bus ids are refused, since
one name would mean two devices as soon as something is plugged into that port; and so is what
`gadgetip` itself reads as something else ("0483:5740").
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from ipaddress import ip_address, ip_network
from typing import cast

from gadgetip.errors import UsageError
from gadgetip.matching import DeviceSelector, Match, read_matches
from gadgetip.server.policy_rules import (
    DEFAULT_POLICY,
    STUBS,
    WHENS,
    DenyRule,
    ExportRule,
    Network,
    Policy,
    StubChoice,
    When,
)
from gadgetip.strict_toml import FileKind, StrictTable, parse_document

SCHEMA = "policy/1"

MAX_SESSIONS = 256
MAX_NEW_CONNECTIONS_PER_S = 1000
# Below, a client that lost a few packets is taken for dead.
MIN_DEAD_CLIENT_S, MAX_DEAD_CLIENT_S = 2, 60 * 60
MAX_LISTEN = 16
MAX_CLIENTS = 256
MAX_PUBLISHED_BYTES = 31  # with the NUL behind it 32, the size of the field on the wire

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KERNEL_BUSID = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*(:[0-9.]+)?|usb[0-9]+")


def parse_policy(text: str, source: str) -> Policy:
    """Read a policy; `source` is what messages call the file.

    Raises `FileError` with every fault (20 at most), and nothing else whatever the text is.
    """
    return parse_document(text, source, POLICY_KIND)


def _read_policy(table: StrictTable) -> Policy:
    default = DEFAULT_POLICY
    serve = table.table("serve")
    policy = Policy(
        listen=_read_listen(serve),
        port=serve.whole("port", 1, 0xFFFF, default.port),
        stub=cast("StubChoice", serve.one_of("stub", STUBS, default.stub)),
        max_sessions=serve.whole("max_sessions", 1, MAX_SESSIONS, default.max_sessions),
        max_sessions_per_client=serve.whole(
            "max_sessions_per_client", 1, MAX_SESSIONS, default.max_sessions_per_client
        ),
        max_new_connections_per_s=serve.whole(
            "max_new_connections_per_s",
            1,
            MAX_NEW_CONNECTIONS_PER_S,
            default.max_new_connections_per_s,
        ),
        dead_client_s=serve.number(
            "dead_client_s", MIN_DEAD_CLIENT_S, MAX_DEAD_CLIENT_S, default.dead_client_s
        ),
        exports=_read_exports(table.tables("export")),
        denies=_read_denies(table.tables("deny")),
    )
    serve.close()
    table.close()
    return policy


def _read_listen(table: StrictTable) -> tuple[str, ...]:
    texts = table.texts("listen", _address_problem, MAX_LISTEN)
    addresses = [str(ip_address(text)) for text in texts]
    for address in _repeated(addresses):
        table.fault("listen", f"listen has {address} twice")
    return tuple(addresses) or DEFAULT_POLICY.listen


def _read_exports(tables: list[StrictTable]) -> tuple[ExportRule, ...]:
    rules: list[ExportRule] = []
    for table in tables:
        table.need("name", "it is what lists and logs call the rule")
        name = table.text("name", None, _name_problem)
        if name is not None and name in {rule.name for rule in rules}:
            table.fault("name", f'name is "{name}": an earlier [[export]] has it too')
        matches = read_matches(table, needed=True)
        rule = ExportRule(
            name=name or "",
            matches=matches,
            publish_as=_read_publish_as(table, matches),
            when=cast("When", table.one_of("when", WHENS, "plugged")),
            clients=_read_clients(table),
        )
        if rule.publish_as and rule.publish_as in {rule.publish_as for rule in rules}:
            problem = f'publish_as is "{rule.publish_as}": an earlier [[export]] has it too'
            table.fault("publish_as", problem)
        rules.append(rule)
        table.close()
    return tuple(rules)


def _read_denies(tables: list[StrictTable]) -> tuple[DenyRule, ...]:
    rules = []
    for table in tables:
        rules.append(DenyRule(read_matches(table, needed=True)))
        table.close()
    return tuple(rules)


def _read_publish_as(table: StrictTable, matches: tuple[Match, ...]) -> str | None:
    own_busids = {busid for match in matches for busid in match.busids}

    def problem_of(text: str) -> str | None:
        if text in own_busids and _KERNEL_BUSID.fullmatch(text):
            return None
        return _published_problem(text)

    return table.text("publish_as", None, problem_of)


def _read_clients(table: StrictTable) -> tuple[Network, ...]:
    texts = table.texts("clients", _network_problem, MAX_CLIENTS)
    networks = [ip_network(text) for text in texts]
    for network in _repeated(networks):
        table.fault("clients", f"clients has {network} twice")
    return tuple(networks)


def _repeated(values: Iterable[Hashable]) -> Iterable[Hashable]:
    return [value for value, times in Counter(values).items() if times > 1]


def _address_problem(text: str) -> str | None:
    try:
        ip_address(text)
    except ValueError:
        return 'write an IPv4 or IPv6 address without a port, "192.168.1.2", "0.0.0.0", "::"'
    return None


def _network_problem(text: str) -> str | None:
    try:
        ip_network(text)
    except ValueError:
        pass
    else:
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return 'write an address or a network, "192.168.1.7", "192.168.1.0/24", "fd00::/8"'
    return f'bits are set behind the prefix: the network is "{network}"'


def _name_problem(text: str) -> str | None:
    if _NAME.fullmatch(text):
        return None
    return "a name has 1 to 64 letters, digits, -, _ and ., and begins with a letter or digit"


def _published_problem(text: str) -> str | None:
    try:
        if DeviceSelector.parse(text).key != "busid":
            return "at the command line this means something else than a bus id"
    except UsageError:
        return f"a bus id has 1 to {MAX_PUBLISHED_BYTES} bytes and no spaces"
    if "/" in text or text.startswith(("-", ".")):
        return 'it must not begin with "-" or ".", nor hold a "/"'
    if _KERNEL_BUSID.fullmatch(text):
        return "the kernel gives such names to ports: take another"
    return None


POLICY_KIND = FileKind(SCHEMA, "a policy", _read_policy)
"""Policies, among the kinds of files."""
