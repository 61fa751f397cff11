"""Keeping the device in the state that the host believes it is in.

The host talks to the replica. What it does there that changes a device (choosing a configuration
or a setting, resetting) has to happen to the device as well, in this order: what is in flight is
cancelled and awaited, the device is told and has answered, the endpoints of the new state start.
Backends differ in what they let user space see of it, so the entry points are two: `configure`
after the fact, where the kernel has answered the host already (FunctionFS), and `request`, where
the host waits for the answer (GadgetFS).

The first enumeration finds the device configured, for that was needed to build the replica; it is
left alone. Every later one may come in the middle of something, so the device is configured anew,
and reset before that if the host reset the replica.
"""

import logging
from collections.abc import Callable

from gadgetip.attachment.controller_state import ControllerState
from gadgetip.attachment.held_device import HeldDevice
from gadgetip.errors import GadgetipError
from gadgetip.gadget import Plan, PlannedConfiguration, Replica
from gadgetip.gadget.udc import current_speed
from gadgetip.pump import (
    ControlTimeoutError,
    DeviceChangedError,
    EndpointRoute,
    ShaperPump,
    StallError,
    UrbStream,
)
from gadgetip.usb import (
    US_ENGLISH,
    DescriptorType,
    Direction,
    Recipient,
    RequestType,
    SetupPacket,
    Speed,
    StandardRequest,
    build_langids,
    build_string_descriptor,
)

log = logging.getLogger(__name__)

FENCE_LIMIT_S = 2.0


