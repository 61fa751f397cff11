"""What must stay on this machine, from recorded facts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.server.machine_facts import (
    BlockDevice,
    MachineFacts,
    Mount,
    NetworkInterface,
    gather_facts,
    parse_ipv6_routes,
    parse_mountinfo,
    parse_routes,
    parse_swaps,
    standing_on,
)
from gadgetip.server.safety import reason_never_to_export, reason_to_keep
from tests.unit.server.local_devices import stick

PORT = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1"
STICK = stick("1-1", None, devnum=5, interfaces=(), path=PORT)
DISK = f"{PORT}/1-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
BLOCKS = (
    BlockDevice("sda", "8:0", "/sys/devices/pci0000:00/0000:00:17.0/block/sda"),
    BlockDevice("sda1", "8:1", "/sys/devices/pci0000:00/0000:00:17.0/block/sda/sda1", ("sda",)),
    # A neighbour whose port begins with the same letters.
    BlockDevice("sdc", "8:32", f"{PORT}1/1-11:1.0/host7/target7:0:0/7:0:0:0/block/sdc"),
    BlockDevice("sdb", "8:16", DISK),
    BlockDevice("sdb1", "8:17", f"{DISK}/sdb1", ("sdb",)),
    BlockDevice("sdb2", "8:18", f"{DISK}/sdb2", ("sdb",)),
)
FREE = MachineFacts(block_devices=BLOCKS, mounts=(Mount("8:1", "/", "/dev/sda1", "ext4"),))

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
41 27 8:17 / /media/me/A\040stick\134x rw,nosuid shared:290 master:2 - vfat /dev/sdb1 rw,utf8
42 27 0:45 /@home /home rw shared:3 - btrfs /dev/mapper/crypt rw,subvol=/@home
43 27 0:50 / /broken
44 27 0:51 / /merged rw - overlay overlay rw,lowerdir=/lower - 1
"""


def mounted(number: str, point: str, source: str = "") -> MachineFacts:
    return replace(FREE, mounts=(*FREE.mounts, Mount(number, point, source, "ext4")))


def stacked(*blocks: BlockDevice, mounts: tuple[Mount, ...] = ()) -> MachineFacts:
    return replace(FREE, block_devices=(*BLOCKS, *blocks), mounts=(*FREE.mounts, *mounts))


def virtual(name: str, number: str, *below: str, label: str = "") -> BlockDevice:
    return BlockDevice(name, number, f"/sys/devices/virtual/block/{name}", below, label)


def test_a_stick_that_nobody_uses() -> None:
    assert reason_to_keep(STICK, FREE) is None
    assert reason_to_keep(STICK, MachineFacts()) is None


def test_hubs_and_imported_devices() -> None:
    hub = replace(STICK, bDeviceClass=9)
    imported = replace(STICK, path="/sys/devices/platform/vhci_hcd.0/usb3/3-1")
    assert "a hub" in (reason_to_keep(hub, FREE) or "")
    assert "imported from another machine" in (reason_to_keep(imported, FREE) or "")
    assert reason_never_to_export(hub)
    assert reason_never_to_export(imported)
    assert reason_never_to_export(STICK) is None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (mounted("8:16", "/mnt"), "sdb is mounted on /mnt: unmount it first"),
        (mounted("8:17", "/media/A stick"), "sdb1 is mounted on /media/A stick: unmount it first"),
        (mounted("8:18", "/boot"), "this machine runs from it: sdb2 is mounted on /boot"),
        (mounted("8:18", "/"), "this machine runs from it: sdb2 is mounted on /"),
        (replace(FREE, swaps=("8:18",)), "this machine swaps to sdb2 on it: swapoff first"),
        (
            stacked(
                virtual("dm-0", "253:0", "sdb2", label="crypt"),
                virtual("dm-1", "253:1", "dm-0", label="vg-root"),
                mounts=(Mount("253:1", "/usr", "/dev/mapper/vg-root", "ext4"),),
            ),
            "this machine runs from it: dm-1 (vg-root) is mounted on /usr",
        ),
        (
            stacked(
                virtual("md0", "9:0", "sda", "sdb1"),
                mounts=(Mount("9:0", "/srv", "/dev/md0", "xfs"),),
            ),
            "md0 is mounted on /srv: unmount it first",
        ),
        (
            stacked(virtual("dm-0", "253:0", "sdb1", label="luks-1")),
            "dm-0 (luks-1) is made of it: close or stop that first",
        ),
        (stacked(virtual("loop0", "7:0", "sdb")), "loop0 is made of it: close or stop that first"),
    ],
)
def test_disks_in_use(facts: MachineFacts, reason: str) -> None:
    assert reason_to_keep(STICK, facts) == reason


