"""What a disk is asked when it comes back, and which answers end the replica."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from gadgetip.pump.shapers import DeviceChangedError, bot_initiator

from .disk import (
    ABORTED,
    BECOMING_READY,
    INQUIRY,
    MEDIUM_CHANGED,
    MEDIUM_ERROR,
    MEDIUM_NOT_PRESENT,
    PREVENT,
    READ,
    READ_CAPACITY,
    REQUEST_SENSE,
    RESET_OCCURRED,
    SERIAL_PAGE,
    TEST_UNIT_READY,
    VENDOR,
    WRITE,
    Disk,
    Fault,
    Unit,
    read_sense,
    six,
)
from .driver import Driver, Job, at_rest, make
from .losses import Losses
from .storage import Stick
from .world import STALL

SILENCE_S = 0.05
READY_S = 0.5


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_initiator, "READY_PAUSE_S", 0.0)
    monkeypatch.setattr(bot_initiator, "READY_LIMIT_S", READY_S)


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


async def used() -> tuple[Stick, Disk, Losses, Driver]:
    """A disk that its host has asked for all that there is to know."""
    it = make()
    driver = it[3]
    for job in (
        Job(INQUIRY, 36),
        Job(INQUIRY, 10, own_block=SERIAL_PAGE),
        Job(READ_CAPACITY, 8),
        Job(WRITE, 600, is_out=True),
    ):
        await driver.do(job)
    return it


def operations(disk: Disk, since: int) -> list[int]:
    return [block[15] for block in disk.commands[since:]]


def change(disk: Disk, **what: object) -> None:
    for name, value in what.items():
        setattr(disk.units[0], name, value)


CHANGES: dict[str, tuple[Callable[[Disk], None], str]] = {
    "identity": (
        lambda disk: change(disk, identity=bytes(8) + b"ANOTHER MAKER'S DISK    1.00"),
        "another identity",
    ),
    "serial": (lambda disk: change(disk, serial=b"\0\x80\0\x06SER124"), "another serial"),
    "a longer serial": (lambda disk: change(disk, serial=b"\0\x80\0\x06SER12"), "another serial"),
    "capacity": (lambda disk: change(disk, last_block=99), "another capacity"),
    "no medium": (lambda disk: change(disk, not_ready=MEDIUM_NOT_PRESENT), "no medium any more"),
    "medium changed": (lambda disk: change(disk, attention=MEDIUM_CHANGED), "may have changed"),
    "never ready": (lambda disk: change(disk, not_ready=BECOMING_READY), "was not ready after"),
    "broken": (lambda disk: change(disk, not_ready=(0x04, 0x44, 0)), "was not ready after"),
    "unit gone": (lambda disk: disk.units.clear(), "was not ready after"),
    "stalls": (lambda disk: setattr(disk, "stalls_all", True), "no status"),
    "refuses": (
        lambda disk: setattr(disk.out.device, "on_packet", lambda _: STALL),
        "refuses a command",
    ),
    "silence": (lambda disk: setattr(disk, "is_silent", True), "did not answer"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_device_ends_the_replica(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_change, said = CHANGES[name]
    if name == "silence":
        monkeypatch.setattr(bot_initiator, "COMMAND_LIMIT_S", SILENCE_S)

    async def scenario() -> None:
        stick, disk, losses, _ = await used()
        losses.lose()
        make_change(disk)
        with pytest.raises(DeviceChangedError, match=said):
            await losses.over()
        assert stick.shaper.held
        assert stick.host.out.device.in_flight == stick.host.in_.device.in_flight == 0

    run(scenario())


def test_a_device_that_leaves_in_the_middle_is_another() -> None:
    async def scenario() -> None:
        stick, disk, losses, _ = await used()
        losses.lose()
        disk.out.device.on_packet = lambda _: "leave"
        with pytest.raises(DeviceChangedError, match="left its port"):
            await losses.over()
        assert stick.shaper.held

    run(scenario())


def test_only_what_the_host_was_told_has_to_be_the_same() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = make()
        await driver.command(Job(INQUIRY, 8))
        losses.lose()
        change(disk, identity=bytes(8) + b"ANOTHER", serial=b"x", last_block=1)
        await losses.over()
        # A reader without a medium is none that is not ready, where the host knew of none.
        losses.lose()
        change(disk, not_ready=MEDIUM_NOT_PRESENT)
        await losses.over()
        result = await driver.command(Job(TEST_UNIT_READY))
        assert result.status[12] == 1
        change(disk, not_ready=None)
        await at_rest(stick, losses)

    run(scenario())


def test_the_longest_serial_number_that_a_host_may_ask_for() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = make()
        change(disk, serial=bytes([0, 0x80, 0, 252]) + bytes(600))
        block = bytes([INQUIRY, 1, 0x80, 2, 0, 0])
        await driver.command(Job(INQUIRY, 512, own_block=block))
        losses.lose()
        await losses.over()
        await at_rest(stick, losses)

    run(scenario())


@pytest.mark.parametrize("failures", [0, 1, 7])
def test_a_disk_that_takes_its_time_is_waited_for(failures: int) -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        losses.lose()
        change(disk, not_ready=BECOMING_READY, ready_after=failures)
        await losses.over()
        await driver.do(Job(READ, 600))
        await at_rest(stick, losses)

    run(scenario())


@pytest.mark.parametrize("orders", [[1], [1, 0], [0], [1, 0, 1], []])
def test_the_order_to_keep_the_medium_in_is_given_again(orders: list[int]) -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        for order in orders:
            block = bytes([PREVENT, 0, 0, 0, order, 0])
            assert (await driver.command(Job(PREVENT, own_block=block))).status[12] == 0
        before = disk.units[0].is_prevented
        for _ in range(2):
            since = len(disk.commands)
            losses.lose()
            assert not disk.units[0].is_prevented
            await losses.over()
            assert disk.units[0].is_prevented == before
            assert operations(disk, since).count(PREVENT) == before
        await at_rest(stick, losses)

    run(scenario())


def test_each_unit_that_the_host_has_used_is_asked() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = make()
        disk.units |= {n: Unit(bytearray(bytes([n]) * 99), last_block=98 + n) for n in (1, 2, 3)}
        for number in (0, 2, 9):  # nine is none
            await driver.command(Job(INQUIRY, 36, unit=number))
        for number in (0, 2):
            await driver.command(Job(READ_CAPACITY, 8, unit=number))
        since = len(disk.commands)
        losses.lose()
        await losses.over()
        assert {block[13] for block in disk.commands[since:]} == {0, 2, 9}
        result = await driver.command(Job(READ, 5, unit=2))
        assert (result.data, result.status[12]) == (b"\2" * 5, 0)
        # One that it has not used says so itself.
        assert (await driver.command(Job(TEST_UNIT_READY, unit=1))).status[12] == 1
        losses.lose()
        disk.units[2].last_block = 7
        with pytest.raises(DeviceChangedError, match="unit 2 has another capacity"):
            await losses.over()
        assert stick.shaper.held

    run(scenario())


def test_a_unit_that_never_did_anything_well_hides_its_reset_all_the_same() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = make()
        change(disk, not_ready=MEDIUM_NOT_PRESENT)
        assert (await driver.command(Job(TEST_UNIT_READY))).status[12] == 1
        losses.lose()
        await losses.over()
        assert disk.units[0].attention is None
        await driver.command(Job(TEST_UNIT_READY))
        result = await driver.command(Job(REQUEST_SENSE, 18))
        assert read_sense(result.data) == MEDIUM_NOT_PRESENT
        await at_rest(stick, losses)

    run(scenario())


async def fail(stick: Stick, losses: Losses, driver: Driver, job: Job) -> None:
    """Lose the link while `job` is under way, and see it fail."""
    losses.at.append(6)
    result = await driver.command(job)
    assert (stick.world.losses, result.status[12]) == (1, 1)
    await losses.over()


def test_the_reason_is_told_once() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        await fail(stick, losses, driver, Job(VENDOR, 300))
        since = len(disk.commands)
        result = await driver.command(Job(REQUEST_SENSE, 18))
        assert (read_sense(result.data), result.status[12]) == (ABORTED, 0)
        assert len(disk.commands) == since, "the device knows of no failure"
        assert (await driver.command(Job(REQUEST_SENSE, 18))).data[2] == 0
        assert operations(disk, since) == [REQUEST_SENSE]
        assert len([n for n in stick.world.notices if "operation 0xc5" in n]) == 1
        await at_rest(stick, losses)

    run(scenario())


@pytest.mark.parametrize(
    "between", [Job(TEST_UNIT_READY), Job(REQUEST_SENSE, 18, unit=1), Job(READ, 9)], ids=str
)
def test_any_other_command_clears_the_reason(between: Job) -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        disk.units[1] = Unit()
        await fail(stick, losses, driver, Job(VENDOR, 300))
        await driver.command(between)
        result = await driver.command(Job(REQUEST_SENSE, 18))
        assert (result.data[2], result.status[12]) == (0, 0)
        await at_rest(stick, losses)

    run(scenario())


@pytest.mark.parametrize("length", [0, 1, 4, 17, 18, 19, 64, 252])
def test_a_host_that_asks_for_more_or_less_of_the_reason(length: int) -> None:
    async def scenario() -> None:
        stick, _, losses, driver = await used()
        await fail(stick, losses, driver, Job(VENDOR, 300))
        result = await driver.command(Job(REQUEST_SENSE, length))
        sense = bytes([0x70, 0, 0x0B, 0, 0, 0, 0, 10, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0])
        assert result.data == sense[:length]
        assert int.from_bytes(result.status[8:12], "little") == max(0, length - 18)
        await at_rest(stick, losses)

    run(scenario())


def test_a_question_for_the_reason_with_data_for_the_device_is_the_devices_to_refuse() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        await fail(stick, losses, driver, Job(VENDOR, 300))
        since = len(disk.commands)
        await driver.command(Job(REQUEST_SENSE, 18, is_out=True))
        assert operations(disk, since) == [REQUEST_SENSE]
        await at_rest(stick, losses)

    run(scenario())


def test_a_reason_that_the_reset_made_the_device_forget() -> None:
    """The host had the failure, not yet the reason: it gets one that makes it try again."""

    async def scenario() -> None:
        stick, _, losses, driver = await used()
        result = await driver.command(Job(READ, 20, fault=Fault(fails=True)))
        assert result.status[12] == 1
        losses.lose()
        await losses.over()
        result = await driver.command(Job(REQUEST_SENSE, 18))
        assert read_sense(result.data) == ABORTED
        losses.lose()
        await losses.over()
        assert (await driver.command(Job(REQUEST_SENSE, 18))).data[2] == 0
        result = await driver.command(Job(READ, 20, fault=Fault(fails=True)))
        assert read_sense((await driver.command(Job(REQUEST_SENSE, 18))).data) == MEDIUM_ERROR
        losses.lose()
        await losses.over()
        assert (await driver.command(Job(REQUEST_SENSE, 18))).data[2] == 0
        await at_rest(stick, losses)

    run(scenario())


def test_a_reset_by_the_host_forgets_the_reason() -> None:
    async def scenario() -> None:
        stick, _, losses, driver = await used()
        await fail(stick, losses, driver, Job(VENDOR, 300))
        await driver.reset()
        assert (await driver.command(Job(REQUEST_SENSE, 18))).data[2] == 0
        await at_rest(stick, losses)

    run(scenario())


def test_without_hold_nothing_is_kept() -> None:
    async def scenario() -> None:
        stick = Stick.make(device=Disk)
        await stick.host.command(1, 36, block=six(INQUIRY, 36))
        await stick.host.command(2, 600, data=bytes(600), block=six(VENDOR))
        assert stick.shaper._kept == []
        assert stick.shaper._memory.units == {}

    run(scenario())


def test_the_host_hears_of_no_reset() -> None:
    async def scenario() -> None:
        stick, disk, losses, driver = await used()
        losses.lose()
        assert disk.units[0].attention == RESET_OCCURRED
        await losses.over()
        assert (await driver.command(Job(TEST_UNIT_READY))).status[12] == 0
        await at_rest(stick, losses)

    run(scenario())
