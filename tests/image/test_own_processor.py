"""The image of a board on the board's own processor, from power-on to a replica that is read.

`make test-image BOARD=pi-zero-w` runs this alone: no machine of QEMU's that has an ARMv6 processor
has a network. `raspi0` has the Zero's ARM1176, its memory, and its card behind the same controller.
The card holds the very image, and beside it an owner's gadgetip.toml and two files of the test's.
What is different from a board, because the model lacks it:

* The firmware is not run, and the Zero W's U-Boot does not get through: kernel, initramfs and
  device tree are taken out of the card's slot A and given to QEMU, the kernel's arguments out of
  its boot script.
* The watchdog is off in the device tree: with it goes a part of the power management whose
  registers are not in the model, so that the kernel would panic.
* `dwc2` is a host in the model, and only that. `dummy_hcd`, a module of the same kernel, stands in
  for it and for the cable to the host, which is the board again. A second pair of that module has
  the device: the kernel's mass storage gadget, which the board exports to itself. So the stick is
  on the board twice: the real one, which usbip-host has, and the replica.

QEMU can plug a stick of its own into the model's `dwc2`. Linux finds it there and the board exports
it; but when the host looked at the replica, a free list of the kernel's memory was overwritten.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from board.image.boards import BOARDS
from tests.image import places, probe
from tests.image.artifact import find
from tests.image.card import SLOT_A, Card
from tests.image.desk import CONFIG_NAME, HOSTNAME, ZONE
from tests.image.emulator import Powered, clock
from tests.image.probe import Said
from tests.image.relative import RELATIVES, power_on
from tests.image.server import STICK, STICK_ID, STICK_SERIAL
from tests.image.times import TIMES

pytestmark = pytest.mark.skipif(
    places.board() not in {name for name, each in RELATIVES.items() if each.linux},
    reason="QEMU has no relative of this board in which the image's kernel starts",
)

LIMIT_S = 1800.0
"""For one step: two minutes on an idle computer, and as many times longer as it is busy."""
CONSOLE = "ttyS1,115200n8"  # a Pi's, as the boot script chooses it
LACKING = "/soc/watchdog@7e100000"

MIB = 1 << 20
STICK_SIZE = 4 * MIB
WRITTEN, WRITTEN_SIZE = 2 * MIB, MIB

CONFIG = f"""\
schema = "config/1"

[[attachment]]
name = "{STICK}"
server = "127.0.0.1"
match = {{ busid = "{STICK}" }}
udc = "dummy_udc.1"

[board]
hostname = "{HOSTNAME}"
timezone = "{ZONE}"
"""
STORE = "stick.img"
DEVICE, REPLICA = (f"/sys/devices/platform/dummy_hcd.{number}/usb*/*-1" for number in (0, 1))
DISK = ":1.0/host*/target*/*/block/*"
SCRIPT = f"""\
say processor $(uname -m) $(sed -n 's/^model name.*: //p' /proc/cpuinfo)
say slot $(grep ' /media ' /proc/mounts)
say root $(grep ' / ' /proc/mounts)
say name $(cat /proc/sys/kernel/hostname)
say zone $(readlink /etc/localtime)
until gadgetip --json status | grep -q '"state": *"waiting for server"'; do sleep 1; done
say waiting
say system $(systemctl is-system-running --wait)
say failed $(systemctl --failed --plain --no-legend)
cp /boot/firmware/{STORE} /run
modprobe g_mass_storage file=/run/{STORE} idVendor=0x{STICK_ID[:4]} idProduct=0x{STICK_ID[5:]} \\
    iSerialNumber={STICK_SERIAL}
until ls -d {DEVICE}/*{DISK} >/dev/null 2>&1; do sleep 0.5; done
say plugged
device=$(basename {DEVICE})
cat >/run/policy.toml <<END
schema = "policy/1"
# By its port: the replica has the same numbers.
[[export]]
name = "{STICK}"
publish_as = "{STICK}"
match = {{ busid = "$device" }}
END
gadgetip serve --policy /run/policy.toml &
until disk=$(ls -d {REPLICA}/*{DISK} 2>/dev/null); do sleep 0.5; done
say disk $disk
say original $(basename $(readlink {DEVICE}/driver)) $(ls -d {DEVICE}/*{DISK} 2>/dev/null)
cd {REPLICA}
say replica $(cat idVendor):$(cat idProduct) $(cat serial) $(cat speed)
disk=/dev/${{disk##*/}}
until [ -b $disk ]; do sleep 0.5; done
say read $(dd if=$disk bs=64K iflag=direct status=none | sha256sum)
dd if=/dev/urandom of=/run/written bs=64K count={WRITTEN_SIZE >> 16} status=none
dd if=/run/written of=$disk bs=64K seek={WRITTEN >> 16} oflag=direct conv=fsync status=none
say written $(sha256sum </run/written)
say arrived $(dd if=/run/{STORE} bs=64K skip={WRITTEN >> 16} count={WRITTEN_SIZE >> 16} \\
    status=none | sha256sum)
