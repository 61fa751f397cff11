"""Which shaper an endpoint gets, and how wide.

`bot` needs one bulk endpoint each way and a class that speaks the bulk-only transport, `uas` four
pipes that say which is which. `short` is chosen where packets have another size at the host than
at the device and the class ends every transfer on a short packet. Anything else is carried packet
by packet, because a wrong guess hangs a device. A profile may know better. The class that counts
is always the device's own, also where the host sees another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gadgetip.gadget.class_overrides import OwnClasses
from gadgetip.gadget.speed_conversion import endpoint_at, urb_interval
from gadgetip.profiles import EndpointWish, Profile
from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import (
    AlternateSetting,
    DeviceClass,
    Direction,
    Endpoint,
    Speed,
    TransferType,
    speaks_bulk_only,
)

USB_ATTACHED_SCSI = 0x62
PIPE_USAGE, PIPE_USAGE_LENGTH = 0x24, 4
UAS_PIPES = {1, 2, 3, 4}
"""Command, status, data-in, data-out (USB Attached SCSI, table 5)."""

BOT_WINDOW_URBS = 8
BOT_TRANSFER_BYTES = {Direction.IN: 64 * 1024, Direction.OUT: 128 * 1024}
"""From the host: all that Linux sends with one command. To the host: smaller, so that the first
piece is on its way while the next arrives."""

PACKET_WINDOW_URBS = 128
PACKET_TRANSFER_BYTES = 16 * 1024
SHORT_WINDOW_URBS = 4
SHORT_TRANSFER_BYTES = 16 * 1024
INTERRUPT_WINDOW_URBS = 2
UAS_WINDOW_URBS = 32

SHORT_CLASSES = {(0x06, 0x01, 0x01), (0xFE, 0x03, 0x00), (0xFE, 0x03, 0x01)}
"""Still image (PTP, MTP) and test and measurement: their transfers end short by specification."""

MICROSECONDS_PER_FRAME, MICROSECONDS_PER_MICROFRAME = 1000, 125


@dataclass(frozen=True, slots=True)
class RouteMaker:
    """Makes the routes of a device's endpoints; calls give those of some settings at one speed."""

    device_speed: Speed
    profile: Profile
    own_classes: OwnClasses

    def __call__(
        self,
        settings: Sequence[AlternateSetting],
        addresses: Mapping[int, int] | None,
        host_speed: Speed,
    ) -> tuple[EndpointRoute, ...]:
        """Routes in descriptor order; `addresses` maps the device's to the host's, if they differ.

        Isochronous endpoints have none: no pump carries them.
        """
        return tuple(
            self._route(setting, endpoint, addresses or {}, host_speed)
            for setting in settings
            for endpoint in setting.endpoints
            if endpoint.descriptor.transfer_type in {TransferType.BULK, TransferType.INTERRUPT}
        )

    def _route(
        self,
        setting: AlternateSetting,
        endpoint: Endpoint,
        addresses: Mapping[int, int],
        host_speed: Speed,
    ) -> EndpointRoute:
        descriptor = endpoint.descriptor
        plain = EndpointRoute(
            address=endpoint.address,
            host_address=addresses.get(endpoint.address, endpoint.address),
            interface=setting.interface,
            alternate=setting.alternate,
            transfer_type=descriptor.transfer_type,
            device_max_packet=descriptor.max_packet,
            host_max_packet=endpoint_at(endpoint, self.device_speed, host_speed).max_packet,
            shaping=Shaping.PACKET,
            window_urbs=PACKET_WINDOW_URBS,
            transfer_bytes=PACKET_TRANSFER_BYTES,
            interval=urb_interval(descriptor, self.device_speed),
            pipe=_pipe(endpoint),
        )
        wish = self.profile.endpoint(endpoint.address)
        shaping = _shaping(plain, self._as_the_device_has_it(setting), wish)
        return self._wished(_sized(plain, shaping), wish)

    def _as_the_device_has_it(self, setting: AlternateSetting) -> AlternateSetting:
        wish = self.profile.interface(setting.interface)
        if wish is None or wish.class_triple is None:
            return setting
        # One that is frozen is the host's setting 0, whichever it is at the device.
        frozen = wish.alternate_setting
        alternate = setting.alternate if frozen is None else frozen
        own = self.own_classes[setting.interface, alternate]
        device_class, subclass, protocol = own
        descriptor = setting.descriptor.replace(
            bInterfaceClass=device_class, bInterfaceSubClass=subclass, bInterfaceProtocol=protocol
        )
        return replace(setting, descriptor=descriptor)

    def _wished(self, route: EndpointRoute, wish: EndpointWish | None) -> EndpointRoute:
        if wish is None:
            return route
        transfer = wish.transfer_bytes or route.transfer_bytes
        interval = route.interval
        if wish.interval_us is not None and route.transfer_type is TransferType.INTERRUPT:
            interval = max(1, wish.interval_us // _interval_unit_us(self.device_speed))
        return replace(
            route,
            window_urbs=wish.window_urbs or route.window_urbs,
            transfer_bytes=max(
                route.device_max_packet, transfer - transfer % max(route.device_max_packet, 1)
            ),
            interval=interval,
            read_ahead=route.read_ahead if wish.read_ahead is None else wish.read_ahead,
        )


def wish_like(route: EndpointRoute, device_speed: Speed) -> EndpointWish:
    """The wish that a route fulfils: a profile that has it changes nothing."""
    is_interrupt = route.transfer_type is TransferType.INTERRUPT
    return EndpointWish(
        route.address,
        str(route.shaping),
        route.window_urbs,
        route.transfer_bytes,
        route.interval * _interval_unit_us(device_speed) if is_interrupt else None,
        route.read_ahead if route.direction is Direction.IN else None,
    )


def speaks_uas(setting: AlternateSetting) -> bool:
    """Whether a setting is USB Attached SCSI with its four pipes named."""
    descriptor = setting.descriptor
    return (
        descriptor.bInterfaceClass == DeviceClass.MASS_STORAGE
        and descriptor.bInterfaceProtocol == USB_ATTACHED_SCSI
        and sorted(
            _pipe(endpoint)
            for endpoint in setting.endpoints
            if endpoint.descriptor.transfer_type is TransferType.BULK
        )
        == sorted(UAS_PIPES)
    )


def _shaping(route: EndpointRoute, setting: AlternateSetting, wish: EndpointWish | None) -> Shaping:
    if wish is not None and wish.shaper != "auto":
        return Shaping(wish.shaper)
    if route.transfer_type is TransferType.INTERRUPT:
        return Shaping.INTERRUPT
    if speaks_bulk_only(setting):
        return Shaping.BOT
    if speaks_uas(setting):
        return Shaping.UAS
    resized = route.device_max_packet != route.host_max_packet
    if resized and setting.descriptor.class_triple in SHORT_CLASSES:
        return Shaping.SHORT
    return Shaping.PACKET


def _interval_unit_us(device_speed: Speed) -> int:
    """Microseconds: what a URB's interval counts."""
    return MICROSECONDS_PER_MICROFRAME if device_speed >= Speed.HIGH else MICROSECONDS_PER_FRAME


def _sized(route: EndpointRoute, shaping: Shaping) -> EndpointRoute:
    sizes = {
        Shaping.PACKET: (PACKET_WINDOW_URBS, PACKET_TRANSFER_BYTES),
        Shaping.SHORT: (SHORT_WINDOW_URBS, SHORT_TRANSFER_BYTES),
        Shaping.BOT: (BOT_WINDOW_URBS, BOT_TRANSFER_BYTES[route.direction]),
        Shaping.UAS: (UAS_WINDOW_URBS, PACKET_TRANSFER_BYTES),
        Shaping.INTERRUPT: (INTERRUPT_WINDOW_URBS, route.device_max_packet),
    }
    window, transfer = sizes[shaping]
    return replace(route, shaping=shaping, window_urbs=window, transfer_bytes=transfer)


def _pipe(endpoint: Endpoint) -> int:
    """The pipe that a pipe usage descriptor names (USB Attached SCSI, 5.3.3.5); 0 without one."""
    for extra in endpoint.extra:
        if extra.bDescriptorType == PIPE_USAGE and extra.bLength == PIPE_USAGE_LENGTH:
            return extra.data[2]
    return 0
