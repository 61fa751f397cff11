"""The stub in user space: a device's URBs through libusb, without the kernel's `usbip-host`.

It needs nothing but the device's node below /dev/bus/usb, so it runs in containers and on kernels
without usbip-host. To a client it behaves as the kernel's stub does (drivers/usb/usbip/stub_*.c),
with three deliberate differences: a URB that cannot be submitted is answered with the errno where
the kernel drops the connection; an unlink loses no data that had arrived; and when a client
disconnects, what was on its way to the device is given a moment to arrive before the reset.

    stub      which devices are taken, by whom they are used; asyncio
    carrier   one client's session: a thread that waits for socket and device alike
    session   messages in, transfers out, answers back; knows neither socket nor libusb
    urb       one transfer between the two, and what a `UsbDevice` can do
    requests  the control requests that must not simply be passed on
    endpoints which endpoints a device has in its present settings
    device    a `UsbDevice` on libusb
    library   libusb itself: contexts, transfers, errors

A session has a thread and a libusb context of its own. In a thread the blocking calls of libusb (a
change of configuration, a reset) delay nobody but their own client; a poll of our own costs a
fraction of a turn of the event loop; and a context of its own means that no session ever wakes for
another one's device.
"""

from gadgetip.server.userspace.stub import UserspaceStub

__all__ = ["UserspaceStub"]
