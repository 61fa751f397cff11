"""`make endurance`: the main job for longer than CI has time for.

A stick of 256 MiB is filled with random data and read through its replica, written through it and
compared at the device byte by byte, three times; then fio writes and verifies at random offsets for
a minute.
The host's kernel log must show no reset and no timeout. Called with pytest, by its path.
"""

import os
import subprocess
from pathlib import Path

from tests.system import host
from tests.system.attachment import Attachment
from tests.system.server import StockServer
from tests.system.stick import Stick

UDC = "dummy_udc.1"
SIZE_MIB = int(os.environ.get("GADGETIP_ENDURANCE_MIB", "256"))
TIMES = 3
VERIFY_S = 60


def test_a_large_stick_for_a_long_time(server: StockServer) -> None:
    with (
        Stick("dummy_udc.0", size_mib=SIZE_MIB) as stick,
        server.exporting(stick.busid),
        Attachment("127.0.0.1", stick.busid, udc=UDC),
    ):
        disk = host.wait_for_disk(UDC)
        before = len(host.kernel_log())
        for _ in range(TIMES):
            stick.fill()
            assert_equal(disk, stick.store)
            write_random(disk)
            assert_equal(disk, stick.store)
        verified = subprocess.run(
            [
                *("fio", "--name=verify", f"--filename={disk}", "--rw=randwrite", "--direct=1"),
                *("--bsrange=512-160k", f"--size={SIZE_MIB}m", "--verify=crc32c"),
                *("--verify_fatal=1", "--time_based", f"--runtime={VERIFY_S}", "--randseed=11"),
                *("--verify_backlog=64",),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
        print(verified.stdout)
        assert host.complaints(before, "4-1") == []


def assert_equal(disk: Path, store: Path) -> None:
    """Read the disk past the page cache and compare it with the backing store, byte by byte."""
    with subprocess.Popen(
        ["dd", f"if={disk}", "bs=1M", "iflag=direct", "status=none"], stdout=subprocess.PIPE
    ) as reader:
        compared = subprocess.run(
            ["cmp", "-", str(store)],
            stdin=reader.stdout,
            check=False,
            capture_output=True,
            text=True,
        )
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert reader.returncode == 0


def write_random(disk: Path) -> None:
    """Fill the disk from the host's side and flush."""
    with disk.open("r+b", buffering=0) as out:
        for _ in range(SIZE_MIB):
            out.write(os.urandom(1 << 20))
        os.fsync(out.fileno())
