"""What a device is for: class, subclass and protocol codes, and words for them.

The three bytes stand in the device descriptor, in each interface descriptor and in each interface
association. The list of classes is usb.org's ("Defined Class Codes"); what a subclass and a
protocol mean is defined by each class's own specification, and only those that a person meets in
practice have words here. A code without words is no error: it is shown as it is.
"""

from enum import IntEnum


class DeviceClass(IntEnum):
    """bDeviceClass, bInterfaceClass and bFunctionClass."""

    PER_INTERFACE = 0x00
    AUDIO = 0x01
    COMMUNICATIONS = 0x02
    HID = 0x03
    PHYSICAL = 0x05
    IMAGE = 0x06
    PRINTER = 0x07
    MASS_STORAGE = 0x08
    HUB = 0x09
    CDC_DATA = 0x0A
    SMART_CARD = 0x0B
    CONTENT_SECURITY = 0x0D
    VIDEO = 0x0E
    PERSONAL_HEALTHCARE = 0x0F
    AUDIO_VIDEO = 0x10
    BILLBOARD = 0x11
    TYPE_C_BRIDGE = 0x12
    BULK_DISPLAY = 0x13
    MCTP = 0x14
    I3C = 0x3C
    DIAGNOSTIC = 0xDC
    WIRELESS_CONTROLLER = 0xE0
    MISCELLANEOUS = 0xEF
    APPLICATION_SPECIFIC = 0xFE
    VENDOR_SPECIFIC = 0xFF

    @property
    def label(self) -> str:
        """The class in words, "mass storage"."""
        return _LABELS[self]


_LABELS = {
    DeviceClass.PER_INTERFACE: "defined per interface",
    DeviceClass.AUDIO: "audio",
    DeviceClass.COMMUNICATIONS: "communications",
    DeviceClass.HID: "human interface",
    DeviceClass.PHYSICAL: "physical interface",
    DeviceClass.IMAGE: "still image",
    DeviceClass.PRINTER: "printer",
    DeviceClass.MASS_STORAGE: "mass storage",
    DeviceClass.HUB: "hub",
    DeviceClass.CDC_DATA: "communications data",
    DeviceClass.SMART_CARD: "smart card",
    DeviceClass.CONTENT_SECURITY: "content security",
    DeviceClass.VIDEO: "video",
    DeviceClass.PERSONAL_HEALTHCARE: "personal healthcare",
    DeviceClass.AUDIO_VIDEO: "audio/video",
    DeviceClass.BILLBOARD: "billboard",
    DeviceClass.TYPE_C_BRIDGE: "Type-C bridge",
    DeviceClass.BULK_DISPLAY: "bulk display",
    DeviceClass.MCTP: "MCTP",
    DeviceClass.I3C: "I3C",
    DeviceClass.DIAGNOSTIC: "diagnostic",
    DeviceClass.WIRELESS_CONTROLLER: "wireless controller",
    DeviceClass.MISCELLANEOUS: "miscellaneous",
    DeviceClass.APPLICATION_SPECIFIC: "application specific",
    DeviceClass.VENDOR_SPECIFIC: "vendor specific",
}

# What follows the class's label. None as the protocol is the line for a subclass whose protocol
# has no line of its own.
_DETAILS: dict[tuple[int, int, int | None], str] = {
    (0x01, 0x01, None): "control",
    (0x01, 0x02, None): "streaming",
    (0x01, 0x03, None): "MIDI streaming",
    (0x02, 0x02, None): "serial (ACM)",
    (0x02, 0x02, 0x01): "serial (ACM), AT commands",
    (0x02, 0x02, 0xFF): "serial (ACM), vendor's protocol (often RNDIS)",
    (0x02, 0x06, None): "Ethernet (ECM)",
    (0x02, 0x0A, None): "device management (WMC)",
    (0x02, 0x0C, None): "Ethernet (EEM)",
    (0x02, 0x0D, None): "Ethernet (NCM)",
    (0x02, 0x0E, None): "mobile broadband (MBIM)",
    (0x03, 0x01, None): "boot",
    (0x03, 0x01, 0x01): "boot, keyboard",
    (0x03, 0x01, 0x02): "boot, mouse",
    (0x06, 0x01, 0x01): "PTP/MTP",
    (0x07, 0x01, 0x01): "unidirectional",
    (0x07, 0x01, 0x02): "bidirectional",
    (0x07, 0x01, 0x03): "IEEE 1284.4",
    (0x07, 0x01, 0x04): "IPP over USB",
    (0x08, 0x01, 0x50): "RBC, bulk-only",
    (0x08, 0x02, 0x50): "MMC, bulk-only",
    (0x08, 0x04, 0x00): "UFI, CBI with interrupt (floppy)",
    (0x08, 0x06, 0x50): "SCSI, bulk-only",
    (0x08, 0x06, 0x62): "SCSI, UAS",
    (0x09, 0x00, 0x00): "full-speed",
    (0x09, 0x00, 0x01): "high-speed, one transaction translator",
    (0x09, 0x00, 0x02): "high-speed, a transaction translator per port",
    (0x09, 0x00, 0x03): "super-speed",
    (0x0A, 0x00, 0x01): "NCM",
    (0x0A, 0x00, 0x02): "MBIM",
    (0x0B, 0x00, 0x00): "CCID",
    (0x0E, 0x01, None): "control",
    (0x0E, 0x02, None): "streaming",
    (0x0E, 0x03, None): "interface collection",
    (0xDC, 0x01, 0x01): "USB2 compliance",
    (0xE0, 0x01, 0x01): "Bluetooth",
    (0xE0, 0x01, 0x03): "RNDIS",
    (0xE0, 0x01, 0x04): "Bluetooth AMP",
    (0xE0, 0x02, 0x01): "wire adapter, control and data",
    (0xEF, 0x02, 0x01): "interface association",
    (0xEF, 0x04, 0x01): "RNDIS over Ethernet",
    (0xEF, 0x05, None): "machine vision (USB3 Vision)",
    (0xFE, 0x01, 0x01): "firmware upgrade (DFU), run time",
    (0xFE, 0x01, 0x02): "firmware upgrade (DFU), upgrade mode",
    (0xFE, 0x02, None): "IrDA bridge",
    (0xFE, 0x03, 0x00): "test and measurement (USBTMC)",
    (0xFE, 0x03, 0x01): "test and measurement (USBTMC, USB488)",
    (0xFF, 0x42, 0x01): "Android Debug Bridge",
    (0xFF, 0x42, 0x03): "Android fastboot",
    (0xFF, 0x5D, 0x01): "Xbox 360 controller",
    (0xFF, 0x47, 0xD0): "Xbox One controller",
}


def class_code(device_class: int, subclass: int, protocol: int) -> str:
    """The three codes as tools print them: "08/06/50"."""
    return f"{device_class:02x}/{subclass:02x}/{protocol:02x}"


def class_name(device_class: int, subclass: int, protocol: int) -> str:
    """What the three codes mean, "mass storage, SCSI, bulk-only"; as much of it as is known."""
    try:
        label = DeviceClass(device_class).label
    except ValueError:
        return f"unknown class {device_class:02x}"
    exact = _DETAILS.get((device_class, subclass, protocol))
    detail = exact or _DETAILS.get((device_class, subclass, None))
    return f"{label}, {detail}" if detail else label
