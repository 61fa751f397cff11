"""What should stay here: devices that this machine cannot do without, or would lose data with.

Exporting a device takes it from this machine's own drivers, which is an unplug for whatever uses
it. A disk that is mounted, swapped to, or part of a volume is refused, and so are the network
adapter of the default route, hubs (nothing can export one) and devices that are imported themselves
(a loop). `--force` overrides the reason, knowingly; hubs and imported devices it does not make
exportable, the kernel's stub refuses them too.

`reason_to_keep` decides from facts alone; `gather_facts` collects them.
"""

from gadgetip.server.local_device import LocalDevice
from gadgetip.server.machine_facts import (
    BlockDevice,
    MachineFacts,
    Mount,
    gather_facts,
    standing_on,
)

__all__ = ["MachineFacts", "gather_facts", "reason_never_to_export", "reason_to_keep"]

_SYSTEM = ("/", "/usr", "/var", "/etc", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/home")
"""What a machine runs from, by mount point: their disk is its own, not a guest."""


def reason_to_keep(device: LocalDevice, facts: MachineFacts) -> str | None:
    """Why the device should not be exported, a clause for "refused: …"; None: it may be."""
    return (
        reason_never_to_export(device)
        or _disk_reason(device, facts)
        or _network_reason(device, facts)
    )


def reason_never_to_export(device: LocalDevice) -> str | None:
    """Why nothing, not even --force, makes this device exportable."""
    if device.is_hub:
        return "it is a hub: export what is plugged into it instead"
    if device.is_imported:
        return "it is imported from another machine itself: export it there"
    return None


def _disk_reason(device: LocalDevice, facts: MachineFacts) -> str | None:
    own = [b for b in facts.block_devices if _is_behind(b.path, device)]
    if not own:
        return None
    below = {b.name: b.below for b in facts.block_devices}
    blocks = {b.name: b for b in facts.block_devices}
    reached = standing_on((b.name for b in own), below)
    for members in facts.file_system_members:
        if members & reached:
            reached |= standing_on(members, below)
    numbers = {b.number: b for b in facts.block_devices if b.name in reached}
    mounts = [mount for mount in facts.mounts if mount.number in numbers]
    # What hurts most is said: /, then the rest of the system, then swap, then any other mount.
    mounts.sort(key=lambda m: (m.mount_point not in _SYSTEM, len(m.mount_point), m.mount_point))
    swaps = [number for number in facts.swaps if number in numbers]
    if mounts and mounts[0].mount_point in _SYSTEM:
        return f"this machine runs from it: {_mounted(mounts[0], numbers)}"
    if swaps:
        return f"this machine swaps to {_name(numbers[swaps[0]])} on it: swapoff first"
    if mounts:
        return f"{_mounted(mounts[0], numbers)}: unmount it first"
    holders = sorted(reached - {b.name for b in own})
    if holders:
        return f"{_name(blocks[holders[0]])} is made of it: close or stop that first"
    return None


def _network_reason(device: LocalDevice, facts: MachineFacts) -> str | None:
    own = [interface.name for interface in facts.interfaces if _is_behind(interface.path, device)]
    below = {interface.name: interface.below for interface in facts.interfaces}
    used = standing_on(own, below).intersection(facts.default_routes)
    if not used:
        return None
    return f"this machine's default route goes through it ({min(used)})"


def _is_behind(path: str, device: LocalDevice) -> bool:
    return bool(device.path) and path.startswith(f"{device.path}/")


def _mounted(mount: Mount, numbers: dict[str, BlockDevice]) -> str:
    return f"{_name(numbers[mount.number])} is mounted on {mount.mount_point}"


def _name(block: BlockDevice) -> str:
    return f"{block.name} ({block.label})" if block.label else block.name
