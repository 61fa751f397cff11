"""What a replica on FunctionFS can have in its configuration, and what it cannot.

The kernel refuses whole sets of descriptors for a single one that it does not know
(drivers/usb/gadget/function/f_fs.c, `ffs_do_single_desc`), so each case is found here, by name,
before anything is bound.
"""

from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.steering import MAX_FILLERS_EACH, EndpointRequest, autoconfigure, steer
from gadgetip.gadget.udc_models import UNKNOWN_UDC, UdcModel
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    Descriptor,
    DescriptorType,
    DeviceClass,
    DeviceTree,
    Direction,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    TransferType,
    descriptor_name,
)

_CCID, _DFU = 0x0B, (0xFE, 0x01)
_CLASS_LENGTHS = {DeviceClass.HID: 9, _CCID: 54}
_DFU_LENGTH = 9
_AUDIO_ENDPOINT_LENGTH = 9


def keep_first_settings(tree: DeviceTree, deviations: list[Deviation]) -> list[AlternateSetting]:
    """The settings that the replica offers: the first configuration's, the default of each."""
    if len(tree.configurations) > 1:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "configurations",
                f"the first of {len(tree.configurations)} is offered",
            )
        )
    configuration = tree.configurations[0]
    if any(d.bDescriptorType == DescriptorType.OTG for d in configuration.leading):
        deviations.append(
            Deviation(Severity.INFO, "OTG descriptor", "left out: the replica has no OTG role")
        )
    kept: list[AlternateSetting] = []
    for number, settings in configuration.interfaces.items():
        kept.append(next(s for s in settings if s.alternate == 0))
        others = [s for s in settings if s.alternate != 0]
        if others:
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    f"interface {number}",
                    "only its default setting is offered, not "
                    + ", ".join(f"{s.alternate} ({_class_of(s)})" for s in others),
                )
            )
    for number, setting in enumerate(kept):
        if setting.interface != number:
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    f"interface {setting.interface}",
                    f"the kernel numbers interfaces without gaps: it becomes {number}",
                )
            )
    return kept


def refuse_what_cannot_be_built(
    configuration: Configuration, settings: list[AlternateSetting], deviations: list[Deviation]
) -> None:
    """Name every descriptor and endpoint that FunctionFS does not carry."""
    if configuration.value == 0:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                "configuration",
                "its bConfigurationValue is 0, by which nobody can choose it",
            )
        )
    if not settings:
        deviations.append(Deviation(Severity.REFUSED, "configuration", "it has no interface"))
    deviations.extend(
        Deviation(
            Severity.REFUSED,
            "configuration",
            f"FunctionFS takes no {descriptor.name} descriptor of {descriptor.bLength} bytes",
        )
        for descriptor in configuration.leading
        if isinstance(descriptor, InterfaceAssociationDescriptor)
        and descriptor.bLength != descriptor.SIZE
    )
    for setting in settings:
        where = f"interface {setting.interface}"
        deviations.extend(
            Deviation(
                Severity.REFUSED,
                where,
                f"FunctionFS takes no {descriptor_name(descriptor.bDescriptorType)} descriptor "
                f"(type 0x{descriptor.bDescriptorType:02x}, {descriptor.bLength} bytes) "
                f"in class {setting.descriptor.bInterfaceClass:02x}",
            )
            for descriptor in setting.descriptors()
            if not _is_carried(descriptor, setting)
        )
        for endpoint in setting.endpoints:
            if endpoint.descriptor.transfer_type is TransferType.ISOCHRONOUS:
                deviations.append(
                    Deviation(
                        Severity.REFUSED,
                        f"endpoint 0x{endpoint.address:02x}",
                        "isochronous endpoints are not carried yet",
                    )
                )
            elif endpoint.descriptor.transfer_type is TransferType.CONTROL:
                deviations.append(
                    Deviation(
                        Severity.REFUSED,
                        f"endpoint 0x{endpoint.address:02x}",
                        "FunctionFS has no control endpoint but endpoint 0",
                    )
                )


class AddressSearch:
    """The endpoint addresses that the replica will have, and the fillers that make them so.

    Without `may_fill` the kernel's own choice is taken: a filler has descriptors at SuperSpeed, so
    there the host would see it.
    """

    def __init__(
        self, model: UdcModel, wanted: list[tuple[int, EndpointRequest]], *, may_fill: bool
    ) -> None:
        self.deviations: list[Deviation] = []
        steering = steer(model, wanted, max_fillers=MAX_FILLERS_EACH if may_fill else 0)
        self.fillers = steering.fillers
        self.addresses: dict[int, int] = {}
        for (address, _), got in zip(wanted, steering.addresses, strict=True):
            self.addresses[address] = address if got is None else got
            if got is not None and got != address:
                self.deviations.append(
                    Deviation(
                        Severity.DEGRADED,
                        f"endpoint 0x{address:02x}",
                        f"becomes 0x{got:02x}: {model.name} cannot be made to choose this number",
                    )
                )
        if None in steering.addresses:
            self._refuse_for_want_of_endpoints(model, wanted)
        elif len(set(self.addresses.values())) < len(self.addresses):
            self.deviations.append(
                Deviation(
                    Severity.REFUSED,
                    "endpoints",
                    f"{model.name} would give two of them the same address",
                )
            )
        if model is UNKNOWN_UDC:
            self.deviations.append(
                Deviation(
                    Severity.INFO,
                    "endpoints",
                    "this controller is not in the table: the addresses are a guess",
                )
            )

    def _refuse_for_want_of_endpoints(
        self, model: UdcModel, wanted: list[tuple[int, EndpointRequest]]
    ) -> None:
        got = autoconfigure(model, [request for _, request in wanted])
        for direction in Direction:
            asked = [g for g, (_, r) in zip(got, wanted, strict=True) if r.direction is direction]
            fitting = sum(address is not None for address in asked)
            if fitting < len(asked):
                self.deviations.append(
                    Deviation(
                        Severity.REFUSED,
                        "endpoints",
                        f"the device has {len(asked)} {direction.name} endpoints, "
                        f"{model.name} has room for {fitting} of them",
                    )
                )


def _is_carried(descriptor: Descriptor, setting: AlternateSetting) -> bool:
    """As f_fs.c:2606-2702: standard ones, and HID, CCID and DFU ones, of the exact lengths."""
    if isinstance(descriptor, EndpointDescriptor):
        return descriptor.bLength in {EndpointDescriptor.SIZE, _AUDIO_ENDPOINT_LENGTH}
    if type(descriptor) is not Descriptor:
        return descriptor.bLength == descriptor.SIZE
    if descriptor.bDescriptorType != DescriptorType.HID:
        return False
    interface = setting.descriptor
    if (interface.bInterfaceClass, interface.bInterfaceSubClass) == _DFU:
        return descriptor.bLength == _DFU_LENGTH
    return _CLASS_LENGTHS.get(interface.bInterfaceClass) == descriptor.bLength


def _class_of(setting: AlternateSetting) -> str:
    triple = setting.descriptor.class_triple
    return "/".join(f"{code:02x}" for code in triple)
