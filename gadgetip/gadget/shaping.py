"""Which shaper an endpoint gets, and how wide.

`bot` needs one bulk endpoint each way and a class that speaks the bulk-only transport; anything
else is carried packet by packet, because a wrong guess hangs a device.
"""

from gadgetip.gadget.speed_conversion import endpoint_at, urb_interval
from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import AlternateSetting, DeviceClass, Direction, Endpoint, Speed, TransferType

BULK_ONLY_TRANSPORT = 0x50
BOT_WINDOW_URBS = 8
BOT_TRANSFER_BYTES = {Direction.IN: 64 * 1024, Direction.OUT: 128 * 1024}
"""From the host: all that Linux sends with one command. To the host: smaller, so that the first
piece is on its way while the next arrives."""

PACKET_WINDOW_URBS = 64
PACKET_TRANSFER_BYTES = 16 * 1024
INTERRUPT_WINDOW_URBS = 2


def routes_of(
    setting: AlternateSetting, addresses: dict[int, int], device_speed: Speed, host_speed: Speed
) -> list[EndpointRoute]:
    """The routes of one interface's endpoints; `addresses` maps the device's to the host's."""
    bulk_only = speaks_bulk_only(setting)
    return [
        _route(setting.interface, endpoint, addresses, bulk_only, device_speed, host_speed)
        for endpoint in setting.endpoints
    ]


def speaks_bulk_only(setting: AlternateSetting) -> bool:
    """Whether an interface is bulk-only mass storage, whatever its command set."""
    descriptor = setting.descriptor
    directions = sorted(
        e.descriptor.direction
        for e in setting.endpoints
        if e.descriptor.transfer_type is TransferType.BULK
    )
    return (
        descriptor.bInterfaceClass == DeviceClass.MASS_STORAGE
        and descriptor.bInterfaceProtocol == BULK_ONLY_TRANSPORT
        and directions == [Direction.OUT, Direction.IN]
    )


def _route(
    interface: int,
    endpoint: Endpoint,
    addresses: dict[int, int],
    bulk_only: bool,
    device_speed: Speed,
    host_speed: Speed,
) -> EndpointRoute:
    descriptor = endpoint.descriptor
    if descriptor.transfer_type is TransferType.INTERRUPT:
        shaping, window, transfer = Shaping.INTERRUPT, INTERRUPT_WINDOW_URBS, descriptor.max_packet
    elif bulk_only:
        shaping, window = Shaping.BOT, BOT_WINDOW_URBS
        transfer = BOT_TRANSFER_BYTES[descriptor.direction]
    else:
        shaping, window, transfer = Shaping.PACKET, PACKET_WINDOW_URBS, PACKET_TRANSFER_BYTES
    return EndpointRoute(
        address=endpoint.address,
        host_address=addresses[endpoint.address],
        interface=interface,
        transfer_type=descriptor.transfer_type,
        device_max_packet=descriptor.max_packet,
        host_max_packet=endpoint_at(endpoint, device_speed, host_speed).max_packet,
        shaping=shaping,
        window_urbs=window,
        transfer_bytes=transfer,
        interval=urb_interval(descriptor, device_speed),
    )
