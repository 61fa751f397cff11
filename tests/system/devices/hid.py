"""HID functions: their report descriptors, and the reports of a boot keyboard and mouse.

Report descriptors are HID 1.11's short items. Keyboard and mouse are those of its appendix B, which
a BIOS understands without reading a descriptor: eight bytes (modifiers, reserved, six usages) and
three (buttons, x, y).
"""

from tests.system.devices.gadget import Function, Link

BOOT_INTERFACE, KEYBOARD_PROTOCOL, MOUSE_PROTOCOL = 1, 1, 2

KEYBOARD_REPORTS = bytes.fromhex(
    "05010906a101"  # usage page generic desktop, usage keyboard, collection application
    "050719e029e71500250175019508 8102"  # eight modifiers of one bit
    "95017508 8103"  # a reserved byte
    "95057501050819012905 9102"  # five LEDs, output
    "95017503 9103"  # padding of them
    "95067508150025650507 19002965 8100"  # six usages
    "c0"
)

MOUSE_REPORTS = bytes.fromhex(
    "05010902a1010901a100"  # usage mouse, collection application, usage pointer, physical
    "0509190129031500250195037501 8102"  # three buttons
    "95017505 8103"  # padding
    "0501093009311581257f75089502 8106"  # x and y, relative
    "c0c0"
)

LARGE_LENGTH = 700


def large_reports(length: int = LARGE_LENGTH) -> bytes:
    """A valid report descriptor of this many bytes: 64 vendor bytes each way, and padding.

    The padding is a string of usage items, which add up until a main item takes them.
    """
    begin = bytes.fromhex("0600ff0901a101")  # vendor page, usage 1, collection application
    end = bytes.fromhex(
        "1500 26ff00 7508 9540 0902 8102"  # 64 bytes, input
        "9540 0903 9102"  # 64 bytes, output
        "c0"
    )
    padding = length - len(begin) - len(end)
    if padding < 0:
        raise ValueError(f"{length} bytes hold no report descriptor of this kind")
    usages = bytearray()
    while len(usages) + 3 <= padding and (padding - len(usages)) % 2:
        usages += bytes.fromhex("0a0401")  # a usage of two bytes, once, for odd lengths
    while len(usages) < padding:
        usages += bytes.fromhex("0904")
    return begin + bytes(usages) + end


def hid(
    reports: bytes,
    report_length: int,
    *,
    subclass: int = 0,
    protocol: int = 0,
    out_endpoint: bool = False,
    instance: str = "0",
) -> Function:
    """A HID function; without `out_endpoint` the host's reports come by SET_REPORT."""
    attributes: dict[str, str | bytes | int | Link | None] = {
        "subclass": subclass,
        "protocol": protocol,
        "report_length": report_length,
        "report_desc": reports,
        "no_out_endpoint": 0 if out_endpoint else 1,
    }
    return Function("hid", attributes, instance)


def keyboard(*, out_endpoint: bool = False, instance: str = "0") -> Function:
    """A boot keyboard; its LEDs are set by SET_REPORT, as on nearly every real one."""
    return hid(
        KEYBOARD_REPORTS,
        8,
        subclass=BOOT_INTERFACE,
        protocol=KEYBOARD_PROTOCOL,
        out_endpoint=out_endpoint,
        instance=instance,
    )


def mouse(*, instance: str = "1") -> Function:
    """A boot mouse with three buttons."""
    return hid(
        MOUSE_REPORTS, 3, subclass=BOOT_INTERFACE, protocol=MOUSE_PROTOCOL, instance=instance
    )
