"""An update in place: an image's system written into the slot that does not run.

    0. the image is read as far as the first bytes of its system: one that is useless costs nothing
    1. only the running slot may boot
    2. the other is written, but for its head, which stays zeros: no boot loader finds a file system
       there
    3. its head is written, all of it is read back from the card and compared
    4. it is written down what it is, and it is tried first

Each step is on the card before the next begins. A power cut before the last step leaves the running
system the one that boots; after it the new one is whole.
"""

import hashlib
from collections.abc import Callable

from gadgetip.appliance.card_here import Card
from gadgetip.appliance.image_manifest import (
    OFFSET,
    SIZE,
    Manifest,
    NotAnImageError,
    parse_manifest,
)
from gadgetip.appliance.slots import after_writing, before_writing
from gadgetip.appliance.storage import PIECE, Storage
from gadgetip.appliance.unpacking import Unpacker
from gadgetip.errors import GadgetipError

HEAD = 4096
"""In bytes: an ext4's superblock is in it."""
SYNCED = 16 * PIECE
"""So much waits in memory at most, of which a board has little."""

Progress = Callable[[str, int, int], None]
"""Told what is done ("writing", "checking"), how many bytes of it, and of how many."""


def read_manifest(image: Unpacker) -> Manifest:
    """The manifest of an image that nothing was read of; raises `NotAnImageError`."""
    image.skip_to(OFFSET)
    return parse_manifest(image.exactly(SIZE))


def write_update(card: Card, image: Unpacker, manifest: Manifest, progress: Progress) -> None:
    """Write what follows the manifest, as said above.

    Raises `NotAnImageError` for an image that is cut off or is not what its manifest says,
    `GadgetipError` for a card that does not keep what it was given, `OSError`.
    """
    other = card.running.other
    image.skip_to(manifest.offset)
    first = image.exactly(min(PIECE, manifest.size))
    # Nobody else updates or mounts it before it is the one to try.
    with card.open(card.slots[other], writing=True, exclusive=True) as partition:
        card.change_boot_state(lambda slots: before_writing(slots, card.running))
        card.write_content(other, None)
        _write(partition, first, image, manifest, progress)
        if not holds(partition, manifest, progress):
            partition.write(0, bytes(min(HEAD, manifest.size)))
            partition.sync()
            raise GadgetipError(
                "the card does not hold what was written to it: it is worn out, or no good. The "
                "running system is as it was; take another card"
            )
        card.write_content(other, manifest)
        card.change_boot_state(lambda slots: after_writing(slots, card.running))


def holds(partition: Storage, manifest: Manifest, progress: Progress) -> bool:
    """Whether a slot has exactly this content, read from the card itself."""
    digest, done = hashlib.sha256(), 0
    for piece in partition.read_back(manifest.size):
        digest.update(piece)
        done += len(piece)
        progress("checking", done, manifest.size)
    return done == manifest.size and digest.hexdigest() == manifest.sha256


def prefer_other(card: Card, progress: Progress) -> Manifest:
    """Have the other slot tried first, if it holds a whole system; returns which.

    Raises `GadgetipError` where it does not, `OSError`.
    """
    other = card.running.other
    content = card.content(other)
    if content is None:
        raise GadgetipError(f"slot {other} holds no system: only the one that runs is on this card")
    with card.open(card.slots[other], exclusive=True) as partition:
        if not holds(partition, content, progress):
            raise GadgetipError(
                f"slot {other} does not hold {content.about.version} any more: its bytes have "
                "changed. Update to it instead"
            )
        card.change_boot_state(lambda slots: after_writing(slots, card.running))
    return content


def _write(
    partition: Storage, first: bytes, image: Unpacker, manifest: Manifest, progress: Progress
) -> None:
    digest = hashlib.sha256(first)
    head, behind = first[:HEAD], first[HEAD:]
    partition.write(0, bytes(len(head)))
    partition.sync()
    if behind:
        partition.write(len(head), behind)
    done = waiting = len(first)
    while done < manifest.size:
        piece = image.exactly(min(PIECE, manifest.size - done))
        digest.update(piece)
        partition.write(done, piece)
        done += len(piece)
        waiting += len(piece)
        if waiting >= SYNCED:
            partition.sync()
            waiting = 0
        progress("writing", done, manifest.size)
    if digest.hexdigest() != manifest.sha256:
        raise NotAnImageError("its system is not what its manifest says: it is damaged")
    partition.sync()
    partition.write(0, head)
    partition.sync()
