"""The facts of a board, read from this machine now: controllers, configfs, device tree, debris.

`gadget` cannot be imported where the library libaio is missing: the package `functionfs` opens it.
Controllers are then known by name and state alone, which is enough to say what has to be installed.
"""

import fcntl
import os
import pwd
import shutil
from pathlib import Path

from gadgetip.diagnosis.facts import BoardFacts, DualRole, RaspberryFacts, UdcFacts
from gadgetip.diagnosis.gather_machine import read_device_tree_model
from gadgetip.diagnosis.kernel_texts import (
    parse_config_txt,
    parse_device_tree_text,
    parse_mounted,
    parse_number,
)
from gadgetip.diagnosis.system_files import children, exists, link_name, read_bytes, read_text

SYSFS_UDC = Path("/sys/class/udc")
GADGETS = Path("/sys/kernel/config/usb_gadget")
CONFIGFS = "/sys/kernel/config"
CONFIG_TXT = (Path("/boot/firmware/config.txt"), Path("/boot/config.txt"))
PLATFORM_DEVICES = Path("/sys/bus/platform/devices")
RUN = Path("/run/gadgetip")
OWN_PREFIX = "gadgetip."
WORKER_USER = "nobody"


def gather_board(*, libaio: bool = True) -> BoardFacts:
    """The facts of this moment; `libaio` says whether the library can be opened."""
    mounted = parse_mounted(read_text("/proc/mounts"))
    udcs = _udcs() if libaio else _udcs_by_name()
    gadgets = children(GADGETS)
    return BoardFacts(
        udcs=udcs,
        configfs_supported="configfs" in read_text("/proc/filesystems").split(),
        configfs_mounted=("configfs", CONFIGFS) in mounted,
        gadget_directory=exists(GADGETS),
        other_gadgets=tuple(
            _in_words(each) for each in gadgets if not each.name.startswith(OWN_PREFIX)
        ),
        own_gadgets=tuple(str(each) for each in gadgets if each.name.startswith(OWN_PREFIX)),
        own_mounts=tuple(sorted(place for _, place in mounted if place.startswith(f"{RUN}/"))),
        held_locks=tuple(udc.name for udc in udcs if _is_held(RUN / f"{udc.name}.lock")),
        raspberry=_raspberry(),
        dual_role=tuple(_dual_role()),
        gadgetfs_limit=_gadgetfs_limit() if libaio else None,
        aio_used=parse_number(read_text("/proc/sys/fs/aio-nr")),
        aio_max=parse_number(read_text("/proc/sys/fs/aio-max-nr")),
        worker_user=_is_user(WORKER_USER),
        module_loading=shutil.which("modprobe", path=f"{os.defpath}:/sbin:/usr/sbin") is not None,
    )


def _udcs() -> tuple[UdcFacts, ...]:
    from gadgetip.gadget import list_udcs  # noqa: PLC0415 (see the head of this module)

    return tuple(
        UdcFacts(
            name=each.name,
            model=each.model.name,
            state=each.state,
            current_speed=each.current_speed.kernel_name,
            maximum_speed=each.maximum_speed.kernel_name,
            owner=each.owner,
            assumed=each.model.assumed,
        )
        for each in list_udcs()
    )


def _udcs_by_name() -> tuple[UdcFacts, ...]:
    return tuple(
        UdcFacts(
            name=path.name,
            model="model not looked at",
            state=read_text(path / "state").strip(),
            current_speed=read_text(path / "current_speed").strip(),
            maximum_speed=read_text(path / "maximum_speed").strip(),
            owner=read_text(path / "function").strip() or None,
        )
        for path in children(SYSFS_UDC)
    )


def _gadgetfs_limit() -> int | None:
    from gadgetip.gadget.backends.gadgetfs import (  # noqa: PLC0415 (see the head of this module)
        STOCK_LIMIT,
        limit_here,
    )

    limit = limit_here()
    return limit if limit > STOCK_LIMIT else None


def _in_words(gadget: Path) -> str:
    udc = read_text(gadget / "UDC").strip()
    return f"{gadget.name} on {udc}" if udc else f"{gadget.name}, bound to nothing"


def _is_held(lock: Path) -> bool:
    """Whether a process that lives has a controller's lock; asked for a shared one, for a moment.

    Whoever wants it at that moment waits for longer than that.
    """
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def _raspberry() -> RaspberryFacts | None:
    model = parse_device_tree_text(read_device_tree_model())
    if "Raspberry Pi" not in model:
        return None
    path = next((each for each in CONFIG_TXT if exists(each)), None)
    if path is None:
        return RaspberryFacts(model)
    return RaspberryFacts(model, str(path), parse_config_txt(read_text(path)))


def _dual_role() -> list[DualRole]:
    found = []
    for device in children(PLATFORM_DEVICES):
        mode = read_bytes(device / "of_node/dr_mode", 64)
        if mode:
            text = parse_device_tree_text(mode)
            found.append(DualRole(device.name, text, link_name(device / "driver")))
    return found


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
