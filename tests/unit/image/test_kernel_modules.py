"""Which modules an image has, and the order in which the initramfs loads its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.image.debian import BuildError
from board.image.kernel_modules import load_order, name_of, read_dependencies, selected

DEP = """\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/drivers/block/loop.ko.xz:
kernel/fs/squashfs/squashfs.ko.xz:
kernel/fs/overlayfs/overlay.ko.xz:
kernel/host/sdhci-iproc.ko.xz: kernel/host/sdhci-pltfm.ko.xz kernel/host/sdhci.ko.xz
kernel/host/sdhci-pltfm.ko.xz: kernel/host/sdhci.ko.xz
kernel/host/sdhci.ko.xz:
kernel/drivers/gpu/drm/drm.ko.xz:
"""


def test_what_a_kept_module_needs_comes_along() -> None:
    found = selected(read_dependencies(DEP), ["fs/ext4/*"])
    assert found == [
        "kernel/fs/ext4/ext4.ko.xz",
        "kernel/fs/jbd2/jbd2.ko.xz",
        "kernel/fs/mbcache.ko.xz",
        "kernel/lib/crc16.ko.xz",
    ]


def test_a_module_is_loaded_after_what_it_needs() -> None:
    dependencies = read_dependencies(DEP)
    order = load_order(dependencies, [], ["sdhci_iproc", "ext4", "loop", "squashfs", "overlay"])
    for path in order:
        assert all(order.index(needed) < order.index(path) for needed in dependencies[path])
    assert len(set(order)) == len(order)
    assert name_of(order[-1]) == "overlay"


def test_what_is_built_in_is_left_out() -> None:
    order = load_order({}, ["kernel/fs/ext4/ext4.ko"], ["ext4", "virtio_blk"])
    assert order == []


def test_a_kernel_without_a_required_module_is_refused() -> None:
    with pytest.raises(BuildError, match="no module overlay"):
        load_order(read_dependencies("kernel/fs/ext4/ext4.ko:\n"), [], ["ext4", "overlay"])


@given(st.data())
def test_any_order_of_any_dependencies_loads(data: st.DataObject) -> None:
    """depmod lists all that a module needs, also through others, nearest first."""
    count = data.draw(st.integers(1, 8))
    needs: list[list[int]] = []
    for number in range(count):
        direct = data.draw(st.lists(st.integers(0, max(number - 1, 0)), unique=True, max_size=3))
        direct = [each for each in direct if each < number]
        whole = sorted({*direct, *(far for each in direct for far in needs[each])}, reverse=True)
        needs.append(whole)
    dependencies = {
        f"kernel/m{number}.ko": [f"kernel/m{each}.ko" for each in needs[number]]
        for number in range(count)
    }
    wanted = data.draw(st.permutations([f"m{number}" for number in range(count)]))
    order = load_order(dependencies, [], wanted)
    assert sorted(order) == sorted(dependencies)
    for path in order:
        assert all(order.index(needed) < order.index(path) for needed in dependencies[path])
