"""The plan for a backend where the kernel composes the configuration: FunctionFS.

The kernel takes standard descriptors and three class-specific ones, numbers interfaces in the
order in which they appear, gives endpoint addresses by a rule that can be steered
(`gadgetip.gadget.steering`) and string indices by one that cannot. It refuses a whole set of
descriptors for a single one that it does not know (drivers/usb/gadget/function/f_fs.c,
`ffs_do_single_desc`), so each case is found here, by name, before anything is bound.
"""

from collections.abc import Sequence

from gadgetip.gadget.capabilities import Capabilities
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.fifo import check_fifo
from gadgetip.gadget.identity import KernelStrings, Texts, attributes, power
from gadgetip.gadget.planned import PlannedConfiguration
from gadgetip.gadget.settings import KeptSettings
from gadgetip.gadget.shaping import RouteMaker
from gadgetip.gadget.speed_conversion import endpoint_at, endpoint_wish
from gadgetip.gadget.steering import MAX_FILLERS_EACH, EndpointRequest, autoconfigure, steer
from gadgetip.gadget.udc_models import UdcModel
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    Descriptor,
    DescriptorType,
    DeviceClass,
    DeviceTree,
    Direction,
    Endpoint,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    Speed,
    TransferType,
    class_code,
    descriptor_name,
)

MAX_ENDPOINTS = 30
"""f_fs.c:2783: eps_count below FFS_MAX_EPS_COUNT, 31."""

MAX_INTERFACES = 32
"""include/linux/usb/composite.h, MAX_CONFIG_INTERFACES."""

_CCID, _DFU = 0x0B, (0xFE, 0x01)
_CLASS_LENGTHS = {DeviceClass.HID: 9, _CCID: 54}
_DFU_LENGTH = 9
_AUDIO_ENDPOINT_LENGTH = 9
_WHOLE_INDEX_CLASSES = {0x01: "audio", 0x0E: "video"}


def plan_function(
    tree: DeviceTree,
    kept: KeptSettings,
    speeds: Sequence[Speed],
    model: UdcModel,
    capabilities: Capabilities,
    strings: KernelStrings,
    make_routes: RouteMaker,
    deviations: list[Deviation],
) -> PlannedConfiguration:
    """Plan one configuration; refusals are among the deviations."""
    configuration, settings = kept.configuration, kept.settings
    _refuse_descriptors(configuration, deviations)
    _check_limits(configuration, speeds[-1], capabilities, deviations)
    numbers = {number: position for position, number in enumerate(kept.numbers)}
    for number, position in numbers.items():
        if number != position:
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    f"interface {number}",
                    f"the kernel numbers interfaces without gaps: it becomes {position}",
                )
            )
    for setting in settings:
        name = _WHOLE_INDEX_CLASSES.get(setting.descriptor.bInterfaceClass)
        if name is not None:
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    f"interface {setting.interface}",
                    f"{name} entities cannot be addressed: "
                    "FunctionFS drops the high byte of wIndex",
                )
            )
    search = AddressSearch(tree, kept, speeds, model)
    deviations.extend(search.deviations)
    texts = strings.texts_of(configuration, settings)
    wakeup = capabilities.remote_wakeup and model.can_signal_wakeup
    return PlannedConfiguration(
        value=configuration.value,
        bmAttributes=attributes(
            configuration,
            wakeup=wakeup,
            why_not=f"{model.name} cannot signal it, so the replica does not claim it",
            deviations=deviations,
        ),
        max_power_ma=power(tree, configuration, speeds[-1], deviations),
        descriptors={
            speed: tuple(_descriptors(tree, kept, numbers, texts, speed)) for speed in speeds
        },
        data={},
        routes={speed: make_routes(settings, search.addresses, speed) for speed in speeds},
        interfaces=kept.numbers,
        frozen=kept.frozen,
        strings=texts.configuration,
        fillers=search.fillers,
        filler_addresses=search.filler_addresses,
        interface_strings=texts.interfaces,
    )


