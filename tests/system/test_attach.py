"""The main job: a remote stick comes out of a real port, is the same device, and carries data."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.system import host
from tests.system.attachment import Attachment, gadgetip, leftovers
from tests.system.server import StockServer
from tests.system.stick import Stick, sha256

UDC = "dummy_udc.1"
CHUNK = 8 << 20


@pytest.fixture(scope="module")
def disk(attached: Attachment) -> Path:
    """The replica's disk at the host."""
    return host.wait_for_disk(UDC)


def write(disk: Path, data: bytes, at: int = 0) -> None:
    """Write past the page cache and flush."""
    descriptor = os.open(disk, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def test_one_line_tells_what_was_bound(attached: Attachment, stick: Stick) -> None:
    assert attached.bound["udc"] == UDC
    assert attached.bound["backend"] == "functionfs"
    assert attached.bound["busid"] == stick.busid
    assert attached.bound["id"] == "0781:5581"
    assert attached.bound["profile"] == "mass-storage"
    assert attached.bound["deviations"] == []


def test_the_host_sees_the_very_descriptors_of_the_device(disk: Path, stick: Stick) -> None:
    replica = host.device_behind("dummy_hcd.1")
    assert replica is not None
    assert host.descriptors(replica) == stick.descriptors()
    for name in ("manufacturer", "product", "serial", "speed", "bMaxPower"):
        assert (replica / name).read_text() == (stick.sysfs / name).read_text()
    interface = next(replica.glob("*:1.0"))
    assert (interface / "driver").resolve().name == "usb-storage"


def test_it_runs_unprivileged(attached: Attachment) -> None:
    status = Path(f"/proc/{attached.worker()}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids
    capabilities = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    assert int(capabilities.split()[1], 16) == 0


def test_what_is_on_the_device_is_what_the_host_reads(disk: Path, stick: Stick) -> None:
    stick.fill()
    subprocess.run(["blockdev", "--flushbufs", str(disk)], check=True)
    assert sha256(disk) == stick.checksum()


def test_what_the_host_writes_is_on_the_device(disk: Path, stick: Stick) -> None:
    before = len(host.kernel_log())
    data = os.urandom(CHUNK)
    write(disk, data, at=5 << 20)
    with stick.store.open("rb") as store:
        store.seek(5 << 20)
        assert store.read(CHUNK) == data
    assert host.complaints(before, "4-1") == []


def test_random_offsets_verify(disk: Path) -> None:
    """fio writes with checksums at random offsets and reads them back."""
    done = subprocess.run(
        [
            "fio",
            "--name=verify",
            f"--filename={disk}",
            "--rw=randwrite",
            "--bsrange=512-160k",
            "--bs_unaligned=0",
            "--size=48m",
            "--io_size=12m",
            "--direct=1",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--randseed=7",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_attachment_to_the_same_controller_is_refused(
    attached: Attachment, stick: Stick
) -> None:
    second = gadgetip("attach", "127.0.0.1", stick.busid, "--udc", UDC)
    assert second.returncode == 6
    assert f"process {attached.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_udc_tells_who_owns_it(attached: Attachment) -> None:
    shown = gadgetip("udc").stdout
    line = next(line for line in shown.splitlines() if line.startswith(UDC))
    assert "configured" in line
    assert f"gadgetip.{UDC}" in line


def test_a_device_in_use_is_a_sentence(attached: Attachment, stick: Stick) -> None:
    refused = gadgetip("attach", "127.0.0.1", stick.busid, "--udc", "dummy_udc.2")
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_stopping_unplugs_and_leaves_nothing(attached: Attachment) -> None:
    assert attached.stop() == 0
    assert leftovers(UDC) == []


@pytest.mark.parametrize(
    "described",
    [
        pytest.param({"serial": None}, id="no-serial"),
        pytest.param({"configuration": "Default"}, id="configuration-string"),
        pytest.param({"attributes": 0xC0, "power_ma": 0}, id="self-powered"),
        pytest.param({"product": "Stick \u2013 gr\u00fcn", "bcd_device": 0x9999}, id="names"),
        pytest.param({"speed": "full-speed"}, id="full-speed"),
    ],
)
def test_identity_is_carried(server: StockServer, described: dict[str, Any]) -> None:
    """The plan announces no difference, and there is none, at the device's own speed."""
    with Stick("dummy_udc.2", **described) as stick:
        device_bytes = stick.descriptors()
        fields = ("product", "speed", "bmAttributes", "bMaxPower", "configuration")
        own = [(stick.sysfs / name).read_text() for name in fields]
        with (
            server.exporting(stick.busid),
            Attachment("127.0.0.1", stick.busid, udc="dummy_udc.3") as attached,
        ):
            replica = host.wait_for_device("dummy_udc.3")
            # What a slower device would be at the other speed is made up by the kernel.
            unexpected = {d["subject"] for d in attached.bound["deviations"]} - {"device qualifier"}
            assert unexpected == set()
            assert host.descriptors(replica) == device_bytes
            assert own == [(replica / name).read_text() for name in fields]
            disk = host.wait_for_disk("dummy_udc.3")
            data = os.urandom(64 << 10)
            write(disk, data)
            with stick.store.open("rb") as store:
                assert store.read(len(data)) == data
