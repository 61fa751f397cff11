"""An update onto files that play a card: what is on it, wherever the power is cut."""

import io
import lzma
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gadgetip.appliance.boot_state import SECTOR, STATE_OFFSETS, choose_boot_state, parse_boot_state
from gadgetip.appliance.card_here import Card
from gadgetip.appliance.image_manifest import Manifest, NotAnImageError
from gadgetip.appliance.slots import Slot, Slots, next_boot, when_healthy
from gadgetip.appliance.storage import PIECE, Storage
from gadgetip.appliance.unpacking import Unpacker
from gadgetip.appliance.updating import HEAD, holds, prefer_other, read_manifest, write_update
from gadgetip.errors import GadgetipError

from .images import NEW, OLD, SLOT_SIZE, content_of, image_of, manifest_of, new_card

CONTENT = content_of(2)
IMAGE = image_of(CONTENT)
SMALL = content_of(3, 2 * PIECE + 512)


class PowerCutError(Exception):
    """Nothing is written any more."""


class Power:
    """Of the files that play a card: a write that the power does not last for is done in part."""

    def __init__(self, writes: int, kept: float, damage: bytes | None) -> None:
        self.left = writes
        self.kept = kept
        self.damage = damage

    def open(self, path: Path, **options: bool) -> Storage:
        power = self

        class Cut(Storage):
            def write(self, offset: int, data: bytes) -> None:
                if power.left < 0:
                    raise PowerCutError
                power.left -= 1
                if power.left < 0:
                    whole = int(len(data) * power.kept) // SECTOR * SECTOR
                    data = data[:whole]
                    if power.damage is not None:
                        data += power.damage
                super().write(offset, data)
                if power.left < 0:
                    raise PowerCutError

        return Cut(path, **options)


def nothing(step: str, done: int, total: int) -> None:
    assert 0 < done <= total


def unpacker_of(image: bytes) -> Unpacker:
    return Unpacker(io.BytesIO(image).read)


def updated(card: Card, image: bytes) -> Manifest:
    unpacker = unpacker_of(image)
    manifest = read_manifest(unpacker)
    write_update(card, unpacker, manifest, nothing)
    return manifest


def state_of(card: Card) -> Slots:
    """As U-Boot reads it."""
    data = card.disk.read_bytes()
    return choose_boot_state([data[offset : offset + SECTOR] for offset in STATE_OFFSETS])


def bootable(card: Card, slot: Slot) -> bool:
    """Whether a boot loader finds a file system there: what its head would hold."""
    return any(card.slots[slot].read_bytes()[:HEAD])


def test_an_update_is_written_and_tried(tmp_path: Path) -> None:
    for running in Slot:
        card = new_card(tmp_path, running)
        before = card.slots[running].read_bytes()
        manifest = updated(card, IMAGE)
        written = card.slots[running.other].read_bytes()
        assert written[: len(CONTENT)] == CONTENT
        assert len(written) == SLOT_SIZE
        assert card.slots[running].read_bytes() == before
        assert card.content(running.other) == manifest
        assert state_of(card) == Slots(running.other, 3, 3).having(running, 9)
        assert next_boot(state_of(card))[0] is running.other


def test_a_packed_one(tmp_path: Path) -> None:
    card = new_card(tmp_path)
    updated(card, lzma.compress(IMAGE, preset=0))
    assert card.slots[Slot.B].read_bytes().startswith(CONTENT)


def test_from_one_to_the_other_and_on(tmp_path: Path) -> None:
    card = new_card(tmp_path)
    updated(card, IMAGE)
    card = replace(card, running=Slot.B)
    card.change_boot_state(lambda slots: when_healthy(slots, Slot.B))
    newer = content_of(5)
    updated(card, image_of(newer, manifest_of(newer, replace(NEW, version="0.3.0"))))
    content = card.content(Slot.A)
    assert content is not None
    assert content.about.version == "0.3.0"
    assert next_boot(state_of(card))[0] is Slot.A


@pytest.mark.parametrize("running", Slot)
@pytest.mark.parametrize("damage", [None, b"\xff" * 100], ids=["clean", "torn"])
def test_a_power_cut_at_any_write(tmp_path: Path, running: Slot, damage: bytes | None) -> None:
    """Whichever slot boots then holds a whole system; and another update is possible."""
    image = image_of(SMALL)
    began, writes, done = Slots(running, 3, 2), 0, False
    while not done:
        for kept in (0.0, 0.5, 1.0):
            card = new_card(tmp_path, running, began)
            old = card.slots[running].read_bytes()
            power = Power(writes, kept, damage)
            try:
                updated(replace(card, open=power.open), image)
                done = True
            except PowerCutError:
                pass
            state = state_of(card)
            assert card.slots[running].read_bytes() == old
            boots = next_boot(state)[0]
            if boots is not running:
                assert card.slots[boots].read_bytes().startswith(SMALL)
            elif state.left(running.other) > 0:
                assert state == began, "the slot that is written over could be tried"
            assert updated(card, image)
            assert state_of(card) == Slots(running.other, 3, 3)
        writes += 1
    assert writes > 10


