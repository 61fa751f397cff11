"""The form in which people write profiles: TOML, read strictly.

`docs/profiles.md` is the reference of the keys. An unknown key, a value of the wrong type and a
value that no USB device can have are faults, each with its line; a profile that is half understood
would be worse than none.

What is checked here holds for every device. Whether the device has such an interface, or the
controller such a speed, is the plan's to say.
"""

import re

from gadgetip.matching import read_matches
from gadgetip.profiles.profile import (
    AUTO,
    BACKENDS,
    GENERIC,
    ON_LOSS,
    SHAPERS,
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    LinkWishes,
    Profile,
)
from gadgetip.strict_toml import FileKind, StrictTable, decode_document, parse_document
from gadgetip.usb import Speed

SCHEMA = "profile/1"

# No UDC signals low speed; the other words are those that configfs's max_speed takes.
SPEEDS = {
    speed.kernel_name: speed for speed in (Speed.FULL, Speed.HIGH, Speed.SUPER, Speed.SUPER_PLUS)
}

MAX_SUMMARY_CHARACTERS = 200
MAX_STRING_BYTES = 126  # include/uapi/linux/usb/ch9.h, USB_MAX_STRING_LEN
MAX_POWER_MA = 500  # USB 2.0, 7.2.1
MAX_WINDOW_URBS = 1024
MAX_TRANSFER_BYTES = 1024 * 1024
# A microframe, and the longest interval that a high-speed endpoint can ask for: 2^15 of them
# (USB 2.0, table 9-13).
MIN_INTERVAL_US, MAX_INTERVAL_US = 125, 2**15 * 125
MAX_HOLD_S = 24 * 60 * 60
# Below, a server that is down is flooded; above, nobody waits for the device any more.
MIN_RETRY_S, MAX_RETRY_S = 0.1, 60 * 60
MAX_UDC_CHARACTERS = 64
MAX_CONTROL_TIMEOUT_MS = 10 * 60 * 1000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CLASS = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{2})", re.IGNORECASE)


def is_profile_name(text: str) -> bool:
    """Whether a profile may have this name: it has to do as a file's name and at a shell."""
    return bool(_NAME.fullmatch(text)) and text != AUTO


def is_endpoint_address(address: int) -> bool:
    """Whether an endpoint that carries data may have this bEndpointAddress."""
    return 0 <= address <= 0xFF and not address & 0x70 and bool(address & 0x0F)


def decode_profile(data: bytes, source: str) -> Profile:
    """Read the bytes of a profile's file; see `parse_profile`."""
    return decode_document(data, source, PROFILE_KIND)


def parse_profile(text: str, source: str) -> Profile:
    """Read a profile; `source` is what messages call the file.

    Raises `FileError` with every fault (20 at most), and nothing else whatever the text is.
    """
    return parse_document(text, source, PROFILE_KIND)


def _read_profile(table: StrictTable) -> Profile:
    table.need("name", "a profile has one")
    profile = Profile(
        name=table.text("name", GENERIC.name, _name_problem),
        summary=table.text("summary", "", _summary_problem),
        matches=read_matches(table),
        gadget=_read_gadget(table.table("gadget")),
        interfaces=_read_interfaces(table.tables("interface")),
        endpoints=_read_endpoints(table.tables("endpoint")),
        link=_read_link(table.table("link")),
    )
    table.close()
    return profile


def _read_gadget(table: StrictTable) -> GadgetWishes:
    default = GENERIC.gadget
    backend = table.one_of("backend", BACKENDS, default.backend)
    udc = table.text("udc", AUTO, _udc_problem)
    speed = table.one_of("max_speed", tuple(SPEEDS), None)
    wishes = GadgetWishes(
        backend=backend,
        udc=None if udc == AUTO else udc,
        max_speed=SPEEDS[speed] if speed else None,
        forward_reset=table.flag("forward_reset", default.forward_reset),
        identity=_read_identity(table.table("identity")),
    )
    table.close()
    return wishes


def _read_identity(table: StrictTable) -> IdentityWishes:
    wishes = IdentityWishes(
        manufacturer=table.text("manufacturer", None, _string_problem),
        product=table.text("product", None, _string_problem),
        serialnumber=table.text("serialnumber", None, _string_problem),
        idVendor=table.whole("idVendor", 0, 0xFFFF, None, hexadecimal=True),
        idProduct=table.whole("idProduct", 0, 0xFFFF, None, hexadecimal=True),
        bcdDevice=table.whole("bcdDevice", 0, 0x9999, None, hexadecimal=True),
        max_power_ma=table.whole("max_power_ma", 0, MAX_POWER_MA, None),
    )
    if wishes.bcdDevice is not None and not f"{wishes.bcdDevice:x}".isdecimal():
        problem = f"bcdDevice is 0x{wishes.bcdDevice:04x}: its digits have to be 0 to 9"
        table.fault("bcdDevice", problem)
    table.close()
    return wishes


