"""A card as `make image` makes it, with an owner's gadgetip.toml, in a board for the first time.

The server is not there when the board boots; it comes later.
"""

import hashlib
import os
import re

import pytest

from tests.image.asking import KNOWN, LOGIN, OPTIONS
from tests.image.desk import HOSTNAME, PROBLEM_NAME, ZONE, Desk
from tests.image.server import KEYBOARD, STICK, STICK_ID, STICK_SERIAL, STICK_SIZE
from tests.image.times import TIMES

MIB = 1 << 20
READ, READ_SIZE = 8 * MIB, 8 * MIB
WRITTEN, WRITTEN_SIZE = 24 * MIB, 4 * MIB

WAIT_FOR_KEY = """
import glob, struct, time
until = time.monotonic() + 60
while not (found := glob.glob("/dev/input/by-id/*-event-kbd")) and time.monotonic() < until:
    time.sleep(0.2)
[path] = found
event = struct.Struct("llHHi")
with open(path, "rb", buffering=0) as keyboard:
    print("ready", flush=True)
    while True:
        _, _, kind, code, value = event.unpack(keyboard.read(event.size))
        if kind == 1:
            print("key", code, value, flush=True)
            if value == 0:
                break
"""
KEY_A = 30
DRIVERS = "/sys/bus/usb/drivers/usbhid/*:1.0 /sys/bus/usb/drivers/usb-storage/*:1.0 >/dev/null 2>&1"


@pytest.fixture(scope="module", autouse=True)
def booted(desk: Desk) -> None:
    """The first boot; its board stays up for the tests that follow."""
    desk.server.stop_exporting()
    desk.write_config()
    desk.power_on()
    desk.wait_until_started()
    desk.ask("true")
    TIMES.note(
        "first boot: from power-on to a login (host key made, no server)", desk.board.seconds
    )


def disk(desk: Desk) -> str:
    """The stick's replica on the board's own host, in /dev."""
    link = f"/dev/disk/by-id/usb-*{STICK_SERIAL}*:0"
    # udev looks at what is on it first, through the replica.
    found = desk.ask(f"until ls {link} 2>/dev/null; do sleep 0.5; done", limit_s=120).split()
    assert len(found) == 1
    return found[0]


def test_waits_for_the_server(desk: Desk) -> None:
    answer = desk.ask.json("gadgetip --json status")
    assert {each["name"]: each["state"] for each in answer["attachments"]} == {
        STICK: "waiting for server",
        KEYBOARD: "waiting for server",
    }


def test_attaches_when_the_server_comes(desk: Desk) -> None:
    desk.server.export()
    came = desk.board.seconds
    seconds = desk.wait_until_attached()
    TIMES.note("from the server's coming to both replicas on the host", seconds - came)
    desk.wait_until_running()
    # The host has chosen the configurations; its drivers look at the devices after that.
    desk.ask(f"until ls {DRIVERS}; do sleep 0.3; done", limit_s=60)


def test_host_sees_the_devices(desk: Desk) -> None:
    """Facts of the board's own USB host, at the end of dummy_hcd's two cables."""
    text = desk.ask(
        "cd /sys/bus/usb/devices; for each in *-*; do case $each in *:*) continue; esac; "
        "cd $each; echo $(cat idVendor):$(cat idProduct) $(cat speed) "
        "$(cat */bInterfaceClass | head -1) $(basename $(readlink *:1.0/driver)) "
        "$(cat serial 2>/dev/null); cd ..; done"
    )
    assert sorted(text.split("\n")[:-1]) == [
        "0627:0001 480 03 usbhid" + serial(text, "0627:0001"),
        f"{STICK_ID} 480 08 usb-storage {STICK_SERIAL}",
    ]
    capacity = desk.ask(f"cat /sys/class/block/$(basename $(readlink {disk(desk)}))/size")
    assert int(capacity) * 512 == STICK_SIZE


def serial(text: str, identity: str) -> str:
    """Whatever serial number QEMU gave a device."""
    [line] = [each for each in text.splitlines() if each.startswith(identity)]
    return "".join(f" {word}" for word in line.split()[4:])


def test_key_arrives(desk: Desk) -> None:
    waiting = desk.ask.begin(f"timeout 120 python3 -c '{WAIT_FOR_KEY}'")
    waiting.wait_for("ready", 60)
    desk.server.press("a")
    done = waiting.end(120)
    assert f"key {KEY_A} 1\nkey {KEY_A} 0\n" in done.text