@pytest.mark.parametrize("length", [(1 << 20) - 1, 1 << 20, (1 << 20) + 100])
def test_an_image_without_a_system_costs_nothing(tmp_path: Path, length: int) -> None:
    card = new_card(tmp_path, Slot.A, Slots(Slot.A, 9, 3))
    card.write_content(Slot.B, manifest_of(content_of(9, SLOT_SIZE)))
    before = card.disk.read_bytes()
    with pytest.raises(NotAnImageError):
        updated(card, IMAGE[:length])
    assert card.disk.read_bytes() == before
    assert card.slots[Slot.B].read_bytes() == content_of(9, SLOT_SIZE)


def test_nobody_else_has_the_slot_until_it_is_the_one_to_try(tmp_path: Path) -> None:
    card = new_card(tmp_path)
    opened: list[Path] = []
    written: list[bool] = []

    def watched(path: Path, **options: bool) -> Storage:
        class Watched(Storage):
            def __enter__(self) -> Storage:
                opened.append(path)
                return super().__enter__()

            def __exit__(self, *error: Any) -> None:
                opened.remove(path)
                super().__exit__(*error)

            def write(self, offset: int, data: bytes) -> None:
                written.append(card.slots[Slot.B] in opened)
                super().write(offset, data)

        return Watched(path, **options)

    updated(replace(card, open=watched), IMAGE)
    assert all(written)
    written.clear()
    card.write_content(Slot.B, manifest_of(CONTENT))
    booted = replace(card, open=watched, running=Slot.A)
    booted.change_boot_state(lambda slots: when_healthy(slots, Slot.A))
    written.clear()
    prefer_other(booted, nothing)
    assert written
    assert all(written)


def test_a_half_written_slot_holds_no_file_system(tmp_path: Path) -> None:
    """Not even a boot loader that has nothing else left would try it."""
    began = Slots(Slot.A, 3, 3)
    seen = set()
    for writes in range(4, 7):  # from the first piece behind the head to the head
        card = new_card(tmp_path, Slot.A, began)
        with pytest.raises(PowerCutError):
            updated(replace(card, open=Power(writes, 0.0, None).open), image_of(SMALL))
        whole = card.slots[Slot.B].read_bytes().startswith(SMALL)
        assert whole or not bootable(card, Slot.B)
        seen.add(whole)
    assert seen == {False}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (IMAGE[: len(IMAGE) // 2], "not all there"),
        (IMAGE[: (1 << 20) + 100], "not all there"),
        (IMAGE[:70_000], "not all there"),
        (lzma.compress(IMAGE, preset=0)[:-1_500_000], "not all there"),
        (image_of(CONTENT[:-1] + b"?", manifest_of(CONTENT)), "damaged"),
        (image_of(b"?" + CONTENT[1:], manifest_of(CONTENT)), "damaged"),
    ],
    ids=["half", "beginning", "no slot", "cut packed", "last byte", "first byte"],
)
def test_a_damaged_image_leaves_the_running_system(
    tmp_path: Path, image: bytes, words: str
) -> None:
    card = new_card(tmp_path)
    old = card.slots[Slot.A].read_bytes()
    with pytest.raises(NotAnImageError, match=words):
        updated(card, image)
    assert card.slots[Slot.A].read_bytes() == old
    if card.slots[Slot.B].read_bytes() == content_of(9, SLOT_SIZE):
        return  # it was refused before anything was written
    assert not bootable(card, Slot.B)
    assert card.content(Slot.B) is None
    state = state_of(card)
    assert (next_boot(state)[0], state.left(Slot.B)) == (Slot.A, 0)


class Forgetful(Storage):
    """A card that has lost a bit of what it was given."""

    def read_back(self, size: int) -> Iterator[bytes]:
        for number, piece in enumerate(super().read_back(size)):
            yield piece if number != 1 else piece[:-1] + bytes([piece[-1] ^ 1])


