from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.matching import Match
from gadgetip.server.bindings import Binding, Bindings
from gadgetip.server.exports import Decision, Export, decide, port_order
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.policy import DEFAULT_POLICY, DenyRule, ExportRule, Policy, parse_policy

from .local_devices import HUB, IMPORTED, KEYBOARD, ROOT_HUB, STICK, stick
from .test_policy import CONTRACT

BOUND = Binding("0781:5581", "4C53", "1-1")
STICKS = Match(ids=("0781:5581",))


def rule(name: str, *matches: Match, **fields: object) -> ExportRule:
    return replace(ExportRule(name, matches), **fields)  # type: ignore[arg-type]


def exported(decision: Decision) -> list[tuple[str, str, str, str]]:
    return [(e.device.busid, e.name, e.published_as, e.by) for e in decision.exports]


def test_by_default_nothing_but_what_was_bound() -> None:
    devices = [STICK, KEYBOARD]
    assert decide(devices, DEFAULT_POLICY, Bindings()) == Decision()
    assert decide(devices, DEFAULT_POLICY, Bindings((BOUND,))) == Decision(
        (Export(STICK, "1-1", "1-1", (), "bound", forced=False),)
    )
    forced = Bindings((replace(BOUND, forced=True),))
    assert decide(devices, DEFAULT_POLICY, forced).exports[0].forced


def test_hubs_and_imported_devices_never() -> None:
    everything = Policy(exports=(rule("all", Match(ids=("*:*",))),))
    bindings = Bindings(tuple(Binding(d.id, None, d.busid) for d in (HUB, ROOT_HUB, IMPORTED)))
    assert decide([ROOT_HUB, HUB, IMPORTED], everything, bindings) == Decision()


def test_what_a_rule_says() -> None:
    clients = (ip_network("10.0.0.0/8"),)
    policy = Policy(exports=(rule("sticks", STICKS, publish_as="stick", clients=clients),))
    (export,) = decide([STICK, KEYBOARD], policy, Bindings()).exports
    assert export == Export(STICK, "sticks", "stick", clients, "policy")
    (export,) = decide([STICK], policy, Bindings((BOUND,))).exports
    assert export == Export(STICK, "sticks", "stick", clients, "bound")


def test_when_bound() -> None:
    policy = Policy(exports=(rule("sticks", STICKS, publish_as="stick", when="bound"),))
    assert decide([STICK], policy, Bindings()) == Decision()
    assert exported(decide([STICK], policy, Bindings((BOUND,)))) == [
        ("1-1", "sticks", "stick", "bound")
    ]


def test_deny_beats_rules_and_marks() -> None:
    deny = (DenyRule((Match(serials=("4C*",)), Match(classes=("03/*/*",)))),)
    policy = Policy(exports=(rule("all", Match(ids=("*:*",))),), denies=deny)
    assert decide([STICK, KEYBOARD], policy, Bindings()) == Decision()
    decision = decide([STICK], policy, Bindings((replace(BOUND, forced=True),)))
    assert decision.exports == ()
    assert decision.notes == ("1-1 (0781:5581) is bound, but a [[deny]] of the policy denies it",)
    other = stick("1-3", "5D64")
    assert exported(decide([other], policy, Bindings())) == [("1-3", "all", "1-3", "policy")]


def test_the_most_specific_rule_has_it() -> None:
    by_class = rule("class", Match(classes=("08/*/*",)))
    by_serial = rule("serial", Match(serials=("4C53",)), when="bound")
    policy = Policy(exports=(by_class, by_serial))
    # The rule that has it says that it is exported on request only.
    assert decide([STICK], policy, Bindings()) == Decision()
    assert decide([STICK], policy, Bindings((BOUND,))).exports[0].name == "serial"
    assert decide([stick("1-3", "5D64")], policy, Bindings()).exports[0].name == "class"


@pytest.mark.parametrize("bindings", [Bindings(), Bindings((BOUND,))])
def test_a_tie_is_told_and_exports_nothing(bindings: Bindings) -> None:
    policy = Policy(exports=(rule("one", STICKS), rule("two", STICKS, publish_as="two")))
    decision = decide([STICK], policy, bindings)
    assert decision.exports == ()
    (note,) = decision.notes
    assert note == (
        '1-1 (0781:5581) is not exported: the rules "one" and "two" fit it equally well; '
        "make one of them more specific"
    )


def test_one_name_is_one_devices() -> None:
    policy = Policy(exports=(rule("sticks", STICKS, publish_as="stick"),))
    decision = decide([stick("1-10"), stick("1-2")], policy, Bindings())
    assert exported(decision) == [
        ("1-2", "sticks", "stick", "policy"),
        ("1-10", "sticks", "1-10", "policy"),
    ]
    assert decision.notes == (
        '1-10 (0781:5581) is exported as 1-10: "stick" is the name of the device at 1-2',
    )


