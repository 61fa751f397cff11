"""How much of this machine's memory for user-space transfers one session may have.

usbfs lends all its users together 16 MiB (`usbfs_memory_mb`, drivers/usb/core/devio.c) and refuses
with -ENOMEM beyond. Without a share, one client could keep every other program from its device.
"""

from pathlib import Path
from typing import Final

SHARES: Final = 4
_DEFAULT_MIB: Final = 16
_PARAMETER: Final = Path("/sys/module/usbcore/parameters/usbfs_memory_mb")


def session_share(parameter: Path = _PARAMETER) -> int:
    """The bytes that one session may have at the device; 0: usbfs has no limit.

    Where the parameter cannot be read, as in some containers, the kernel's default counts.
    """
    try:
        mib = int(parameter.read_text())
    except (OSError, ValueError):
        mib = _DEFAULT_MIB
    return (max(mib, 0) << 20) // SHARES
