"""The initramfs: one static program, a script, and the modules that find the root file system.

Debian's own is made on the machine that boots it, and has what that one needs or might need; this
is made once for all boards of a kind, and has what the script `init` beside this file loads.
"""

import subprocess
from pathlib import Path

from board.image import cpio, kernel_modules
from board.image.boards import Board

SCRIPT = Path(__file__).with_name("init")
FINDING = Path(__file__).with_name("finding")
APPLETS = (
    *("cat", "cut", "dd", "echo", "grep", "insmod", "md5sum", "mkdir", "mount", "od", "readlink"),
    *("reboot", "sh", "sleep", "switch_root", "tr", "umount", "watchdog"),
)
MOUNT_POINTS = ("dev", "lower", "proc", "root", "slot", "sys", "upper")


def build(board: Board, busybox: Path, modules: Path, time: int) -> bytes:
    """The compressed archive; `modules` is /lib/modules/RELEASE with its indexes."""
    dependencies = kernel_modules.read_dependencies((modules / "modules.dep").read_text())
    builtin = (modules / "modules.builtin").read_text().splitlines()
    wanted = (*kernel_modules.DISKS, *board.modules, *kernel_modules.ROOT)
    required = kernel_modules.REQUIRED | {*board.modules}
    order = kernel_modules.load_order(dependencies, builtin, wanted, required)
    entries = {
        "init": cpio.file(SCRIPT.read_bytes(), 0o755),
        "finding": cpio.file(FINDING.read_bytes()),
        "bin/busybox": cpio.file(busybox.read_bytes(), 0o755),
        # What the kernel gives the script as its terminal, before the script mounts /dev.
        "dev/console": cpio.device(5, 1),
        "modules/order": cpio.file("".join(f"{_file(path)}\n" for path in order).encode()),
        **{f"bin/{name}": cpio.link("busybox") for name in APPLETS},
        **{name: cpio.directory() for name in MOUNT_POINTS},
    }
    for path in order:
        content = kernel_modules.content(modules / path)
        entries[f"modules/{_file(path)}"] = cpio.file(content)
    plain = cpio.archive(entries, time)
    command = ["zstd", "-19", "--quiet", "--stdout"]
    return subprocess.run(command, input=plain, check=True, capture_output=True).stdout


def _file(path: str) -> str:
    return f"{kernel_modules.name_of(path)}.ko"
