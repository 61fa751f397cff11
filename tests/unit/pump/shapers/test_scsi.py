"""What is read of SCSI and of the bulk-only wrappers: any bytes are something, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.pump.shapers import scsi
from gadgetip.pump.shapers.bot_memory import BotMemory
from gadgetip.pump.shapers.bot_wrappers import (
    CBW_LENGTH,
    CommandBlockWrapper,
    is_status_of,
    pack_status,
    read_status,
)

words = st.integers(0, 2**32 - 1)
blocks = st.binary(max_size=16)


@given(words, words, st.booleans(), st.integers(0, 15), blocks)
def test_a_command_is_read_as_it_was_packed(
    tag: int, length: int, data_in: bool, unit: int, block: bytes
) -> None:
    wrapper = CommandBlockWrapper(tag, length, data_in and length > 0, unit, block)
    packed = wrapper.pack()
    assert len(packed) == CBW_LENGTH
    assert CommandBlockWrapper.read(packed) == wrapper
    assert wrapper.operation == (block[0] if block else -1)


@given(st.binary(max_size=70) | st.binary(min_size=27, max_size=27).map(lambda b: b"USBC" + b))
def test_any_bytes_are_a_command_or_none(data: bytes) -> None:
    wrapper = CommandBlockWrapper.read(data)
    assert (wrapper is None) == (len(data) != CBW_LENGTH or data[:4] != b"USBC")
    if wrapper is not None:
        assert wrapper.unit <= 15
        assert len(wrapper.block) <= 16
        assert data[15:].startswith(wrapper.block)
        assert wrapper.pack()[:12] == data[:12]


@given(words, words, st.integers(0, 255), words)
def test_a_status_is_read_as_it_was_packed(tag: int, residue: int, status: int, other: int) -> None:
    packed = pack_status(tag, residue, status)
    assert read_status(packed, tag) == status
    assert is_status_of(packed, other) == (other == tag)
    assert int.from_bytes(packed[8:12], "little") == residue


@given(st.binary(max_size=20), words)
def test_any_bytes_are_a_status_or_none(data: bytes, tag: int) -> None:
    is_one = len(data) == 13 and data[:8] == b"USBS" + tag.to_bytes(4, "little")
    assert (read_status(data, tag) is not None) == is_one


senses = st.builds(scsi.Sense, st.integers(0, 15), st.integers(0, 255), st.integers(0, 255))


@given(senses)
def test_sense_data_are_read_as_they_were_packed(sense: scsi.Sense) -> None:
    packed = sense.pack()
    assert len(packed) == scsi.SENSE_BYTES
    assert packed[7] == len(packed) - 8  # ADDITIONAL SENSE LENGTH
    assert scsi.Sense.read(packed) == sense
    described = bytes([0x72, sense.key, sense.code, sense.qualifier, 0, 0, 0, 0])
    assert scsi.Sense.read(described) == sense


@given(st.binary(max_size=40))
def test_any_bytes_are_sense_data(data: bytes) -> None:
    sense = scsi.Sense.read(data)
    assert sense.key <= 15
    if len(data) < 3:
        assert sense == scsi.Sense(0)


@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_are_a_capacity_or_none(data: bytes, is_16: bool) -> None:
    needed = 12 if is_16 else 8
    capacity = scsi.capacity_of(data, is_16=is_16)
    assert (capacity is None) == (len(data) < needed)
    if capacity is not None:
        assert max(capacity) <= 0xFFFFFFFF


@given(words, words)
def test_both_questions_for_the_capacity_are_answered_alike(last: int, block: int) -> None:
    ten = last.to_bytes(4, "big") + block.to_bytes(4, "big")
    sixteen = last.to_bytes(8, "big") + block.to_bytes(4, "big") + bytes(20)
    assert scsi.capacity_of(ten, is_16=False) == scsi.capacity_of(sixteen, is_16=True)


def test_what_is_too_large_for_the_short_question_is_as_it_says() -> None:
    sixteen = (1 << 33).to_bytes(8, "big") + (512).to_bytes(4, "big")
    assert scsi.capacity_of(sixteen, is_16=True) == (0xFFFFFFFF, 512)


def test_only_what_may_be_done_twice_is_done_twice() -> None:
    assert not scsi.READS & scsi.WRITES
    never = {scsi.TEST_UNIT_READY, scsi.REQUEST_SENSE, 0x1B, 0x35, 0x91, 0x04, 0x42, 0x53, 0x89}
    assert not scsi.REPEATABLE & never


@pytest.mark.parametrize(
    "block",
    [
        scsi.test_unit_ready(),
        scsi.request_sense(),
        scsi.inquiry(),
        scsi.inquire_serial(),
        scsi.prevent_removal(),
        scsi.read_capacity(),
    ],
)
def test_a_command_block_has_the_length_of_its_group(block: bytes) -> None:
    """SPC-4, 4.2.5.1: group 0 is six bytes, 1 and 2 are ten."""
    assert len(block) == {0: 6, 1: 10, 2: 10}[block[0] >> 5]


@given(blocks, st.binary(max_size=300), st.integers(0, 15))
def test_any_answer_to_any_command_can_be_noted(block: bytes, answer: bytes, unit: int) -> None:
    memory = BotMemory()
    command = CommandBlockWrapper(1, len(answer), bool(answer), unit, block)
    memory.passed(command, answer)
    known = memory.units[unit]
    assert len(known.identity or b"") <= scsi.INQUIRY_BYTES
    assert len(known.serial or b"") <= scsi.SERIAL_BYTES
    is_noted = known.identity is not None or known.serial is not None or known.capacity is not None
    assert not is_noted or memory.wants(command)


def test_what_is_noted_of_a_unit() -> None:
    memory = BotMemory()

    def passed(block: bytes, answer: bytes = b"") -> None:
        memory.passed(CommandBlockWrapper(1, len(answer), bool(answer), 2, block), answer)

    passed(scsi.inquiry(), b"i" * 96)
    passed(scsi.inquire_serial(), b"s" * 20)
    passed(bytes([scsi.INQUIRY, 1, 0x83, 0, 255, 0]), b"another page")
    passed(scsi.read_capacity(), bytes(7) + b"\1")
    passed(bytes([0x9E, 0x12]) + bytes(14), b"x" * 32)  # GET LBA STATUS
    passed(scsi.read_capacity(), b"cut")
    passed(scsi.prevent_removal())
    unit = memory.units[2]
    assert (unit.identity, unit.serial) == (b"i" * 36, b"s" * 20)
    assert (unit.capacity, unit.is_removal_prevented) == ((0, 1), True)
    passed(bytes([0x9E, 0x10]) + bytes(14), (9).to_bytes(8, "big") + (512).to_bytes(4, "big"))
    passed(bytes([scsi.PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0, 0]))
    assert (unit.capacity, unit.is_removal_prevented) == ((9, 512), False)
    assert set(memory.units) == {2}