def test_no_name_takes_another_devices_bus_id() -> None:
    match = Match(busids=("1-1.4", "1-1.2"))
    policy = Policy(exports=(rule("port", match, publish_as="1-1.4"),))
    assert exported(decide([stick("1-1.2")], policy, Bindings())) == [
        ("1-1.2", "port", "1-1.4", "policy")
    ]
    decision = decide([stick("1-1.2"), stick("1-1.4")], policy, Bindings())
    assert [e.published_as for e in decision.exports] == ["1-1.2", "1-1.4"]
    assert "is the name of the device at 1-1.4" in decision.notes[0]


def test_a_bootloader_on_the_same_port_is_the_same_rule() -> None:
    policy = parse_policy(CONTRACT, "p.toml")
    application = stick("1-1.4", "X", idVendor=0x0483, idProduct=0x5740)
    bootloader = stick("1-1.4", None, idVendor=0x0483, idProduct=0xDF11)
    for device in (application, bootloader):
        assert exported(decide([device], policy, Bindings())) == [
            ("1-1.4", "programmer", "programmer", "policy")
        ]
        assert decide([replace(device, busid="1-1.3")], policy, Bindings()) == Decision()


def test_copies_with_one_serial_number() -> None:
    at_one, at_two = stick("1-1"), stick("1-2")
    marks = Bindings((BOUND,))
    assert exported(decide([at_two], DEFAULT_POLICY, marks)) == [("1-2", "1-2", "1-2", "bound")]
    assert exported(decide([at_one, at_two], DEFAULT_POLICY, marks)) == [
        ("1-1", "1-1", "1-1", "bound")
    ]
    decision = decide([at_two, stick("1-3")], DEFAULT_POLICY, marks)
    assert decision.exports == ()
    (note,) = decision.notes
    assert note == (
        "0781:5581 serial=4C53 is bound, and 1-2, 1-3 all have this serial number: bind the one "
        "that is meant by its bus id"
    )


@pytest.mark.parametrize(
    ("clients", "address", "expected"),
    [
        ((), "203.0.113.9", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:11.1.2.3", False),
        (("10.0.0.0/8",), "fd00::1", False),
        (("10.0.0.0/8", "fd00::/8"), "fd00::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("::/0",), "10.0.0.1", False),
        (("0.0.0.0/0", "::/0"), "::1", True),
    ],
)
def test_who_is_admitted(clients: tuple[str, ...], address: str, expected: bool) -> None:
    networks = tuple(ip_network(client) for client in clients)
    assert Export(STICK, "x", "x", networks).admits(address) is expected


def test_ports_have_an_order() -> None:
    busids = ["1-2", "1-10", "1-1.4", "1-1", "10-1", "2-1"]
    assert sorted(busids, key=port_order) == ["1-1", "1-1.4", "1-2", "1-10", "2-1", "10-1"]


BUSIDS = st.sampled_from(["1-1", "1-2", "1-3", "2-1.1"])
DEVICES = st.lists(
    st.builds(
        stick,
        BUSIDS,
        st.sampled_from([None, "4C53", "5D64"]),
        idProduct=st.sampled_from([1, 2]),
        bDeviceClass=st.sampled_from([0, 9]),
    ),
    max_size=4,
    unique_by=lambda device: device.busid,
)
MATCHES = st.builds(
    Match,
    ids=st.sampled_from([(), ("0781:0001",), ("0781:*",)]),
    serials=st.sampled_from([(), ("4C53",), ("*",)]),
    busids=st.sampled_from([(), ("1-1",), ("1-*",)]),
)
RULES = st.lists(
    st.tuples(st.lists(MATCHES, min_size=1, max_size=2), st.sampled_from([None, "a", "b", "1-1"])),
    max_size=3,
).map(
    lambda drawn: tuple(
        ExportRule(str(number), tuple(matches), name)
        for number, (matches, name) in enumerate(drawn)
    )
)
MARKS = st.lists(
    st.builds(
        Binding,
        st.sampled_from(["0781:0001", "0781:0002"]),
        st.sampled_from([None, "4C53"]),
        BUSIDS,
    ),
    max_size=4,
    unique_by=lambda mark: mark.key,
).map(lambda marks: Bindings(tuple(marks)))


@given(DEVICES, RULES, st.lists(MATCHES, max_size=1), MARKS)
def test_whatever_is_decided_holds(
    devices: list[LocalDevice],
    rules: tuple[ExportRule, ...],
    denied: list[Match],
    bindings: Bindings,
) -> None:
    policy = Policy(exports=rules, denies=tuple(DenyRule((match,)) for match in denied))
    decision = decide(devices, policy, bindings)
    names = [export.published_as for export in decision.exports]
    assert len(set(names)) == len(names)
    busids = {device.busid for device in devices}
    for export in decision.exports:
        assert export.device in devices
        assert not export.device.is_hub
        assert export.published_as == export.device.busid or export.published_as not in busids
        if export.by == "bound":
            assert bindings.of(export.device, devices)
    assert decide(devices[::-1], policy, bindings) == decision
    assert all(note.isprintable() for note in decision.notes)
