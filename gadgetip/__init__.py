"""gadgetip: a remote USB device, reborn on a real cable.

A board that runs gadgetip imports a device over USB/IP and rebuilds it on its own USB device
controller, so that whatever the cable ends in sees a real device and needs no software. The
rooms of the house, and which may import which, are in ``docs/architecture.md``.
"""

__version__ = "0.1.0"