def note_what_functions_lose(
    tree: DeviceTree, model: UdcModel, deviations: list[Deviation]
) -> None:
    """List what is lost of any device, because the kernel composes the replica."""
    if model.is_otg:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "OTG descriptor",
                "the kernel adds one, because this controller can be a host as well: set its "
                "dr_mode to peripheral",
            )
        )
    if tree.ms_os_vendor_code is not None:
        deviations.append(
            Deviation(
                Severity.DEGRADED,
                "Microsoft OS descriptor",
                "its extended properties do not come through: FunctionFS takes their wIndex for "
                "an interface",
            )
        )


def _descriptors(
    tree: DeviceTree, kept: KeptSettings, numbers: dict[int, int], texts: Texts, speed: Speed
) -> list[Descriptor]:
    """What is given to FunctionFS, in its order, at one speed."""

    def adapted(descriptors: tuple[Descriptor, ...]) -> list[Descriptor]:
        return [_association(each, numbers, texts) for each in descriptors]

    out: list[Descriptor] = [
        each
        for each in adapted(kept.configuration.leading)
        if isinstance(each, InterfaceAssociationDescriptor)
    ]
    for setting in kept.settings:
        interface = setting.descriptor
        out.extend(adapted(setting.leading))
        out.append(
            interface.replace(
                bInterfaceNumber=numbers[setting.interface],
                iInterface=texts.numbers.get(interface.iInterface, 0),
            )
        )
        out.extend(adapted(setting.extra))
        for endpoint in setting.endpoints:
            out.append(endpoint_at(endpoint, tree.speed, speed))
            if endpoint.companion is not None and speed in {tree.speed, Speed.SUPER}:
                out.append(endpoint.companion)
            out.extend(adapted(endpoint.extra))
    return out


def _association(descriptor: Descriptor, numbers: dict[int, int], texts: Texts) -> Descriptor:
    """An association by the kernel's interface numbers and strings; others as they are."""
    if not isinstance(descriptor, InterfaceAssociationDescriptor):
        return descriptor
    fields = {"iFunction": texts.numbers.get(descriptor.iFunction, 0)}
    joined = sorted(numbers[each] for each in descriptor.interfaces if each in numbers)
    if joined and any(number != position for number, position in numbers.items()):
        fields["bFirstInterface"] = joined[0]
        fields["bInterfaceCount"] = joined[-1] - joined[0] + 1
    return descriptor.replace(**fields)


def _check_limits(
    configuration: Configuration,
    speed: Speed,
    capabilities: Capabilities,
    deviations: list[Deviation],
) -> None:
    header = configuration.descriptor
    if header.bLength != header.SIZE:
        deviations.append(
            Deviation(
                Severity.INFO,
                "configuration",
                f"its own descriptor has {header.bLength} bytes, the kernel makes {header.SIZE}",
            )
        )
    if header.wTotalLength > capabilities.max_configuration_bytes:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                "configuration",
                f"it has {header.wTotalLength} bytes, {capabilities.name} takes "
                f"{capabilities.max_configuration_bytes}",
            )
        )
    if header.bNumInterfaces > MAX_INTERFACES:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                "configuration",
                f"it has {header.bNumInterfaces} interfaces, the kernel takes {MAX_INTERFACES}",
            )
        )
    if speed >= Speed.SUPER:
        deviations.extend(
            Deviation(
                Severity.REFUSED,
                f"endpoint 0x{endpoint.address:02x}",
                "it has no companion descriptor, without which nothing runs at SuperSpeed",
            )
            for setting in configuration.settings
            for endpoint in setting.endpoints
            if endpoint.companion is None
        )


def _refuse_descriptors(configuration: Configuration, deviations: list[Deviation]) -> None:
    """Name every descriptor and endpoint that FunctionFS does not carry."""

    def refuse(subject: str, reason: str) -> None:
        deviations.append(Deviation(Severity.REFUSED, subject, reason))

    for descriptor in configuration.leading:
        if not isinstance(descriptor, InterfaceAssociationDescriptor):
            deviations.append(
                Deviation(
                    Severity.DEGRADED,
                    "configuration",
                    f"its {descriptor_name(descriptor.bDescriptorType)} descriptor is left out: "
                    "FunctionFS has none outside of an interface",
                )
            )
        elif descriptor.bLength != descriptor.SIZE:
            refuse(
                "configuration",
                f"FunctionFS takes no {descriptor.name} descriptor of {descriptor.bLength} bytes",
            )
    endpoints = 0
    for setting in configuration.settings:
        strays = [each for each in setting.leading if type(each) is Descriptor]
        for descriptor in setting.descriptors():
            if descriptor in strays or not _is_carried(descriptor, setting):
                refuse(
                    f"interface {setting.interface}",
                    f"FunctionFS takes no {descriptor_name(descriptor.bDescriptorType)} descriptor "
                    f"(type 0x{descriptor.bDescriptorType:02x}, {descriptor.bLength} bytes) "
                    f"in class {class_code(*setting.descriptor.class_triple)}",
                )
        for endpoint in setting.endpoints:
            endpoints += 1
            if endpoint.descriptor.transfer_type is TransferType.CONTROL:
                refuse(
                    f"endpoint 0x{endpoint.address:02x}",
                    "a control endpoint other than 0 cannot be rebuilt",
                )
    if endpoints > MAX_ENDPOINTS:
        refuse("endpoints", f"FunctionFS takes {MAX_ENDPOINTS}, the device has {endpoints}")


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


