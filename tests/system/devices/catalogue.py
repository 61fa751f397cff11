"""Whole devices, ready to be plugged in: `Gadget(catalogue.keyboard_and_mouse(), "dummy_udc.0")`.

Identities are those under which the host's drivers know such devices where it matters: gadget zero
has the one that `usbtest` binds to. All others are inventions below the Linux Foundation's vendor
ID.
"""

from pathlib import Path

from tests.system.devices import hid
from tests.system.devices.gadget import (
    INTERFACE_ASSOCIATION,
    Configuration,
    Description,
    Function,
)

VENDOR = 0x1D6B
GADGET_ZERO = (0x0525, 0xA4A0)

# The two ends of a network function: locally administered, so that host and device keep them.
DEVICE_MAC, HOST_MAC = "02:00:00:00:10:01", "02:00:00:00:10:02"
COMPOSITE_DEVICE_MAC, COMPOSITE_HOST_MAC = "02:00:00:00:10:03", "02:00:00:00:10:04"

SOURCE_SINK = Function("SourceSink")
LOOPBACK = Function("Loopback")
SERIAL = Function("acm")
ECM = Function("ecm", {"dev_addr": DEVICE_MAC, "host_addr": HOST_MAC})
NCM = Function("ncm", {"dev_addr": DEVICE_MAC, "host_addr": HOST_MAC})


def _device(
    *functions: Function,
    product_id: int,
    product: str,
    device_class: tuple[int, int, int] = (0, 0, 0),
    speed: str = "high-speed",
    serial: str | None = "0123456789",
) -> Description:
    return Description(
        (Configuration(functions),),
        VENDOR,
        product_id,
        device_class=device_class,
        product=product,
        serial=serial,
        speed=speed,
    )


def gadget_zero(
    *, pattern: int = 0, loopback: bool = False, speed: str = "high-speed"
) -> Description:
    """Linux's own test device: a bulk source and sink; with `loopback` a second configuration.

    `pattern` 0 sends zeroes, 1 bytes that count modulo 63 from the start of each packet, and then
    the sink halts on others.
    """
    first = Configuration((Function("SourceSink", {"pattern": pattern}),), name="source and sink")
    second = Configuration((LOOPBACK,), value=2, name="loop input to output")
    return Description(
        (first, second) if loopback else (first,),
        *GADGET_ZERO,
        device_class=(0xFF, 0, 0),
        product="Gadget Zero",
        serial="0123456789.0123456789.0123456789",
        speed=speed,
    )


def keyboard_and_mouse(*, speed: str = "high-speed") -> Description:
    """Two HID interfaces, as a wireless receiver has them."""
    return _device(
        hid.keyboard(),
        hid.mouse(),
        product_id=0x0106,
        product="Keyboard and mouse",
        speed=speed,
    )


def vendor_hid(length: int = hid.LARGE_LENGTH) -> Description:
    """64 bytes each way, interrupt IN and OUT, and a report descriptor of `length` bytes."""
    function = hid.hid(hid.large_reports(length), 64, out_endpoint=True)
    return _device(function, product_id=0x0107, product="Vendor HID")


def cdc_acm(*, speed: str = "high-speed") -> Description:
    """A serial port as the communications class defines it."""
    return _device(SERIAL, product_id=0x0108, product="Serial", device_class=(2, 0, 0), speed=speed)


def cdc_ecm() -> Description:
    """A network adapter, one Ethernet frame a transfer."""
    return _device(ECM, product_id=0x0109, product="Network", device_class=(2, 0, 0))


def cdc_ncm() -> Description:
    """A network adapter, many frames a transfer."""
    return _device(NCM, product_id=0x010A, product="Network", device_class=(2, 0, 0))


def midi(*, ports: int = 1) -> Description:
    """A MIDI interface."""
    function = Function("midi", {"id": "benchmidi", "in_ports": ports, "out_ports": ports})
    return _device(function, product_id=0x010B, product="MIDI")


def storage(*stores: Path) -> Function:
    """Mass storage with one LUN for each backing file."""
    attributes: dict[str, str | bytes | int | None] = {}
    for number, store in enumerate(stores):
        attributes[f"lun.{number}"] = None
        attributes[f"lun.{number}/removable"] = 1
        attributes[f"lun.{number}/file"] = str(store)
    return Function("mass_storage", attributes)


def three_luns(disk: Path, read_only: Path, image: Path) -> Description:
    """A disk, one that cannot be written to, and a CD-ROM with its medium in."""
    function = Function(
        "mass_storage",
        {
            "lun.0/removable": 0,
            "lun.0/file": str(disk),
            "lun.1/ro": 1,
            "lun.1/removable": 0,
            "lun.1/file": str(read_only),
            "lun.2/cdrom": 1,
            "lun.2/removable": 1,
            "lun.2/file": str(image),
        },
    )
    return _device(function, product_id=0x010C, product="Three units", serial="CARDREADER01")


def composite(store: Path) -> Description:
    """Serial port, network, disk and keyboard in one: two interface associations."""
    ecm = Function("ecm", {"dev_addr": COMPOSITE_DEVICE_MAC, "host_addr": COMPOSITE_HOST_MAC})
    return _device(
        SERIAL,
        ecm,
        storage(store),
        hid.keyboard(),
        product_id=0x010D,
        product="Composite",
        device_class=INTERFACE_ASSOCIATION,
        serial="COMPOSITE001",
    )


def small_composite(store: Path) -> Description:
    """Disk, keyboard and mouse: a composite that has no class-specific descriptors but HID's."""
    return _device(
        storage(store),
        hid.keyboard(),
        hid.mouse(),
        product_id=0x010E,
        product="Disk with keys",
        serial="COMPOSITE002",
    )


def audio(version: int) -> Description:
    """A sound card of audio class 1 or 2: isochronous endpoints. Only for usbip-vudc."""
    return _device(
        Function(f"uac{version}"),
        product_id=0x0110 + version,
        product=f"Audio {version}",
        device_class=INTERFACE_ASSOCIATION if version == 2 else (0, 0, 0),
    )