def test_the_system_counts_more_than_other_mounts() -> None:
    facts = mounted("8:17", "/a")
    facts = replace(facts, mounts=(*facts.mounts, Mount("8:18", "/boot/efi", "", "vfat")))
    assert "/boot/efi" in (reason_to_keep(STICK, facts) or "")


def test_a_neighbours_disk_is_no_reason() -> None:
    assert reason_to_keep(STICK, mounted("8:32", "/mnt")) is None


def test_a_file_system_over_several_disks() -> None:
    facts = mounted("8:32", "/data")
    assert reason_to_keep(STICK, facts) is None
    facts = replace(facts, file_system_members=(frozenset({"sdc", "sdb1"}),))
    assert reason_to_keep(STICK, facts) == "sdc is mounted on /data: unmount it first"


def test_the_network_adapter_of_the_default_route() -> None:
    adapter = NetworkInterface("enx0", f"{PORT}/1-1:1.0/net/enx0")
    bridge = NetworkInterface("br0", "/sys/devices/virtual/net/br0", ("enx0",))
    facts = replace(FREE, interfaces=(adapter, bridge))
    assert reason_to_keep(STICK, facts) is None
    for name in ("enx0", "br0"):
        reason = reason_to_keep(STICK, replace(facts, default_routes=(name,)))
        assert reason == f"this machine's default route goes through it ({name})"
    assert reason_to_keep(STICK, replace(facts, default_routes=("eth0",))) is None


def test_mountinfo() -> None:
    mounts = parse_mountinfo(MOUNTINFO)
    assert [(m.number, m.mount_point, m.source) for m in mounts] == [
        ("0:21", "/proc", "proc"),
        ("8:1", "/", "/dev/sda1"),
        ("8:17", "/media/me/A stick\\x", "/dev/sdb1"),
        ("0:45", "/home", "/dev/mapper/crypt"),
        ("0:51", "/merged", "overlay"),
    ]
    assert mounts[3].file_system == "btrfs"


def test_swaps() -> None:
    text = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/dm-1                               partition\t999420\t\t0\t\t-2\n"
        "/swap\\040file                            file\t\t999420\t\t0\t\t-3\n"
    )
    assert parse_swaps(text) == ("/dev/dm-1",)


def test_routes() -> None:
    text = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
        "enx0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "enx0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        "broken\n"
    )
    assert parse_routes(text) == ("enx0",)
    zero = "0" * 32
    text = (
        f"{zero} 00 {zero} 00 fe800000000000000000000000000001 00000064 1 0 00000003     enx0\n"
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        f"fe80{zero[4:]} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth1\n"
    )
    assert parse_ipv6_routes(text.replace(" 1 0 ", " 00000001 00000000 ")) == ("enx0",)


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    parse_mountinfo(text)
    parse_swaps(text)
    parse_routes(text)
    parse_ipv6_routes(text)


@given(st.dictionaries(st.text("abcd", max_size=1), st.lists(st.text("abcd", max_size=1))))
def test_what_stands_on_what_ends(below: dict[str, list[str]]) -> None:
    under = {name: tuple(names) for name, names in below.items()}
    reached = standing_on(["a"], under)
    assert "a" in reached
    assert standing_on(reached, under) == reached


def test_the_facts_of_this_machine() -> None:
    facts = gather_facts()
    assert any(mount.mount_point == "/" for mount in facts.mounts)
    assert all(block.path.startswith("/sys/") for block in facts.block_devices)
