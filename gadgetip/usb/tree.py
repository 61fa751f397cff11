"""The configuration tree: what a configuration is made of, with every byte in its place.

On the wire a configuration is a flat run of descriptors (USB 2.0 §9.4.3), and only the order
tells what belongs to what. This is the grammar that `parse_configuration` reads:

    configuration = header leading* setting*
    setting       = [association leading*] interface extra* endpoint*
    endpoint      = endpoint-descriptor [companion] extra*

`leading` and `extra` are descriptors of any other type: class-specific ones, a vendor's, types
that were not known when this was written. They belong to the interface or endpoint that they
follow, which is the specification's rule (§9.5) and where drivers look for them.

An interface association is the exception: it describes what *follows* (it precedes the interfaces
that it joins). Between two settings, an association and whatever stands behind it up to the next
interface descriptor are therefore the `leading` of that next setting, so that dropping or moving
a setting takes its association along. Before the first interface they are in the configuration's
`leading`; behind the last they introduce nothing and are `extra`. A companion is an endpoint's
`companion` only directly behind it; anywhere else it is `extra`, as Linux reads it.

Each descriptor thus has exactly one place and the tree is read in wire order, which is all that
`build_configuration(parse_configuration(data)) == data` needs. Trees are immutable. An edit is
`dataclasses.replace` on the way down and `with_settings` or `retotal` at the top, which correct
the lengths and counts that the edit made untrue; nothing else ever changes them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from gadgetip.errors import LocalProtocolError
from gadgetip.usb.descriptors import (
    HEADER_SIZE,
    ConfigurationDescriptor,
    Descriptor,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    descriptor_name,
)
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.rules import check
from gadgetip.usb.setup import DescriptorType

_T = TypeVar("_T", bound=Descriptor)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with what belongs to it."""

    descriptor: EndpointDescriptor
    companion: EndpointCompanionDescriptor | None = None
    extra: tuple[Descriptor, ...] = ()

    @property
    def address(self) -> int:
        """Number and direction in one byte, bEndpointAddress."""
        return self.descriptor.bEndpointAddress

    def descriptors(self) -> Iterator[Descriptor]:
        """All of its descriptors in wire order."""
        yield self.descriptor
        if self.companion is not None:
            yield self.companion
        yield from self.extra