for process in $(cat /sys/fs/cgroup/system.slice/gadgetip.service/cgroup.procs); do
    if grep -q '^Uid:[[:space:]]*65534' /proc/$process/status; then
        say pump $(grep -o -m1 '[^/]*native[^/]*$' /proc/$process/maps)
    fi
done
say end
"""


@dataclass(frozen=True, slots=True)
class Circle:
    """The board, and what is on its stick at first."""

    board: Powered
    content: bytes

    def said(self, key: str) -> Said:
        """What the probe tells."""
        return probe.said(self.board.console, key, LIMIT_S)


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    """The one boot of this module."""
    name, directory = places.board(), tmp_path_factory.mktemp("circle")
    card = find(name).unpacked().copy(places.scratch() / "card.img")
    card.put(CONFIG_NAME, CONFIG.encode())
    content = os.urandom(STICK_SIZE)
    card.put(STORE, content)
    extra = f"modules_load=dummy_hcd dummy_hcd.num=2 {probe.put(card, SCRIPT)}"
    arguments = _arguments(card, extra)
    assert len(arguments) < 1024
    tree = f"/dtb/{BOARDS[name].device_trees[0]}"
    taken = {
        wanted: card.slot_file(SLOT_A, wanted, directory / Path(wanted).name)
        for wanted in ("/vmlinuz", "/initrd.img", tree)
    }
    subprocess.run(["fdtput", "-t", "s", taken[tree], LACKING, "status", "disabled"], check=True)
    more = [*clock(), "-initrd", str(taken["/initrd.img"]), "-append", arguments]
    board = power_on(
        RELATIVES[name],
        card,
        places.scratch() / "boot-01",
        kernel=taken["/vmlinuz"],
        tree=taken[tree],
        more=more,
    )
    try:
        yield Circle(board, content)
    finally:
        board.cut()


def _arguments(card: Card, extra: str) -> str:
    """What the boot script on the card gives the kernel of slot A, and `extra`."""
    script = (card.get("boot.scr") or b"").decode("ascii", "replace")
    [line] = [each for each in script.splitlines() if each.strip().startswith("setenv bootargs ")]
    return Template(line.split('"')[1]).substitute(
        slot="A", disk=card.identifier, devtype="mmc", devnum="0", console=CONSOLE, extra=extra
    )


def _note(what: str, circle: Circle, when: Said) -> None:
    TIMES.say(what, f"{when.at:.1f} s of its own, {circle.board.seconds:.0f} s of ours", when.at)


def test_runs_on_the_processor(circle: Circle) -> None:
    told = circle.said("processor")
    _note("from power-on to the supervisor", circle, told)
    assert told.text.startswith("armv6l ARMv6-compatible processor")


def test_root_is_the_card_and_memory(circle: Circle) -> None:
    assert circle.said("slot").text.startswith("/dev/mmcblk0p2 /media ext4 ro")
    assert " / overlay " in f" {circle.said('root').text}"


def test_waits_for_its_server(circle: Circle) -> None:
    _note("from power-on to waiting for the server", circle, circle.said("waiting"))


def test_config_is_taken_over(circle: Circle) -> None:
    assert circle.said("name").text == HOSTNAME
    assert circle.said("zone").text.endswith(ZONE)


def test_no_unit_failed(circle: Circle) -> None:
    assert circle.said("system").text == "running"
    assert circle.said("failed").text == ""


def test_host_sees_the_replica(circle: Circle) -> None:
    """Of the two the one at the end of dummy_hcd's cable; the stick itself has no disk any more."""
    told = circle.said("disk")
    _note("from power-on to the replica's disk", circle, told)
    assert circle.said("replica").text == f"{STICK_ID} {STICK_SERIAL} 480"
    assert circle.said("original").text == "usbip-host"


def test_replica_is_read(circle: Circle) -> None:
    told = circle.said("read")
    _note(f"the same, and {STICK_SIZE // MIB} MiB are read", circle, told)
    assert told.text.split()[0] == hashlib.sha256(circle.content).hexdigest()


def test_replica_is_written(circle: Circle) -> None:
    assert circle.said("written").text == circle.said("arrived").text


def test_native_pump_is_in(circle: Circle) -> None:
    """In the process that carries the traffic, which is nobody's."""
    assert circle.said("pump").text == "_native.abi3.so"
    circle.said("end")
