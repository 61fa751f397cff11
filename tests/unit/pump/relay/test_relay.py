"""The relay against a scripted device: the host sees what it sees without it, only sooner."""

import random
import socket
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump.native_module import native_module, why_not
from tests.unit.pump.relay.device import Device, Script
from tests.unit.pump.relay.host import SET_CONFIGURATION, Command, Host, Seen, relayed

pytestmark = pytest.mark.skipif(native_module() is None, reason=f"the native pump {why_not()}")


def cutting(seed: int) -> object:
    """Cut what is sent into pieces, as a network does."""
    draw = random.Random(seed)

    def cut(data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = draw.choice((1, 7, 48, 100, 5000, 70000))
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


def run(
    commands: Sequence[Command],
    scripts: Sequence[Script],
    *,
    through_relay: bool,
    flushes: bool = True,
    seed: int = 0,
    packet: int = 512,
) -> tuple[list[Seen], list[tuple[int, bytes]], tuple[int, ...]]:
    """What the host saw, what the device got, and the relay's statistics."""
    ours, theirs = socket.socketpair()
    device = Device(
        theirs,
        scripts,
        packet=packet,
        flushes_behind_stall=flushes,
        cut=cutting(seed),  # type: ignore[arg-type]
    )
    statistics: tuple[int, ...] = ()
    with ours, theirs:
        if through_relay:
            with relayed(ours, packet) as (stream, relay):
                seen = _converse(stream, commands)
                statistics = relay.statistics()  # type: ignore[attr-defined]
        else:
            seen = _converse(ours, commands)
            ours.close()
        device.join()
    received: dict[int, bytes] = {}
    for tag, data in device.received:
        received[tag] = received.get(tag, b"") + data
    return seen, sorted(received.items()), statistics


def _converse(stream: socket.socket, commands: Sequence[Command]) -> list[Seen]:
    host = Host(stream)
    assert host.control(SET_CONFIGURATION) == 0
    return [host.carry_out(each) for each in commands]


pieces = st.lists(st.sampled_from((512, 4096, 65536, 122880)), max_size=3).flatmap(
    lambda whole: st.sampled_from((0, 0, 13, 36, 200, 1000)).map(
        lambda rest: tuple(whole) + ((rest,) if rest else ())
    )
)
commands = st.builds(Command, moves_in=st.booleans(), pieces=pieces, queued=st.booleans())
scripts = st.builds(
    Script,
    moves=st.one_of(st.none(), st.none(), st.integers(0, 130000)),
    stalls=st.booleans(),
    refuses=st.sampled_from((False,) * 9 + (True,)),
    skips_data=st.sampled_from((False,) * 5 + (True,)),
    empty_first=st.sampled_from((False,) * 5 + (True,)),
)


def sound(plan: list[tuple[Command, Script]]) -> list[tuple[Command, Script]]:
    """No queued URBs where data ends early: the one behind would get the CSW, on a cable too."""
    return [
        (replace(command, queued=command.queued and script == Script()), script)
        for command, script in plan
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(commands, scripts), max_size=6), st.booleans(), st.integers(0, 99))
def test_the_host_sees_what_it_sees_without(
    plan: list[tuple[Command, Script]], flushes: bool, seed: int
) -> None:
    wanted = [command for command, _ in sound(plan)]
    script = [each for _, each in plan]
    direct = run(wanted, script, through_relay=False, flushes=flushes, seed=seed)
    relay = run(wanted, script, through_relay=True, flushes=flushes, seed=seed)
    assert relay[0] == direct[0]
    assert relay[1] == direct[1]


READ = Command(moves_in=True, pieces=(122880,))
WRITE = Command(moves_in=False, pieces=(122880,))


def test_a_read_waits_once() -> None:
    seen, _, statistics = run([READ] * 10, [], through_relay=True)
    assert all(len(each.data) == 122880 for each in seen)
    assert statistics[4:6] == (10, 20)  # posted, served


@pytest.mark.parametrize("command", [WRITE, Command(moves_in=False, pieces=(1 << 17,) * 8)])
def test_a_device_that_stalls_when_it_is_asked_early(command: Command) -> None:
    scripts = [Script(hates_early=True)] * 3
    direct = run([command] * 3, scripts, through_relay=False)
    relay = run([command] * 3, scripts, through_relay=True)
    assert relay[:2] == direct[:2]


def test_a_device_that_loses_what_is_asked_early() -> None:
    """Asked again, and from then on only when the data is through: the host waits a moment."""
    command = Command(moves_in=True, pieces=(512,))
    direct = run([command] * 3, [], through_relay=False)
    relay = run([command] * 3, [Script(loses_status=True)], through_relay=True)
    assert relay[:2] == direct[:2]