@dataclass(frozen=True, slots=True)
class AlternateSetting:
    """One alternate setting of an interface, with its endpoints."""

    descriptor: InterfaceDescriptor
    extra: tuple[Descriptor, ...] = ()  # behind the interface, before the first endpoint
    endpoints: tuple[Endpoint, ...] = ()
    leading: tuple[Descriptor, ...] = ()  # before the interface: an association, see above

    @property
    def interface(self) -> int:
        """The interface that this is a setting of, bInterfaceNumber."""
        return self.descriptor.bInterfaceNumber

    @property
    def alternate(self) -> int:
        """The number of the setting, bAlternateSetting."""
        return self.descriptor.bAlternateSetting

    def descriptors(self) -> Iterator[Descriptor]:
        """All of its descriptors in wire order."""
        yield from self.leading
        yield self.descriptor
        yield from self.extra
        for endpoint in self.endpoints:
            yield from endpoint.descriptors()

    def find(self, descriptor_type: int) -> tuple[Descriptor, ...]:
        """Its descriptors of a type that has no place of its own, for class-specific ones.

        Those behind its endpoints are searched too: some devices put there what belongs to the
        interface (old HID devices their HID descriptor), and Linux finds it there.
        """
        extras = [*self.extra, *(extra for each in self.endpoints for extra in each.extra)]
        return tuple(each for each in extras if each.bDescriptorType == descriptor_type)

    def endpoint(self, address: int) -> Endpoint:
        """The endpoint with this address; asking for one that is not there is our bug."""
        for endpoint in self.endpoints:
            if endpoint.address == address:
                return endpoint
        raise LocalProtocolError(
            f"interface {self.interface} setting {self.alternate} has no endpoint 0x{address:02x}"
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration of a device."""

    descriptor: ConfigurationDescriptor
    leading: tuple[Descriptor, ...] = ()  # before the first interface: OTG, an association
    settings: tuple[AlternateSetting, ...] = ()  # in wire order

    @property
    def value(self) -> int:
        """What SET_CONFIGURATION calls it, bConfigurationValue."""
        return self.descriptor.bConfigurationValue

    @property
    def interfaces(self) -> dict[int, tuple[AlternateSetting, ...]]:
        """The alternate settings by interface number, both in wire order."""
        grouped: dict[int, list[AlternateSetting]] = {}
        for setting in self.settings:
            grouped.setdefault(setting.interface, []).append(setting)
        return {number: tuple(settings) for number, settings in grouped.items()}

    @property
    def associations(self) -> tuple[InterfaceAssociationDescriptor, ...]:
        """The interface associations, wherever they stand."""
        return tuple(
            each
            for each in self._in_wire_order()
            if isinstance(each, InterfaceAssociationDescriptor)
        )

    def setting(self, interface: int, alternate: int = 0) -> AlternateSetting:
        """One alternate setting; asking for one that is not there is our bug."""
        for setting in self.settings:
            if (setting.interface, setting.alternate) == (interface, alternate):
                return setting
        raise LocalProtocolError(f"there is no interface {interface} setting {alternate}")

    def interface_of(self, address: int) -> int:
        """The interface that an endpoint address belongs to, in whichever setting."""
        return self._first_with(address).interface

    def endpoint(self, address: int) -> Endpoint:
        """The endpoint with this address, from the first setting in wire order that has it.

        Alternate settings may describe one address differently: where that matters, ask the
        setting.
        """
        return self._first_with(address).endpoint(address)

    def descriptors(self) -> Iterator[tuple[int, Descriptor]]:
        """Every descriptor with its offset, in wire order, the header first."""
        offset = 0
        for descriptor in self._in_wire_order():
            yield offset, descriptor
            offset += len(descriptor.data)

    def retotal(self) -> "Configuration":
        """The same tree with wTotalLength, bNumInterfaces and bNumEndpoints made true."""
        settings = tuple(
            replace(each, descriptor=each.descriptor.replace(bNumEndpoints=len(each.endpoints)))
            for each in self.settings
        )
        descriptor = self.descriptor.replace(
            wTotalLength=sum(len(each.data) for each in self._in_wire_order()),
            bNumInterfaces=len({each.interface for each in settings}),
        )
        return replace(self, descriptor=descriptor, settings=settings)

    def with_settings(self, settings: Iterable[AlternateSetting]) -> "Configuration":
        """The configuration with other settings, lengths and counts corrected."""
        return replace(self, settings=tuple(settings)).retotal()

    def _first_with(self, address: int) -> AlternateSetting:
        for setting in self.settings:
            if any(endpoint.address == address for endpoint in setting.endpoints):
                return setting
        raise LocalProtocolError(f"configuration {self.value} has no endpoint 0x{address:02x}")

    def _in_wire_order(self) -> Iterator[Descriptor]:
        yield self.descriptor
        yield from self.leading
        for setting in self.settings:
            yield from setting.descriptors()


def parse_configuration(data: bytes) -> Configuration:
    """Read one whole configuration, as GET_DESCRIPTOR gives it; `DescriptorError` if malformed."""
    header = parse_header(data)
    if header.wTotalLength != len(data):
        problem = f"there are {len(data)} bytes"
        raise _error("configuration", 0, "wTotalLength", header.wTotalLength, problem)
    located = list(_scan(data, header.bLength))
    check(header, located)
    leading, groups = _split([each for _, each in located], InterfaceDescriptor)
    settings = []
    before: list[Descriptor] = []
    for position, (interface, rest) in enumerate(groups, 1):
        own, handed_on = (rest, []) if position == len(groups) else _hand_on(rest)
        settings.append(_setting(interface, own, before))
        before = handed_on
    return Configuration(header, tuple(leading), tuple(settings))


def build_configuration(configuration: Configuration) -> bytes:
    """The bytes of a configuration, byte for byte as the tree says; nothing is recomputed.

    What we build must be what we would accept: a tree whose lengths or counts do not agree (an
    edit without `retotal`) is a `LocalProtocolError`.
    """
    data = b"".join(descriptor.data for _, descriptor in configuration.descriptors())
    try:
        parse_configuration(data)
    except DescriptorError as error:
        raise LocalProtocolError(f"a configuration that no device may have: {error}") from error
    return data


def parse_header(data: bytes) -> ConfigurationDescriptor:
    """The configuration descriptor at the beginning of `data`, the rest being left unread.

    For the first 9 bytes, which are asked for alone to learn wTotalLength.
    """
    if not data:
        raise _error("configuration", 0, "length", 0, "there are no bytes at all")
    header = ConfigurationDescriptor.unpack(data[: max(data[0], HEADER_SIZE)])
    if header.wTotalLength < header.bLength:
        problem = "is shorter than the configuration descriptor itself"
        raise _error("configuration", 0, "wTotalLength", header.wTotalLength, problem)
    return header


# The types that have a place in the tree. Any other is a plain `Descriptor`, device and
# configuration descriptors too: real devices repeat them inside of a configuration, Linux skips
# them there, and they do no harm.
_CLASSES: dict[int, type[Descriptor]] = {
    DescriptorType.INTERFACE: InterfaceDescriptor,
    DescriptorType.ENDPOINT: EndpointDescriptor,
    DescriptorType.ENDPOINT_COMPANION: EndpointCompanionDescriptor,
    DescriptorType.INTERFACE_ASSOCIATION: InterfaceAssociationDescriptor,
}


def _scan(data: bytes, at: int) -> Iterator[tuple[int, Descriptor]]:
    """Cut the bytes from `at` on into descriptors."""
    while at < len(data):
        length, left = data[at], len(data) - at
        kind = data[at + 1] if left > 1 else None
        if length < HEADER_SIZE:
            problem = f"a descriptor has at least {HEADER_SIZE} bytes"
            raise _error(descriptor_name(kind), at, "bLength", length, problem)
        if kind is None or length > left:
            problem = f"goes past the end of the configuration, which has {left} more"
            raise _error(descriptor_name(kind), at, "bLength", length, problem)
        yield at, _CLASSES.get(kind, Descriptor).unpack(data[at : at + length], at=at)
        at += length


def _setting(
    interface: InterfaceDescriptor, rest: list[Descriptor], leading: list[Descriptor]
) -> AlternateSetting:
    extra, groups = _split(rest, EndpointDescriptor)
    endpoints = tuple(_endpoint(descriptor, behind) for descriptor, behind in groups)
    return AlternateSetting(interface, tuple(extra), endpoints, tuple(leading))


def _endpoint(descriptor: EndpointDescriptor, behind: list[Descriptor]) -> Endpoint:
    if behind and isinstance(behind[0], EndpointCompanionDescriptor):
        return Endpoint(descriptor, behind[0], tuple(behind[1:]))
    return Endpoint(descriptor, None, tuple(behind))


def _hand_on(rest: list[Descriptor]) -> tuple[list[Descriptor], list[Descriptor]]:
    """Cut what follows an interface into its own and what introduces the next interface."""
    cut = len(rest)
    for position in reversed(range(len(rest))):
        if isinstance(rest[position], EndpointDescriptor):
            break
        if isinstance(rest[position], InterfaceAssociationDescriptor):
            cut = position
    return rest[:cut], rest[cut:]


def _split(
    descriptors: Iterable[Descriptor], kind: type[_T]
) -> tuple[list[Descriptor], list[tuple[_T, list[Descriptor]]]]:
    """What stands before the first descriptor of a kind, and each such one with what follows."""
    before: list[Descriptor] = []
    groups: list[tuple[_T, list[Descriptor]]] = []
    for descriptor in descriptors:
        if isinstance(descriptor, kind):
            groups.append((descriptor, []))
        else:
            (groups[-1][1] if groups else before).append(descriptor)
    return before, groups


def _error(descriptor: str, at: int, field: str, value: int, problem: str) -> DescriptorError:
    return DescriptorError(Fault(descriptor, at, field, value, problem))