class AddressSearch:
    """The endpoint addresses that the replica will have, and the fillers that make them so.

    The kernel picks by the full-speed descriptors, the first that it binds; what it has picked
    must do at every speed. At SuperSpeed its own choice is taken: a filler has descriptors there,
    and the host would see it.
    """

    def __init__(
        self, tree: DeviceTree, kept: KeptSettings, speeds: Sequence[Speed], model: UdcModel
    ) -> None:
        self.deviations: list[Deviation] = []
        self._model = model
        endpoints = [endpoint for setting in kept.settings for endpoint in setting.endpoints]
        wanted = [
            (endpoint.address, _request(endpoint, tree.speed, speeds)) for endpoint in endpoints
        ]
        may_fill = speeds[-1] < Speed.SUPER
        steering = steer(model, wanted, max_fillers=MAX_FILLERS_EACH if may_fill else 0)
        self.fillers = steering.fillers
        self.addresses: dict[int, int] = {}
        self.filler_addresses: tuple[int, ...] = ()
        for (address, _), got in zip(wanted, steering.addresses, strict=True):
            self.addresses[address] = address if got is None else got
            if got is not None and got != address:
                self._note(
                    Severity.DEGRADED,
                    f"endpoint 0x{address:02x}",
                    f"becomes 0x{got:02x}: {model.name} cannot be made to choose this number",
                )
        own = {at_host & 0x0F: address for address, at_host in self.addresses.items()}
        burnt = autoconfigure(model, steering.fillers)
        self.filler_addresses = tuple(own.get((each or 0) & 0x0F, 0) for each in burnt)
        if None in steering.addresses:
            self._refuse_for_want_of_endpoints(wanted)
            return
        if len(set(self.addresses.values())) < len(self.addresses):
            self._note(
                Severity.REFUSED,
                "endpoints",
                f"{model.name} would give two of them the same address",
            )
        for speed in speeds:
            chosen = [
                (claimed, endpoint_wish(endpoint, tree.speed, speed))
                for claimed, endpoint in zip(steering.endpoints, endpoints, strict=True)
                if claimed is not None
            ]
            for problem in check_fifo(model, chosen, speed):
                self._note(Severity.REFUSED, "endpoints", problem)

    def _refuse_for_want_of_endpoints(self, wanted: list[tuple[int, EndpointRequest]]) -> None:
        got = autoconfigure(self._model, [request for _, request in wanted])
        for direction in Direction:
            asked = [g for g, (_, r) in zip(got, wanted, strict=True) if r.direction is direction]
            fitting = sum(address is not None for address in asked)
            if fitting < len(asked):
                self._note(
                    Severity.REFUSED,
                    "endpoints",
                    f"the device has {len(asked)} {direction.name} endpoints, "
                    f"{self._model.name} has room for {fitting} of them",
                )

    def _note(self, severity: Severity, subject: str, reason: str) -> None:
        self.deviations.append(Deviation(severity, subject, reason))


def _request(endpoint: Endpoint, device_speed: Speed, speeds: Sequence[Speed]) -> EndpointRequest:
    packets = [endpoint_at(endpoint, device_speed, speed).max_packet for speed in speeds]
    return EndpointRequest(
        endpoint.descriptor.direction,
        endpoint.descriptor.transfer_type,
        packets[0],
        largest_packet=max(packets),
    )
