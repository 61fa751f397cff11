"""The device qualifier that the host will read, which the kernel makes up by itself.

A host that runs a device at one speed asks by it what it would be at the other (USB 2.0, 9.6.2).
The composite core always answers on a controller that knows two speeds, and counts the
configurations that it has for the other one (drivers/usb/gadget/composite.c, `device_qual`,
`count_configs`); GadgetFS answers where it has been given a high-speed configuration
(legacy/inode.c, `make_qualifier`).
"""

from gadgetip.gadget.capabilities import Form
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.usb import DescriptorType, DeviceTree, Speed

_LENGTH = 10
_BCD_USB = 0x0200
_BCD_USB_OF_SUPERSPEED_CONTROLLERS = 0x0210


def note_qualifier(
    tree: DeviceTree,
    form: Form,
    speed: Speed,
    configurations: int,
    model: UdcModel,
    deviations: list[Deviation],
) -> None:
    """List the difference, where the device's own qualifier is known."""
    if tree.qualifier is None or speed >= Speed.SUPER or tree.speed >= Speed.SUPER:
        return
    shown = _shown(tree, form, speed, configurations, model)
    if shown == tree.qualifier:
        return
    if not shown:
        reason = "there is none at this speed"
    elif not tree.qualifier:
        reason = "the kernel makes one, the device has none"
    else:
        reason = f"the kernel's own, {shown.hex(' ')} instead of {tree.qualifier.hex(' ')}"
    deviations.append(Deviation(Severity.INFO, "device qualifier", reason))


def _shown(
    tree: DeviceTree, form: Form, speed: Speed, configurations: int, model: UdcModel
) -> bytes:
    if model.max_speed < Speed.HIGH or (form is Form.RAW and speed < Speed.HIGH):
        return b""
    bcd = _BCD_USB
    if form is Form.FUNCTION and model.max_speed >= Speed.SUPER:
        bcd = _BCD_USB_OF_SUPERSPEED_CONTROLLERS
    device = tree.device
    return bytes(
        (
            _LENGTH,
            DescriptorType.DEVICE_QUALIFIER,
            bcd & 0xFF,
            bcd >> 8,
            device.bDeviceClass,
            device.bDeviceSubClass,
            device.bDeviceProtocol,
            model.max_packet0,
            configurations if speed >= Speed.HIGH else 0,
            0,
        )
    )
