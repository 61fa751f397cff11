"""Arbitrary well-formed configurations, as trees; their bytes come from joining them."""

from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    ConfigurationDescriptor,
    Descriptor,
    DescriptorType,
    DeviceDescriptor,
    DeviceTree,
    Endpoint,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    TransferType,
)

# Large trees take a while to draw, more so on a busy machine: that is no finding.
unhurried = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_PLACED = {
    DescriptorType.INTERFACE,
    DescriptorType.ENDPOINT,
    DescriptorType.ENDPOINT_COMPANION,
    DescriptorType.INTERFACE_ASSOCIATION,
}

_T = TypeVar("_T", bound=Descriptor)
_bytes = st.integers(0, 0xFF)


def _typed(cls: type[_T]) -> st.SearchStrategy[_T]:
    """Descriptors of a class with any values, sometimes longer than the standard's."""

    def make(body: bytes, rest: bytes) -> _T:
        assert cls.TYPE is not None
        return cls(bytes((2 + len(body) + len(rest), cls.TYPE)) + body + rest)

    body = st.binary(min_size=cls.SIZE - 2, max_size=cls.SIZE - 2)
    return st.builds(make, body, st.one_of(st.just(b""), st.binary(max_size=4)))


_types = _bytes.filter(lambda kind: kind not in _PLACED)
_bodies = st.one_of(st.binary(max_size=12), st.binary(min_size=250, max_size=253))
unplaced = st.builds(
    lambda kind, body: Descriptor(bytes((2 + len(body), kind)) + body), _types, _bodies
)
companions = _typed(EndpointCompanionDescriptor)
associations = _typed(InterfaceAssociationDescriptor)
_headers = _typed(ConfigurationDescriptor)
_interfaces = _typed(InterfaceDescriptor)
_endpoint_descriptors = _typed(EndpointDescriptor)
others = st.lists(unplaced, max_size=3).map(tuple)


@st.composite
def _endpoints(draw: st.DrawFn, address: int) -> Endpoint:
    descriptor = draw(_endpoint_descriptors).replace(bEndpointAddress=address)
    if descriptor.max_packet == 0:
        descriptor = descriptor.replace(wMaxPacketSize=512)
    companion = draw(st.none() | companions)
    return Endpoint(descriptor, companion, draw(others))


@st.composite
def _settings(
    draw: st.DrawFn, number: int, alternate: int, addresses: list[int]
) -> AlternateSetting:
    descriptor = draw(_interfaces)
    descriptor = descriptor.replace(bInterfaceNumber=number, bAlternateSetting=alternate)
    chosen = draw(st.lists(st.sampled_from(addresses), unique=True)) if addresses else []
    endpoints = tuple(draw(_endpoints(address)) for address in chosen)
    if endpoints and alternate == 0 and draw(st.booleans()):
        # The one packet size of 0 that the specification wants.
        silent = endpoints[0].descriptor.replace(
            bmAttributes=TransferType.ISOCHRONOUS, wMaxPacketSize=0
        )
        endpoints = (Endpoint(silent, None, draw(others)), *endpoints[1:])
    # In front of an endpoint an association introduces nothing, and a companion has no endpoint.
    odd = st.lists(st.one_of(unplaced, companions, associations), max_size=2).map(tuple)
    return AlternateSetting(descriptor, draw(odd if endpoints else others), endpoints)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    numbers = draw(st.lists(_bytes, unique=True, max_size=4))
    addresses = draw(st.permutations([d | n for d in (0x00, 0x80) for n in range(1, 16)]))
    settings: list[AlternateSetting] = []
    for position, number in enumerate(numbers):
        own = addresses[position * 7 : position * 7 + draw(st.integers(0, 5))]
        more = draw(st.lists(st.integers(1, 0xFF), unique=True, max_size=3))
        settings += [draw(_settings(number, alternate, own)) for alternate in [0, *more]]
    settings = draw(st.permutations(settings))
    for position in range(1, len(settings)):
        if draw(st.booleans()):
            leading = (draw(associations), *draw(others))
            old = settings[position]
            settings[position] = AlternateSetting(old.descriptor, old.extra, old.endpoints, leading)
    head = draw(st.lists(st.one_of(unplaced, associations, companions), max_size=3))
    header = draw(_headers)
    return Configuration(header, tuple(head), tuple(settings)).retotal()


def wire(configuration: Configuration) -> bytes:
    """The bytes of a tree, without asking the code under test whether they are any good."""
    return b"".join(descriptor.data for _, descriptor in configuration.descriptors())


@st.composite
def devices(draw: st.DrawFn) -> DeviceTree:
    parts = tuple(draw(st.lists(configurations(), max_size=3)))
    # No more bytes than the standard's, or the file could not be cut.
    device = DeviceDescriptor.unpack(b"\x12\x01" + draw(st.binary(min_size=16, max_size=16)))
    return DeviceTree(device.replace(bNumConfigurations=len(parts)), parts)