class DeviceState:
    """Brings the device along; all of it runs on the pump's loop, one call at a time."""

    def __init__(
        self,
        plan: Plan,
        replica: Replica,
        urbs: UrbStream,
        pump: ShaperPump,
        controller: ControllerState,
        *,
        said: Callable[[str], None],
        noticed: Callable[[str], None],
        configured: Callable[[Speed | None], None] = lambda _: None,
        held: HeldDevice | None = None,
        is_over: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._plan = plan
        self._replica = replica
        self._urbs = urbs
        self._pump = pump
        self._controller = controller
        self._said = said
        self._noticed = noticed
        self._configured = configured
        self._held = held
        self._is_over = is_over
        """Whether the host has ended a configuration: then its endpoints are not to be used."""
        self._enumerated = False
        self._at_device = plan.configurations[0].value
        self._active: PlannedConfiguration | None = None
        self._settings: dict[int, int] = {}

    @property
    def is_configured(self) -> bool:
        """Whether the host has chosen a configuration."""
        return self._active is not None

    @property
    def configuration(self) -> int:
        """What the host has chosen, 0 for none."""
        return self._active.value if self._active else 0

    async def configure(self, value: int) -> None:
        """The host has chosen configuration `value`, 0 for none."""
        planned = self._plan.configuration(value)
        if self.is_configured:
            await self._pump.fence(FENCE_LIMIT_S)
        await self._pump.stop()
        self._active = None
        self._settings.clear()
        if planned is None:
            self._configured(None)
            await self._deconfigure()
            return
        await self._bring_device_to(planned)
        self._replica.endpoints.choose(value)
        speed = self._speed_of(planned)
        self._said(f"the host configured the replica at {speed.mbps_text}")
        self._active = planned
        if self._held is not None:
            self._held.configured(planned)
        self._configured(speed)
        if not self._is_over(value):
            await self._pump.start(self._current_routes(planned, speed))

    async def restore(self) -> None:
        """Bring a device that was imported anew, and so reset, to where the host left it.

        Raises `DeviceChangedError` where it does not go there, `LinkLostError`.
        """
        value = self._active.value if self._active else self._at_device
        try:
            await self._urbs.control(
                SetupPacket.set_configuration(value), limit_s=self._plan.control_limit_s
            )
        except (StallError, ControlTimeoutError) as error:
            raise DeviceChangedError(f"it does not take its configuration: {error}") from None
        self._at_device = value
        if self._active is None:
            return
        for interface in self._active.interfaces:
            chosen = self._settings.get(interface, 0)
            if alternate := self._active.frozen.get(interface, chosen):
                await self._restore_setting(interface, alternate)
        if self._held is not None:
            await self._held.restore()

    async def _restore_setting(self, interface: int, alternate: int) -> None:
        # Its endpoints run on: they must not be used in another setting.
        try:
            await self._urbs.control(
                SetupPacket.set_interface(interface, alternate),
                limit_s=self._plan.control_limit_s,
            )
        except (StallError, ControlTimeoutError) as error:
            raise DeviceChangedError(
                f"it does not take setting {alternate} of interface {interface}: {error}"
            ) from None

    async def settings_chosen(self) -> None:
        """FunctionFS: the host chose the default setting of an interface; which one is not told."""
        planned = self._active
        if planned is None:
            return
        await self._pump.fence(FENCE_LIMIT_S)
        await self._pump.stop()
        for interface in planned.interfaces:
            await self._choose_at_device(interface, planned.frozen.get(interface, 0))
        if not self._is_over(planned.value):
            await self._pump.start(self._current_routes(planned, self._speed_of(planned)))

    async def disabled(self) -> None:
        """The host has reset, deconfigured or unplugged the replica: cancel everything."""
        self._active = None
        self._configured(None)
        self._settings.clear()
        await self._pump.stop()

    async def deconfigured(self) -> None:
        """The host has chosen no configuration, and has not reset."""
        if not self.is_configured:
            await self._deconfigure()

    async def request(self, setup: SetupPacket, data: bytes) -> bytes:
        """Carry a control request; those that change the state are carried out here.

        Raises `GadgetipError` where the host is to see a stall.
        """
        if setup.type is RequestType.STANDARD:
            if setup.bRequest == StandardRequest.SET_CONFIGURATION and not setup.recipient:
                await self.configure(setup.wValue & 0xFF)
                return b""
            if setup.recipient is Recipient.INTERFACE:
                if setup.bRequest == StandardRequest.SET_INTERFACE:
                    await self._set_interface(setup.wIndex, setup.wValue)
                    return b""
                if setup.bRequest == StandardRequest.GET_INTERFACE and self._is_frozen(setup):
                    return b"\0"
            own = self._own_string(setup)
            if own is not None:
                return own
        answer = await self._pump.control(setup, data)
        if self._held is not None:
            self._held.note(setup, data, answer)
        return answer

    async def _set_interface(self, interface: int, alternate: int) -> None:
        planned = self._active
        if planned is None:
            raise GadgetipError("the host has not configured the replica")
        if (interface, alternate) in planned.refused_settings:
            raise GadgetipError(f"setting {alternate} of interface {interface} is not carried")
        at_device = alternate
        if interface in planned.frozen:
            if alternate:
                raise GadgetipError(f"interface {interface} is frozen")
            at_device = planned.frozen[interface]
        await self._pump.fence(FENCE_LIMIT_S)
        await self._pump.stop([interface])
        try:
            await self._urbs.control(
                SetupPacket.set_interface(interface, at_device),
                limit_s=self._plan.control_limit_s,
            )
        except GadgetipError:
            await self._pump.start(self._routes(planned, interface))
            raise
        before = self._settings.get(interface, 0)
        self._settings[interface] = alternate
        try:
            await self._pump.start(self._routes(planned, interface))
        except GadgetipError:
            # The host sees a stall and stays where it was, and so does the device.
            self._settings[interface] = before
            await self._choose_at_device(interface, planned.frozen.get(interface, before))
            await self._pump.start(self._routes(planned, interface))
            raise

    def _routes(self, planned: PlannedConfiguration, interface: int) -> tuple[EndpointRoute, ...]:
        """The routes of one interface in its current setting."""
        routes = self._current_routes(planned, self._speed_of(planned))
        return tuple(route for route in routes if route.interface == interface)

    def _current_routes(
        self, planned: PlannedConfiguration, speed: Speed
    ) -> tuple[EndpointRoute, ...]:
        """The routes of all interfaces, each in the setting that the host has chosen."""
        return tuple(
            route
            for route in planned.routes[speed]
            if route.alternate == self._settings.get(route.interface, 0)
        )

    def _is_frozen(self, setup: SetupPacket) -> bool:
        return self._active is not None and setup.wIndex & 0xFF in self._active.frozen

    def _own_string(self, setup: SetupPacket) -> bytes | None:
        """A string that is the profile's and not the device's."""
        own = self._plan.own_strings
        if (
            not own
            or setup.direction is Direction.OUT
            or setup.recipient is not Recipient.DEVICE
            or setup.bRequest != StandardRequest.GET_DESCRIPTOR
            or setup.wValue >> 8 != DescriptorType.STRING
        ):
            return None
        index = setup.wValue & 0xFF
        if index == 0:
            return build_langids(tuple(dict.fromkeys(langid for _, langid in own)))
        text = own.get((index, setup.wIndex), own.get((index, US_ENGLISH)))
        return None if text is None else build_string_descriptor(text)

    async def _bring_device_to(self, planned: PlannedConfiguration) -> None:
        """The device as after the host's SET_CONFIGURATION."""
        reset = self._controller.reset_seen
        self._controller.forget_reset()
        if self._enumerated and reset and self._plan.forward_reset:
            await self._tell_device(SetupPacket.port_reset())
        if self._enumerated or self._at_device != planned.value:
            await self._tell_device(SetupPacket.set_configuration(planned.value))
        self._enumerated = True
        self._at_device = planned.value
        for interface, alternate in planned.frozen.items():
            if alternate:
                await self._choose_at_device(interface, alternate)

    async def _deconfigure(self) -> None:
        if self._at_device:
            await self._tell_device(SetupPacket.set_configuration(0))
            self._at_device = 0

    async def _choose_at_device(self, interface: int, alternate: int) -> None:
        try:
            await self._urbs.control(
                SetupPacket.set_interface(interface, alternate),
                limit_s=self._plan.control_limit_s,
            )
        except (StallError, ControlTimeoutError) as error:
            # One that has a single setting may refuse to be asked for it (USB 2.0, 9.4.10).
            log.info("interface %d, setting %d: %s", interface, alternate, error)

    async def _tell_device(self, setup: SetupPacket) -> None:
        try:
            await self._urbs.control(setup, limit_s=self._plan.control_limit_s)
        except (StallError, ControlTimeoutError) as error:
            self._noticed(f"the device did not take {setup}: {error}")

    def _speed_of(self, planned: PlannedConfiguration) -> Speed:
        """The speed of the link to the host, which may be less than the plan's."""
        speed = current_speed(self._replica.udc)
        if speed not in planned.routes:
            return self._plan.speed
        if speed < self._plan.speed:
            self._warn_of_packet_sizes(planned, speed)
        return speed

    def _warn_of_packet_sizes(self, planned: PlannedConfiguration, speed: Speed) -> None:
        opaque = [
            f"0x{route.address:02x}"
            for route in planned.routes[speed]
            if route.device_max_packet != route.host_max_packet
            and route.shaping not in {"bot", "short"}
        ]
        if opaque:
            self._noticed(
                f"at {speed.mbps_text} the packets of {', '.join(opaque)} have another size than "
                "the device's: transfers on them may hang"
            )
