"""A disk whose link is lost at any moment: the host's data stay right and nobody hangs."""

import asyncio
import errno
from collections.abc import Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump.shapers import bot_hold, bot_initiator

from .disk import (
    INQUIRY,
    PREVENT,
    READ,
    READ_CAPACITY,
    SYNCHRONIZE_CACHE,
    TEST_UNIT_READY,
    VENDOR,
    WRITE,
    Fault,
)
from .driver import Driver, Job, at_rest, make
from .storage import csw

PACKET, PIECE = 64, 256
KEPT = 2000
schedules = st.integers(0, 2**32 - 1)
LENGTHS = [1, 13, 63, 64, 65, 255, 256, 257, 1024, 1025, 1300, 1969, 1970, 2500]
"""Around a packet, a piece, a window, and what is kept of a WRITE with its CBW."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_initiator, "READY_PAUSE_S", 0.0)
    monkeypatch.setattr(bot_hold, "MAX_KEPT_BYTES", KEPT)


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


lengths = st.sampled_from(LENGTHS) | st.integers(1, 2600)
places = st.integers(0, 900)


@st.composite
def faults(draw: st.DrawFn, length: int, *, is_out: bool) -> Fault:
    kind = draw(st.sampled_from(["none", "none", "none", "none", "data", "status", "fails"]))
    if kind == "none":
        return Fault()
    if kind == "fails":
        return Fault(fails=True)
    if kind == "status":
        return draw(st.sampled_from([Fault(status_stalls=1), Fault(extra_empty=1)]))
    fails = draw(st.booleans())
    if is_out:
        return Fault(takes=draw(st.integers(0, max(0, (length - 1) // PACKET))), fails=fails)
    ends_after = draw(st.integers(0, length))
    if stalls := draw(st.booleans()):
        ends_after -= ends_after % PACKET
    return Fault(ends_after=ends_after, stalls=stalls, fails=fails)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    operation = draw(
        st.sampled_from(
            [READ] * 3
            + [WRITE] * 3
            + [INQUIRY, READ_CAPACITY, TEST_UNIT_READY, SYNCHRONIZE_CACHE, VENDOR, VENDOR, PREVENT]
        )
    )
    if operation in {READ, WRITE, VENDOR}:
        length = draw(lengths)
        is_out = operation == WRITE or (operation == VENDOR and draw(st.booleans()))
        fault = draw(faults(length, is_out=is_out))
        return Job(operation, length, draw(places), draw(st.integers(0, 250)), is_out, fault)
    length = {INQUIRY: 36, READ_CAPACITY: 8}.get(operation, 0)
    return Job(operation, length)


INVALID = [b"x" * 31, csw(1), b"USBC" + bytes(26), bytes(64)]
READ_ERRORS = [errno.ENOMEM, errno.EAGAIN, errno.EINPROGRESS, errno.EIO, errno.EOVERFLOW]

Event = Job | bytes | None
"""A command, what is none, or a reset by the host."""

events: st.SearchStrategy[Event] = st.one_of(
    jobs(), jobs(), jobs(), jobs(), st.sampled_from(INVALID), st.none()
)


async def play(driver: Driver, events_: list[Event]) -> None:
    for event in events_:
        if event is None:
            await driver.reset()
        elif isinstance(event, bytes):
            await driver.invalid(event)
        else:
            await driver.do(event)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(events, min_size=1, max_size=5),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(4, 18),
    schedules,
)
def test_the_link_is_lost_at_any_step(
    drawn: list[Event], at: list[int], window: int, down: int, seed: int
) -> None:
    async def scenario() -> None:
        stick, _, losses, driver = make(seed, window=window, down=down)
        await driver.do(Job(INQUIRY, 36))
        losses.at.extend(at)
        await play(driver, drawn)
        await at_rest(stick, losses)

    run(scenario())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(jobs(), min_size=1, max_size=4),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([64, 512]),
    st.booleans(),
    schedules,
)
def test_with_an_emulated_device_or_packets_of_another_size(
    drawn: list[Job], at: list[int], host_max_packet: int, is_emulated: bool, seed: int
) -> None:
    """An emulated one stalls whoever asks for the CSW while data is on its way to it."""

    async def scenario() -> None:
        stick, disk, losses, driver = make(seed, host_max_packet=host_max_packet, piece=512)
        disk.stalls_early_questions = is_emulated
        await driver.do(Job(INQUIRY, 36))
        losses.at.extend(at)
        await play(driver, list(drawn))
        await at_rest(stick, losses)

    run(scenario())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(events, min_size=1, max_size=4),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 0, *READ_ERRORS]), max_size=8),
    schedules,
)
def test_and_reads_of_the_hosts_data_fail(
    drawn: list[Event], at: list[int], errors: list[int], seed: int
) -> None:
    async def scenario() -> None:
        stick, _, losses, driver = make(seed)
        await driver.do(Job(INQUIRY, 36))
        losses.at.extend(at)
        stick.host.out.host.errors.extend(-error for error in errors)
        await play(driver, drawn)
        await at_rest(stick, losses)

    run(scenario())


@pytest.mark.parametrize("step", [*range(1, 40, 2), 1000])
@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EAGAIN])
@pytest.mark.parametrize("length", [PIECE, 4 * PIECE])
def test_data_that_could_not_be_written_and_a_lost_link(step: int, error: int, length: int) -> None:
    """A hole in the host's data is a halt, whenever the link is lost; what can be, is written."""

    async def scenario() -> None:
        stick, _, losses, driver = make()
        await driver.do(Job(INQUIRY, 36))
        losses.at.append(step)
        stick.host.in_.host.errors.append(-error)
        await driver.do(Job(READ, length))
        await driver.do(Job(READ, length, 5))
        await at_rest(stick, losses)

    run(scenario())
