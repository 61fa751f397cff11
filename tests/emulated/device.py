"""A device: descriptors in bytes, states, and an answer to every control request.

Nothing here parses with `gadgetip.usb`, for the point of many devices is that their bytes cannot
be parsed: a configuration is walked only to learn which endpoints a setting has, and the walk
stops without a word where it makes no sense.

Standard requests are answered as USB 2.0 §9.4 says; `class_request` and `vendor_request` are for
subclasses, and a `Function` answers for its own interfaces. An answer is the data (empty where
there is none), a negative errno as the server's kernel would report it, `Later`, or None: never.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gadgetip.usb import (
    DescriptorType,
    Feature,
    Recipient,
    RequestType,
    SetupPacket,
    Speed,
    StandardRequest,
    build_langids,
    build_string_descriptor,
)
from tests.emulated.endpoints import DeviceEndpoint, InQueue, Sink
from tests.emulated.urb import Urb

if TYPE_CHECKING:
    import asyncio

STALL = -errno.EPIPE
US_ENGLISH = 0x0409


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that takes its time."""

    seconds: float
    answer: bytes | int


Answer: TypeAlias = bytes | int | Later | None
Settings: TypeAlias = dict[tuple[int, int], dict[int, int]]
"""wMaxPacketSize (bits 10..0) by endpoint address, by interface and alternate setting."""


class Function:
    """Interfaces that belong together, for composites; subclasses say what they are."""

    device: "EmulatedDevice"
    interfaces: tuple[int, ...] = ()

    def descriptors(self) -> bytes:
        """Its part of a configuration."""
        raise NotImplementedError

    def endpoints(self) -> dict[int, DeviceEndpoint]:
        """How its endpoints behave."""
        return {}

    def request(self, setup: SetupPacket, data: bytes) -> Answer:
        """Answer a request to one of its interfaces: a class's, or GET_DESCRIPTOR."""
        return STALL


