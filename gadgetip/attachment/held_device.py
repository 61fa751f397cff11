"""What is known of a device that may have to be held, and what holding it takes beside the pump.

The host must not notice that its device was away. So what it was told and what it asked for is
noted while all is well (`note`); at the loss it is told that nothing is pressed any more
(`link_lost`), for whoever let go of a key meanwhile could not say so; and when the device is back,
reset, it is asked for all that the host had asked for (`restore`).
"""

import logging
from collections.abc import Callable

from gadgetip.attachment.recorded_requests import RecordedRequests
from gadgetip.gadget import Holdable, HoldPlan, PlannedConfiguration
from gadgetip.pump import ControlTimeoutError, ShaperPump, StallError, UrbStream
from gadgetip.usb import (
    DescriptorType,
    Direction,
    InputReports,
    Recipient,
    RequestType,
    SetupPacket,
    StandardRequest,
    TransferType,
)

log = logging.getLogger(__name__)

_SET_PROTOCOL = 0x0B
_BOOT = 0


class HeldInput:
    """One HID interface: its reports as the host knows them, and the last of each."""

    def __init__(self) -> None:
        self._reports = InputReports(b"")
        self._is_boot = False
        self._last: dict[int, bytes] = {}

    def configured(self) -> None:
        """The device begins anew, in the report protocol (HID 1.11, 7.2.6)."""
        self._is_boot = False
        self._last.clear()

    def described(self, descriptor: bytes) -> None:
        """The host has read the report descriptor."""
        self._reports = InputReports(descriptor)

    def protocol_set(self, protocol: int) -> None:
        """The host has chosen the boot protocol, 0, or the report protocol, 1 (HID 1.11, 7.2.6)."""
        self._is_boot = protocol == _BOOT
        self._last.clear()

    def passed(self, report: bytes) -> None:
        """The device has sent a report."""
        if report:
            self._last[0 if self._is_boot else self._reports.id_of(report)] = report

    def neutral(self) -> list[bytes]:
        """What to tell the host so that nothing stays pressed: a report for each that is not so."""
        told = []
        for report_id, report in self._last.items():
            neutral = bytes(len(report)) if self._is_boot else self._reports.neutral(report)
            if neutral != report:
                told.append(neutral)
                self._last[report_id] = neutral
        return told


class HeldDevice:
    """One device, from the host's first request on."""

    def __init__(
        self,
        plan: HoldPlan,
        urbs: UrbStream,
        pump: ShaperPump,
        *,
        control_limit_s: float,
        noticed: Callable[[str], None],
    ) -> None:
        self._urbs = urbs
        self._pump = pump
        self._control_limit_s = control_limit_s
        self._noticed = noticed
        self._requests = RecordedRequests(plan.interfaces, plan.maker)
        kinds = plan.interfaces.items()
        self._inputs = {number: HeldInput() for number, k in kinds if k is Holdable.INPUT}
        self._addresses: dict[int, int] = {}

    def configured(self, planned: PlannedConfiguration) -> None:
        """The host has chosen a configuration, which is about to start."""
        self._requests.forget()
        for held in self._inputs.values():
            held.configured()
        self._addresses = {
            route.address: route.interface
            for routes in planned.routes.values()
            for route in routes
            if route.interface in self._inputs
            and route.direction is Direction.IN
            and route.transfer_type is TransferType.INTERRUPT
        }
        for address, number in self._addresses.items():
            self._pump.observe(address, self._inputs[number].passed)

    def note(self, setup: SetupPacket, data: bytes, answer: bytes) -> None:
        """The device has carried out a request of the host's."""
        self._requests.note(setup, data)
        held = self._inputs.get(setup.wIndex & 0xFF)
        if held is None or setup.recipient is not Recipient.INTERFACE:
            return
        if setup.type is RequestType.CLASS and setup.bRequest == _SET_PROTOCOL:
            held.protocol_set(setup.wValue)
        elif (
            setup.type is RequestType.STANDARD
            and setup.bRequest == StandardRequest.GET_DESCRIPTOR
            and setup.wValue >> 8 == DescriptorType.HID_REPORT
        ):
            held.described(answer)

    def may_repeat(self, setup: SetupPacket) -> bool:
        """Whether a request may be made again of which it is not known whether it was carried out.

        Questions, what the standard defines, and settings.
        """
        return (
            setup.direction is Direction.IN
            or setup.type is RequestType.STANDARD
            or self._requests.is_setting(setup)
        )

    def link_lost(self) -> None:
        """Let go of every key towards the host."""
        for address, number in self._addresses.items():
            for report in self._inputs[number].neutral():
                self._pump.insert(address, report)

    async def restore(self) -> None:
        """Set the device up as the host had; it is configured. Raises `LinkLostError`."""
        for setup, data in self._requests.all():
            try:
                await self._urbs.control(setup, data, limit_s=self._control_limit_s)
            except (StallError, ControlTimeoutError) as error:
                self._noticed(f"after the link was lost the device did not take {setup}: {error}")
