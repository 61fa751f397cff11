"""What the descriptors of a configuration must not say about each other.

A device on a cable is believed, for all it can hurt is its own driver. A device behind a network
is read by us first: endpoint numbers become array indices and file names, packet sizes become
divisors, counts become loops. So contradictions are refused here, once, and the rest of the
program may rely on this, for every configuration that was parsed:

* an endpoint's number is 1 to 15 and its reserved address bits are 0 (USB 2.0 §9.6.6);
* an address means one endpoint in a setting, and belongs to one interface (§9.6.5);
* packets are not empty, except in an isochronous endpoint of alternate setting 0, which the
  specification wants that way (§5.6.3: the default setting must not reserve bandwidth);
* (interface, alternate setting) is unique, and every interface has its setting 0 (§9.6.5);
* bNumEndpoints and bNumInterfaces count what is there (§9.6.3, §9.6.5).

Things that real devices get wrong, and that mislead nobody, are left alone: interface numbers
with gaps, alternate settings with gaps, associations that name interfaces that do not exist,
misplaced or repeated descriptors of other types. Every check is linear in the number of
descriptors, of which a 64 KiB configuration has 32,763.
"""

from collections.abc import Iterable

from gadgetip.usb.descriptors import (
    ConfigurationDescriptor,
    Descriptor,
    EndpointDescriptor,
    InterfaceDescriptor,
)
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.transfer import TransferType

_Located = tuple[int, Descriptor]


class _Checker:
    """One walk over a configuration's descriptors in wire order, remembering what was seen."""

    def __init__(self, header: ConfigurationDescriptor) -> None:
        self.header = header
        self.setting: tuple[int, InterfaceDescriptor] | None = None
        self.addresses: set[int] = set()  # of the current setting
        self.settings: set[tuple[int, int]] = set()
        self.owners: dict[int, int] = {}  # interface by endpoint address
        self.first_setting: dict[int, tuple[int, InterfaceDescriptor]] = {}  # by interface

    def interface(self, at: int, interface: InterfaceDescriptor) -> None:
        """A setting begins; the one before it is complete."""
        self.end_setting()
        number, alternate = interface.bInterfaceNumber, interface.bAlternateSetting
        if (number, alternate) in self.settings:
            problem = f"interface {number} has this setting twice"
            raise _error(interface, at, "bAlternateSetting", problem)
        self.settings.add((number, alternate))
        self.first_setting.setdefault(number, (at, interface))
        self.setting = at, interface
        self.addresses = set()

    def endpoint(self, at: int, endpoint: EndpointDescriptor) -> None:
        """An endpoint of the current setting."""
        if self.setting is None:
            raise _error(endpoint, at, "bEndpointAddress", "comes before the first interface")
        interface = self.setting[1]
        address = endpoint.bEndpointAddress
        problem = self._address_problem(address, interface.bInterfaceNumber)
        if problem is not None:
            raise _error(endpoint, at, "bEndpointAddress", problem)
        isochronous = endpoint.transfer_type is TransferType.ISOCHRONOUS
        may_be_empty = isochronous and interface.bAlternateSetting == 0
        if endpoint.max_packet == 0 and not may_be_empty:
            raise _error(endpoint, at, "wMaxPacketSize", "its packets would all be empty")
        self.addresses.add(address)
        self.owners[address] = interface.bInterfaceNumber

    def _address_problem(self, address: int, interface: int) -> str | None:
        if address & 0x70:
            return "bits 6..4 are reserved and must be 0"
        if address & 0x0F == 0:
            return "endpoint 0 is the control endpoint and has no descriptor"
        if address in self.addresses:
            return "the setting has this endpoint twice"
        if self.owners.get(address, interface) != interface:
            return f"interface {self.owners[address]} has this endpoint already"
        return None

    def end_setting(self) -> None:
        """No more endpoints for the current setting."""
        if self.setting is None:
            return
        at, interface = self.setting
        if interface.bNumEndpoints != len(self.addresses):
            problem = f"the setting has {_count(len(self.addresses), 'endpoint descriptor')}"
            raise _error(interface, at, "bNumEndpoints", problem)

    def end(self) -> None:
        """The configuration is complete."""
        self.end_setting()
        for number, (at, interface) in self.first_setting.items():
            if (number, 0) not in self.settings:
                problem = f"interface {number} has no alternate setting 0"
                raise _error(interface, at, "bAlternateSetting", problem)
        if self.header.bNumInterfaces != len(self.first_setting):
            problem = f"the configuration has {_count(len(self.first_setting), 'interface')}"
            raise _error(self.header, 0, "bNumInterfaces", problem)


def check(header: ConfigurationDescriptor, rest: Iterable[_Located]) -> None:
    """Raise a `DescriptorError` for the first contradiction in a configuration."""
    checker = _Checker(header)
    for at, descriptor in rest:
        if isinstance(descriptor, InterfaceDescriptor):
            checker.interface(at, descriptor)
        elif isinstance(descriptor, EndpointDescriptor):
            checker.endpoint(at, descriptor)
    checker.end()


def _error(descriptor: Descriptor, at: int, field: str, problem: str) -> DescriptorError:
    value: int = getattr(descriptor, field)
    return DescriptorError(Fault(descriptor.name, at, field, value, problem))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
