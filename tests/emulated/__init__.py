"""emulated: USB devices as programs, behind a real USB/IP server.

No kernel makes a device whose descriptors lie, whose alternate settings are numbered 0 and 5, or
that answers what nobody asked; somebody may plug one in all the same, or write one. Here devices
are ordinary Python: descriptors in bytes, endpoints with a behaviour, answers to control requests.
The server in front of them speaks the protocol with `gadgetip.wire` and behaves as the kernel's
stub does (drivers/usb/usbip/stub_rx.c), so that whoever imports a device cannot tell.

    with EmulatedServer(make_device("cdc-acm")) as server:
        ...  # server.address, server.journal, server.call(device.endpoints[0x81].push, b"...")

They are no proof for ordinary devices, which the kernel's own gadget functions are: they are what
those functions cannot be. `python -m tests.emulated` exports one for playing; without a name it
lists them. `hostile` has the ones that mean harm.
"""

from tests.emulated.device import STALL, Answer, EmulatedDevice, Function, Later
from tests.emulated.devices import DEVICES, make_device
from tests.emulated.journal import Journal, UrbEntry
from tests.emulated.server import EmulatedServer
from tests.emulated.session import Session

__all__ = [
    "DEVICES",
    "STALL",
    "Answer",
    "EmulatedDevice",
    "EmulatedServer",
    "Function",
    "Journal",
    "Later",
    "Session",
    "UrbEntry",
    "make_device",
]
