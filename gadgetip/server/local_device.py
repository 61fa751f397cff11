"""A USB device that is plugged into this machine, as data.

Everything that is decided about a device (may it be exported, under which name, to whom) is decided
from this value alone, so that those decisions are tested without a device.
"""

from dataclasses import dataclass

from gadgetip.usb import Speed, class_code
from gadgetip.wire import DeviceRecord, InterfaceRecord

HUB_CLASS = 0x09


@dataclass(frozen=True, slots=True)
class LocalInterface:
    """One interface of the active configuration, in its current alternate setting."""

    bInterfaceNumber: int
    bInterfaceClass: int
    bInterfaceSubClass: int
    bInterfaceProtocol: int
    driver: str | None = None
    """The kernel driver that has it now."""


@dataclass(frozen=True, slots=True)
class LocalDevice:
    """One device below `/sys/bus/usb/devices`, with the fields of its device descriptor.

    `busid` is the kernel's name for the port path ("1-1.4"). The strings are the device's own, None
    where it has none; `vendor_name` and `product_name` come from the hardware database. `driver` is
    the driver of the device as a whole: "usb" (its interfaces belong to this machine's drivers),
    "usbip-host" (exported by the kernel's stub), None. `stub_status` is `usbip_status` of a device
    that usbip-host has: 1 available, 2 in use, 3 error.
    """

    busid: str
    busnum: int
    devnum: int
    speed: Speed
    idVendor: int
    idProduct: int
    bcdDevice: int
    bDeviceClass: int
    bDeviceSubClass: int
    bDeviceProtocol: int
    bConfigurationValue: int
    bNumConfigurations: int
    interfaces: tuple[LocalInterface, ...] = ()
    serial: str | None = None
    manufacturer: str | None = None
    product: str | None = None
    vendor_name: str | None = None
    product_name: str | None = None
    driver: str | None = None
    stub_status: int | None = None
    path: str = ""
    """Below /sys, resolved: "/sys/devices/pci.../usb1/1-1"."""

    @property
    def id(self) -> str:
        """VID:PID, "0781:5581"."""
        return f"{self.idVendor:04x}:{self.idProduct:04x}"

    @property
    def is_hub(self) -> bool:
        """Whether other devices are plugged into it; a root hub too."""
        return self.bDeviceClass == HUB_CLASS

    @property
    def is_imported(self) -> bool:
        """Whether it is a remote device that this machine has attached through vhci_hcd."""
        return "/vhci_hcd." in self.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The device's class and those of its interfaces, "08/06/50", each once."""
        codes = [class_code(self.bDeviceClass, self.bDeviceSubClass, self.bDeviceProtocol)]
        codes += [
            class_code(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
            for i in self.interfaces
        ]
        return tuple(dict.fromkeys(codes))

    @property
    def names(self) -> tuple[str, ...]:
        """What `name=` may match: the product's name alone, and behind the manufacturer's."""
        if not self.product:
            return ()
        return tuple(
            dict.fromkeys((self.product, f"{self.manufacturer or ''} {self.product}".strip()))
        )

    def record(self, published_as: str | None = None) -> DeviceRecord:
        """The entry in USB/IP's lists and import replies, under its own bus id or another name."""
        return DeviceRecord(
            path=self.path,
            busid=published_as or self.busid,
            busnum=self.busnum,
            devnum=self.devnum,
            speed=int(self.speed),
            idVendor=self.idVendor,
            idProduct=self.idProduct,
            bcdDevice=self.bcdDevice,
            bDeviceClass=self.bDeviceClass,
            bDeviceSubClass=self.bDeviceSubClass,
            bDeviceProtocol=self.bDeviceProtocol,
            bConfigurationValue=self.bConfigurationValue,
            bNumConfigurations=self.bNumConfigurations,
            bNumInterfaces=len(self.interfaces),
            interfaces=tuple(
                InterfaceRecord(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
                for i in self.interfaces
            ),
        )