class EmulatedDevice:
    """One device; the server gives it its `loop`, and its `busid` unless it is said here."""

    loop: "asyncio.AbstractEventLoop"

    def __init__(
        self,
        *,
        descriptor: bytes,
        configurations: Sequence[bytes],
        strings: Mapping[int, str] | None = None,
        languages: Sequence[int] = (US_ENGLISH,),
        speed: Speed = Speed.HIGH,
        bos: bytes = b"",
        functions: Sequence[Function] = (),
        endpoints: Mapping[int, DeviceEndpoint] | None = None,
        busid: str = "",
    ) -> None:
        self.descriptor = descriptor
        self.configurations = tuple(configurations)
        self.strings = dict(strings or {})
        self.languages = tuple(languages)
        self.speed = speed
        self.bos = bos
        self.functions = {number: each for each in functions for number in each.interfaces}
        self.busid = busid
        self.configuration = 0
        self.alternates: dict[int, int] = {}
        self.resets = 0
        """How often a client asked for a port reset."""
        self.endpoints: dict[int, DeviceEndpoint] = dict(endpoints or {})
        for function in functions:
            function.device = self
            self.endpoints.update(function.endpoints())
        for data in self.configurations:
            for addresses in walk_settings(data).values():
                for address in addresses:
                    self.endpoints.setdefault(address, InQueue() if address & 0x80 else Sink())
        for address, endpoint in self.endpoints.items():
            endpoint.device, endpoint.address = self, address

    # --- URBs ---------------------------------------------------------------------------------

    def submitted(self, urb: Urb) -> bool:
        """Take a URB; False for an endpoint that the present setting does not have."""
        address = urb.entry.address
        if address & 0x0F == 0:
            setup = urb.entry.setup
            assert setup is not None
            self._finish_control(urb, self.control(setup, urb.entry.data))
            return True
        endpoint = self.endpoints.get(address)
        if endpoint is None or not endpoint.enabled:
            return False
        endpoint.submitted(urb)
        return True

    def _finish_control(self, urb: Urb, answer: Answer) -> None:
        if isinstance(answer, Later):
            self.loop.call_later(answer.seconds, self._finish_control, urb, answer.answer)
        elif isinstance(answer, int):
            urb.answer(answer)
        elif answer is not None:
            if urb.is_in:
                urb.received += answer[: urb.length]
            urb.answer()

    # --- control requests ---------------------------------------------------------------------

    def control(self, setup: SetupPacket, data: bytes) -> Answer:
        """Answer a control request; what the stub does by itself is done here as well."""
        if setup == SetupPacket.port_reset() or (
            (setup.bmRequestType, setup.bRequest, setup.wValue) == (0x23, 3, 4)
        ):
            self.resets += 1
            self.reset()
            return b""
        if setup.type is RequestType.STANDARD:
            return self.standard_request(setup, data)
        if setup.type is RequestType.CLASS:
            function = self._function(setup)
            return function.request(setup, data) if function else self.class_request(setup, data)
        return self.vendor_request(setup, data)

    def class_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """A class's request that is for no function."""
        return STALL

    def vendor_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """A vendor's request."""
        return STALL

    def standard_request(self, setup: SetupPacket, data: bytes) -> Answer:
        """USB 2.0 §9.4; subclasses override what they get wrong."""
        request, value, index = setup.bRequest, setup.wValue, setup.wIndex
        if request == StandardRequest.GET_DESCRIPTOR:
            if setup.recipient is Recipient.INTERFACE:
                function = self._function(setup)
                return function.request(setup, data) if function else STALL
            return self.get_descriptor(value >> 8, value & 0xFF, index)
        if request == StandardRequest.SET_CONFIGURATION:
            return self.set_configuration(value & 0xFF)
        if request == StandardRequest.SET_INTERFACE:
            return self.set_interface(index & 0xFF, value)
        if request == StandardRequest.GET_CONFIGURATION:
            return bytes([self.configuration])
        if request == StandardRequest.GET_INTERFACE:
            alternate = self.alternates.get(index & 0xFF)
            return STALL if alternate is None else bytes([alternate])
        if request == StandardRequest.GET_STATUS:
            return self._status(setup)
        if request in {StandardRequest.SET_FEATURE, StandardRequest.CLEAR_FEATURE}:
            return self._feature(setup)
        return STALL

    def get_descriptor(self, kind: int, index: int, langid: int) -> Answer:
        """The whole descriptor; it is cut to wLength afterwards."""
        if kind == DescriptorType.DEVICE:
            return self.descriptor
        if kind == DescriptorType.CONFIGURATION and index < len(self.configurations):
            return self.configurations[index]
        if kind == DescriptorType.BOS and self.bos:
            return self.bos
        if kind == DescriptorType.STRING:
            return self.get_string(index, langid)
        return STALL

    def get_string(self, index: int, langid: int) -> Answer:
        """The string descriptor of any index."""
        if index == 0:
            return build_langids(self.languages) if self.languages else STALL
        text = self.strings.get(index)
        if text is None or langid not in self.languages:
            return STALL
        return build_string_descriptor(text)

    def set_configuration(self, value: int) -> Answer:
        """Disable everything, then enable the default settings of a configuration."""
        settings = self._settings(value)
        if value and settings is None:
            return STALL
        self._disable(self.endpoints)
        self.configuration, self.alternates = value, {}
        for interface, alternate in settings or {}:
            if alternate == 0:
                self._choose(interface, 0)
        return b""

    def set_interface(self, interface: int, alternate: int) -> Answer:
        """Change a setting; the interface's endpoints start anew even if it is the same."""
        settings = self._settings(self.configuration) or {}
        if (interface, alternate) not in settings:
            return STALL
        self._disable({a for (i, _), each in settings.items() if i == interface for a in each})
        self._choose(interface, alternate)
        return b""

    def reset(self) -> None:
        """A port reset, behind which the server's kernel restores configuration and settings."""
        configuration, alternates = self.configuration, self.alternates
        self.set_configuration(0)
        if configuration:
            self.set_configuration(configuration)
            for interface, alternate in alternates.items():
                if alternate:
                    self.set_interface(interface, alternate)

    def _status(self, setup: SetupPacket) -> Answer:
        if setup.recipient is Recipient.ENDPOINT and setup.wIndex & 0x0F:
            endpoint = self.endpoints.get(setup.wIndex & 0xFF)
            return bytes([endpoint.halted, 0]) if endpoint and endpoint.enabled else STALL
        return bytes(2)

    def _feature(self, setup: SetupPacket) -> Answer:
        sets = setup.bRequest == StandardRequest.SET_FEATURE
        if setup.recipient is not Recipient.ENDPOINT:
            return b"" if setup.wValue == Feature.DEVICE_REMOTE_WAKEUP else STALL
        endpoint = self.endpoints.get(setup.wIndex & 0xFF)
        if setup.wValue != Feature.ENDPOINT_HALT or endpoint is None or not endpoint.enabled:
            return STALL
        if sets:
            endpoint.halt()
        else:
            endpoint.clear_halt()
        return b""

    def _function(self, setup: SetupPacket) -> Function | None:
        if setup.recipient is Recipient.INTERFACE:
            return self.functions.get(setup.wIndex & 0xFF)
        if setup.recipient is Recipient.ENDPOINT:
            for (interface, _), addresses in (self._settings(self.configuration) or {}).items():
                if setup.wIndex & 0xFF in addresses:
                    return self.functions.get(interface)
        return None

    def _settings(self, value: int) -> Settings | None:
        for data in self.configurations:
            if len(data) > 5 and data[5] == value:
                return walk_settings(data)
        return None

    def _choose(self, interface: int, alternate: int) -> None:
        self.alternates[interface] = alternate
        addresses = (self._settings(self.configuration) or {})[interface, alternate]
        for address, max_packet in addresses.items():
            self.endpoints[address].enable(max_packet)

    def _disable(self, addresses: Mapping[int, DeviceEndpoint] | set[int]) -> None:
        for address in addresses:
            self.endpoints[address].disable()


def walk_settings(configuration: bytes) -> Settings:
    """Which endpoints each setting has, as far as the bytes can be understood."""
    settings: Settings = {}
    current: dict[int, int] = {}
    at = 0
    while at + 2 <= len(configuration) and (length := configuration[at]) >= 2:
        each = configuration[at : at + length]
        at += length
        if each[1] == DescriptorType.INTERFACE and len(each) >= 4:
            current = settings.setdefault((each[2], each[3]), {})
        elif each[1] == DescriptorType.ENDPOINT and len(each) >= 6 and each[2] & 0x0F:
            current[each[2]] = int.from_bytes(each[4:6], "little") & 0x07FF or 1
    return settings