def test_stick_is_read(desk: Desk) -> None:
    """Random bytes, written behind the stick's back, come out of the replica."""
    data = os.urandom(READ_SIZE)
    with desk.server.stick.open("r+b") as store:
        store.seek(READ)
        store.write(data)
    before = desk.board.seconds
    text = desk.ask(
        f"dd if={disk(desk)} bs=1M skip={READ // MIB} count={READ_SIZE // MIB} iflag=direct "
        "status=none | sha256sum",
        limit_s=300,
    )
    TIMES.note(f"reading {READ_SIZE // MIB} MiB of the stick", desk.board.seconds - before)
    assert text.split()[0] == hashlib.sha256(data).hexdigest()


def test_stick_is_written(desk: Desk) -> None:
    text = desk.ask(
        f"dd if=/dev/urandom of=/tmp/written bs=1M count={WRITTEN_SIZE // MIB} status=none && "
        f"dd if=/tmp/written of={disk(desk)} bs=1M seek={WRITTEN // MIB} oflag=direct "
        "conv=fsync status=none && sha256sum /tmp/written && rm /tmp/written",
        limit_s=300,
    )
    with desk.server.stick.open("rb") as store:
        store.seek(WRITTEN)
        assert text.split()[0] == hashlib.sha256(store.read(WRITTEN_SIZE)).hexdigest()


def test_config_is_taken_over(desk: Desk) -> None:
    assert desk.ask("cat /proc/sys/kernel/hostname").strip() == HOSTNAME
    assert desk.ask("readlink /etc/localtime").strip().endswith(ZONE)
    assert PROBLEM_NAME not in desk.ask("ls /boot/firmware")


def test_nobody_has_a_password(desk: Desk) -> None:
    users = [line.split(":") for line in desk.ask("cat /etc/shadow").splitlines()]
    assert "root" in {user[0] for user in users}
    assert [user[0] for user in users if user[1][:1] not in {"!", "*"}] == []
    assert "login:" not in desk.console.text
    assert desk.ask("systemctl list-units --plain --no-legend '*getty*.service'").strip() == ""


@pytest.mark.parametrize(
    "options",
    [
        ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password"],
        ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=keyboard-interactive"],
        ["-i", "/run/gadgetip-bench/other-key"],
    ],
    ids=["password", "keyboard-interactive", "another-key"],
)
def test_only_the_key_opens(desk: Desk, options: list[str]) -> None:
    desk.server.sh(
        "cd /run/gadgetip-bench; [ -e other-key ] || ssh-keygen -qt ed25519 -N '' -f other-key"
    )
    done = desk.server.run("ssh", *OPTIONS, *options, LOGIN, "true")
    assert done.status == 255
    assert "Permission denied (publickey)" in done.text
    assert desk.server.sh(f"wc -l <{KNOWN}").strip() == "1"


def test_root_forgets(desk: Desk) -> None:
    """Whatever is written over the root lies in memory; the card's slot is read-only."""
    mounts = {line.split()[1]: line.split() for line in desk.ask("cat /proc/mounts").splitlines()}
    assert mounts["/"][2] == "overlay"
    assert mounts["/media"][2] == "ext4"
    assert "ro" in mounts["/media"][3].split(",")
    assert "ro" in mounts["/boot/firmware"][3].split(",")
    assert mounts["/var/lib/gadgetip"][2] == "ext4"
    desk.ask("touch /usr/forgotten /etc/forgotten")


def test_logs_are_in_memory(desk: Desk) -> None:
    assert desk.ask.status("test -e /var/log/journal") == 1
    assert "/run/log/journal/" in desk.ask("ls -d /run/log/journal/*")
    text = desk.ask("journalctl --disk-usage")
    size = re.search(r"take up ([0-9.]+)([KM])", text)
    assert size is not None, text
    assert float(size[1]) * (1 if size[2] == "M" else 0.001) <= 8


def test_no_unit_failed(desk: Desk) -> None:
    desk.ask("systemctl is-system-running --wait || true", limit_s=300)
    assert desk.ask("systemctl --failed --plain --no-legend").strip() == ""


def test_passphrase_has_moved(desk: Desk) -> None:
    if not desk.wireless:
        pytest.skip("this board has no radio")
    assert 'psk = "moved"' in desk.ask("cat /boot/firmware/gadgetip.toml")


def test_memory(desk: Desk) -> None:
    """A Pi Zero has 512 MB: most of it has to be free."""
    fields = dict(
        line.split(":") for line in desk.ask("cat /proc/meminfo").replace(" kB", "").splitlines()
    )
    available, total = int(fields["MemAvailable"]) >> 10, int(fields["MemTotal"]) >> 10
    TIMES.say("memory that is free, attached", f"{available} of {total} MiB", available)
    assert available > total // 2