def _read_interfaces(tables: list[StrictTable]) -> tuple[InterfaceWish, ...]:
    wishes: dict[int, InterfaceWish] = {}
    for table in tables:
        table.need("number", "write the interface's bInterfaceNumber")
        number = table.whole("number", 0, 0xFF, None)
        drop = table.flag("drop", False)
        setting = table.whole("alternate_setting", 0, 0xFF, None)
        triple = _class_triple(table.text("class", None, _class_problem))
        for key in ("alternate_setting", "class"):
            if drop and table.has(key):
                table.fault(key, f"{key} cannot be had with drop = true")
        if number in wishes:
            table.fault("number", f"number is {number}: an earlier [[interface]] has it too")
        elif number is not None:
            wishes[number] = InterfaceWish(number, drop, setting, triple)
        table.close()
    return tuple(wishes.values())


def _read_endpoints(tables: list[StrictTable]) -> tuple[EndpointWish, ...]:
    wishes: dict[int, EndpointWish] = {}
    for table in tables:
        table.need("address", "write the endpoint's bEndpointAddress")
        address = table.whole("address", 0x01, 0x8F, None, hexadecimal=True)
        if address is not None and not is_endpoint_address(address):
            limits = "0x01 to 0x0f (OUT) or 0x81 to 0x8f (IN)"
            table.fault("address", f"address is 0x{address:02x}: it has to be {limits}")
            address = None
        default = EndpointWish(address or 0)
        wish = EndpointWish(
            address=default.address,
            shaper=table.one_of("shaper", SHAPERS, default.shaper),
            window_urbs=table.whole("window_urbs", 1, MAX_WINDOW_URBS, None),
            transfer_bytes=table.whole("transfer_bytes", 1, MAX_TRANSFER_BYTES, None),
            interval_us=table.whole("interval_us", MIN_INTERVAL_US, MAX_INTERVAL_US, None),
            read_ahead=table.flag("read_ahead", None),
        )
        if address in wishes:
            problem = f"address is 0x{address:02x}: an earlier [[endpoint]] has it too"
            table.fault("address", problem)
        elif address is not None:
            wishes[address] = wish
        if wish.read_ahead is not None and address is not None and address < 0x80:
            table.fault("read_ahead", "read_ahead is for IN endpoints, 0x81 to 0x8f")
        table.close()
    return tuple(wishes.values())


def _read_link(table: StrictTable) -> LinkWishes:
    default = GENERIC.link
    wishes = LinkWishes(
        on_loss=table.one_of("on_loss", ON_LOSS, default.on_loss),
        hold_s=table.number("hold_s", 0, MAX_HOLD_S, default.hold_s),
        retry_min_s=table.number("retry_min_s", MIN_RETRY_S, MAX_RETRY_S, default.retry_min_s),
        retry_max_s=table.number("retry_max_s", MIN_RETRY_S, MAX_RETRY_S, default.retry_max_s),
        control_timeout_ms=table.whole(
            "control_timeout_ms", 1, MAX_CONTROL_TIMEOUT_MS, default.control_timeout_ms
        ),
    )
    if wishes.on_loss == "hold" and not wishes.hold_s:
        table.fault("on_loss", 'on_loss is "hold": say for how many seconds with hold_s')
    low, high = wishes.retry_min_s, wishes.retry_max_s
    if low is not None and high is not None and low > high:
        table.fault("retry_min_s", f"retry_min_s is {low:g}: retry_max_s is less, {high:g}")
    table.close()
    return wishes


def _name_problem(text: str) -> str | None:
    if text == AUTO:
        return "this word means the automatic choice"
    if not is_profile_name(text):
        return "a name has 1 to 64 letters, digits, - and _, and begins with a letter or digit"
    return None


def _summary_problem(text: str) -> str | None:
    if len(text) > MAX_SUMMARY_CHARACTERS or not text.isprintable():
        return f"it has to be one line of at most {MAX_SUMMARY_CHARACTERS} characters"
    return None


def _udc_problem(text: str) -> str | None:
    # It is a file's name below /sys/class/udc.
    if text in {"", ".", ".."} or "/" in text or len(text) > MAX_UDC_CHARACTERS:
        return 'write a name that `gadgetip udc` lists, or "auto"'
    return None if text.isprintable() else "a controller's name is printable"


def _class_problem(text: str) -> str | None:
    if _CLASS.fullmatch(text):
        return None
    return 'write CLASS/SUBCLASS/PROTOCOL, two hexadecimal digits each: "ff/00/00"'


def _class_triple(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    device_class, subclass, protocol = (int(part, 16) for part in text.split("/"))
    return device_class, subclass, protocol


def _string_problem(text: str) -> str | None:
    # The text is asked first: half a surrogate pair is not printable, and has no UTF-8.
    if not text or not text.isprintable() or len(text.encode()) > MAX_STRING_BYTES:
        return f"it has to be 1 to {MAX_STRING_BYTES} bytes of printable text"
    return None


PROFILE_KIND = FileKind(SCHEMA, "a profile", _read_profile)
"""Profiles, among the kinds of files."""
