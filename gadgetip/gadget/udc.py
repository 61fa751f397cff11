"""The device controllers of this machine, as sysfs shows them.

A controller has one owner at a time: a gadget in configfs, GadgetFS, or a `g_*` module. Sysfs
names the driver that is bound to it; which configfs gadget that is, configfs tells.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.udc_models import UdcModel, assumption, model_of_driver, with_tx_fifos
from gadgetip.usb import Speed

SYSFS_UDC = Path("/sys/class/udc")
CONFIGFS_GADGETS = Path("/sys/kernel/config/usb_gadget")


@dataclass(frozen=True, slots=True)
class Udc:
    """One controller.

    `state` is the kernel's word for the link to the host ("not attached", "configured", ...),
    `owner` what drives it, or None when it is free.
    """

    name: str
    state: str
    current_speed: Speed
    maximum_speed: Speed
    owner: str | None
    model: UdcModel

    @property
    def is_free(self) -> bool:
        """Whether nothing drives it."""
        return self.owner is None


def list_udcs() -> tuple[Udc, ...]:
    """All controllers, by name; empty where the machine has none."""
    if not SYSFS_UDC.is_dir():
        return ()
    owners = _configfs_owners()
    return tuple(_read_udc(path, owners) for path in sorted(SYSFS_UDC.iterdir()))


def choose_udc(name: str | None) -> Udc:
    """The controller called `name`, or the only free one.

    Raises `PrerequisiteError` that lists what there is when the choice is not clear.
    """
    udcs = list_udcs()
    if not udcs:
        raise PrerequisiteError(
            "this machine has no USB device controller: on a Raspberry Pi add dtoverlay=dwc2 to "
            "config.txt and restart; to try things out, load dummy_hcd"
        )
    inventory = "; ".join(f"{u.name} ({u.owner or 'free'})" for u in udcs)
    if name is not None:
        named = next((u for u in udcs if u.name == name), None)
        if named is None:
            raise GadgetipError(f"there is no controller {name}. There are: {inventory}")
        return named
    free = [u for u in udcs if u.is_free]
    if len(free) != 1:
        problem = "no controller is free" if not free else "several controllers are free"
        raise PrerequisiteError(f"{problem}: {inventory}. Choose one with --udc NAME")
    return free[0]


def state_file(udc: str) -> Path:
    """The file whose changes tell what the host does; it can be polled."""
    return SYSFS_UDC / udc / "state"


def driver_file(udc: str) -> Path:
    """The file that names what drives the controller; empty when nothing does."""
    return SYSFS_UDC / udc / "function"


def current_speed(udc: str) -> Speed:
    """The speed of the link to the host, `Speed.UNKNOWN` without one."""
    return _speed(_read(SYSFS_UDC / udc / "current_speed"))


def _read_udc(path: Path, owners: dict[str, str]) -> Udc:
    function = _read(path / "function")
    return Udc(
        name=path.name,
        state=_read(path / "state"),
        current_speed=_speed(_read(path / "current_speed")),
        maximum_speed=_speed(_read(path / "maximum_speed")),
        owner=owners.get(path.name) or (function or None),
        model=_model_of(path),
    )


def _model_of(udc: Path) -> UdcModel:
    """The model, with what this very controller and its device tree know better."""
    device = udc / "device"
    model = with_tx_fifos(
        model_of_driver(_driver_of(device)), _bytes(device / "of_node/g-tx-fifo-size")
    )
    compatible = _bytes(device / "of_node/compatible").decode("ascii", "replace").split("\0")
    otg = _read(udc / "is_otg") == "1"
    return replace(model, assumed=assumption(model, compatible), is_otg=otg)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _driver_of(device: Path) -> str:
    try:
        return (device / "driver").resolve(strict=True).name
    except OSError:
        return ""


def _configfs_owners() -> dict[str, str]:
    if not CONFIGFS_GADGETS.is_dir():
        return {}
    owners = {}
    for gadget in sorted(CONFIGFS_GADGETS.iterdir()):
        if udc := _read(gadget / "UDC"):
            owners[udc] = f"gadget {gadget.name}"
    return owners


def _speed(name: str) -> Speed:
    try:
        return Speed.from_kernel_name(name)
    except GadgetipError:
        return Speed.UNKNOWN


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
