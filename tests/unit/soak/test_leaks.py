"""What is left behind is found, role by role."""

from dataclasses import replace

import pytest

from tests.soak.leaks import FILES_MARGIN, Footprint, Held, more

WORKER = Held(files=20, threads=3, rss_kib=40_000)
BEFORE = Footprint(
    gadgets=("gadgetip.dummy_udc.5",),
    mounts=("/run/gadgetip/dummy_udc.5.c",),
    run=("dummy_udc.5.c",),
    vhci=(),
    connections=3,
    stub_threads=6,
    held={"storage worker": WORKER},
)


def test_the_same_is_nothing_more() -> None:
    assert more(BEFORE, BEFORE) == []


def test_less_is_nothing_more() -> None:
    empty = Footprint((), (), (), (), 0, 0, {})
    assert more(BEFORE, empty) == []
    assert len(more(empty, BEFORE)) == 6


@pytest.mark.parametrize(
    "after",
    [
        replace(BEFORE, gadgets=(*BEFORE.gadgets, "gadgetip.parked.dummy_udc.1")),
        replace(BEFORE, mounts=(*BEFORE.mounts, "/run/gadgetip/gadgetfs")),
        replace(BEFORE, run=(*BEFORE.run, "attachments/77.json")),
        replace(BEFORE, vhci=(0,)),
        replace(BEFORE, connections=4),
        replace(BEFORE, stub_threads=8),
        replace(BEFORE, held={"storage worker": replace(WORKER, files=21 + FILES_MARGIN)}),
        replace(BEFORE, held={"storage worker": replace(WORKER, threads=4)}),
        replace(BEFORE, held={"storage worker": replace(WORKER, rss_kib=60_000)}),
        replace(BEFORE, held=BEFORE.held | {"another worker": WORKER}),
    ],
)
def test_each_thing_that_is_left_is_found(after: Footprint) -> None:
    assert len(more(BEFORE, after)) == 1