def test_a_worn_card_is_noticed(tmp_path: Path) -> None:
    card = new_card(tmp_path)

    def forgetful(path: Path, **options: bool) -> Storage:
        return (Forgetful if path == card.slots[Slot.B] else Storage)(path, **options)

    with pytest.raises(GadgetipError, match="worn out"):
        updated(replace(card, open=forgetful), IMAGE)
    assert not bootable(card, Slot.B)
    assert next_boot(state_of(card))[0] is Slot.A
    assert state_of(card).left(Slot.B) == 0


def test_back_to_the_one_before(tmp_path: Path) -> None:
    card = new_card(tmp_path)
    updated(card, IMAGE)
    card = replace(card, running=Slot.B)
    card.change_boot_state(lambda slots: when_healthy(slots, Slot.B))
    assert prefer_other(card, nothing).about == OLD
    assert next_boot(state_of(card))[0] is Slot.A
    assert state_of(card).left(Slot.A) == 3


def test_not_back_to_what_is_not_there(tmp_path: Path) -> None:
    card = new_card(tmp_path)
    before = state_of(card)
    with pytest.raises(GadgetipError, match="holds no system"):
        prefer_other(card, nothing)
    card.write_content(Slot.B, manifest_of(CONTENT))
    with pytest.raises(GadgetipError, match="any more"):
        prefer_other(card, nothing)
    assert state_of(card) == before


def test_the_boot_state_is_written_only_where_it_changes(tmp_path: Path) -> None:
    card = new_card(tmp_path, Slot.A, Slots(Slot.A, 2, 1))
    unchanging = replace(card, open=Power(-1, 0.0, None).open)
    assert unchanging.change_boot_state(lambda slots: slots) == Slots(Slot.A, 2, 1)
    with pytest.raises(PowerCutError):
        unchanging.change_boot_state(lambda slots: when_healthy(slots, Slot.A))

    assert state_of(card) == Slots(Slot.A, 2, 1)
    card.change_boot_state(lambda _: Slots())
    damaged = bytearray(card.disk.read_bytes())
    damaged[STATE_OFFSETS[0]] = 0
    card.disk.write_bytes(damaged)
    card.change_boot_state(lambda slots: slots)
    data = card.disk.read_bytes()
    first, second = (data[offset : offset + SECTOR] for offset in STATE_OFFSETS)
    assert first == second


class Unreadable(Storage):
    """A card whose first copy of the boot state is a bad sector."""

    bad: tuple[int, ...] = STATE_OFFSETS[:1]
    broken_for_writing = True

    def read(self, offset: int, size: int) -> bytes:
        if offset in self.bad:
            raise OSError(5, "Input/output error")
        return super().read(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        if offset in self.bad and self.broken_for_writing:
            raise OSError(5, "Input/output error")
        super().write(offset, data)


@pytest.mark.parametrize("writable", [True, False])
def test_a_copy_of_the_boot_state_that_cannot_be_read(tmp_path: Path, writable: bool) -> None:
    card = new_card(tmp_path, Slot.B, Slots(Slot.B, 3, 8))

    class Bad(Unreadable):
        broken_for_writing = not writable

    worn = replace(card, open=Bad)
    assert worn.boot_state() == Slots(Slot.B, 3, 8)
    assert worn.change_boot_state(lambda slots: when_healthy(slots, Slot.B)).left(Slot.B) == 9
    data = card.disk.read_bytes()
    copies = [parse_boot_state(data[offset : offset + SECTOR]) for offset in STATE_OFFSETS]
    assert copies == [Slots(Slot.B, 3, 9 if writable else 8), Slots(Slot.B, 3, 9)]


def test_a_boot_state_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A copy that is read as it was is the one that counts."""
    card = new_card(tmp_path, Slot.B, Slots(Slot.B, 3, 8))

    class First(Unreadable):
        def read(self, offset: int, size: int) -> bytes:
            return Storage.read(self, offset, size)

    class Both(Unreadable):
        bad = STATE_OFFSETS

    for kind in (First, Both):
        with pytest.raises(OSError, match="Input/output"):
            replace(card, open=kind).change_boot_state(lambda slots: slots.having(Slot.B, 9))


@pytest.mark.parametrize("size", [512, 4096, PIECE, PIECE + 512, 3 * PIECE, 3 * PIECE - 512])
def test_systems_of_any_size(tmp_path: Path, size: int) -> None:
    card = new_card(tmp_path)
    content = random.Random(size).randbytes(size)
    manifest = updated(card, image_of(content))
    assert card.slots[Slot.B].read_bytes()[:size] == content
    with Storage(card.slots[Slot.B]) as partition:
        assert holds(partition, manifest, nothing)
        assert not holds(partition, replace(manifest, size=SLOT_SIZE + 512), nothing)
