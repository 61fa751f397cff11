"""Which interfaces and settings of a configuration the replica has.

The device's own, as far as the profile leaves them and the backend can carry them. Whatever is
left out takes its associations along: an association names a run of interfaces, so it is fitted
to those that stay. Isochronous endpoints decide here, too: nothing of gadgetip moves isochronous
data. Where the configuration is raw, they are described as the device describes them, and only
the settings that have them cannot be chosen, so that the rest works as the device does; where the
kernel composes it, the setting is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gadgetip.gadget.capabilities import Form
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.profiles import Profile
from gadgetip.usb import (
    AlternateSetting,
    Configuration,
    Descriptor,
    DescriptorType,
    InterfaceAssociationDescriptor,
    TransferType,
    class_code,
)

NO_ISOCHRONOUS = "gadgetip moves no isochronous data yet"


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """What stays of a configuration.

    `configuration` is the edited tree, with true lengths and counts; see `PlannedConfiguration`
    for `frozen` and `refused`.
    """

    configuration: Configuration
    frozen: dict[int, int]
    refused: frozenset[tuple[int, int]]

    @property
    def settings(self) -> tuple[AlternateSetting, ...]:
        """The settings that the host sees, by the numbers that it sees."""
        return self.configuration.settings

    @property
    def numbers(self) -> tuple[int, ...]:
        """The interfaces that stay, in wire order."""
        return tuple(self.configuration.interfaces)


def keep_settings(
    configuration: Configuration, profile: Profile, form: Form, deviations: list[Deviation]
) -> KeptSettings:
    """Decide what stays, and list what does not."""
    frozen: dict[int, int] = {}
    refused: set[tuple[int, int]] = set()
    kept: list[AlternateSetting] = []
    order = {(s.interface, s.alternate): at for at, s in enumerate(configuration.settings)}
    for number, settings in configuration.interfaces.items():
        wish = profile.interface(number)
        if wish is not None and wish.drop:
            deviations.append(_degraded(number, "left out, as the profile asks"))
            continue
        offered = settings
        if wish is not None and wish.alternate_setting is not None:
            chosen = _frozen(number, settings, wish.alternate_setting, deviations)
            if chosen is None:
                continue
            frozen[number] = wish.alternate_setting
            offered = (chosen,)
        if form is Form.RAW:
            refused |= _refuse_isochronous(offered, deviations)
        else:
            offered = _default_only(number, offered, deviations)
        kept.extend(offered)
    kept.sort(key=lambda s: order[s.interface, frozen.get(s.interface, s.alternate)])
    if len(kept) == len(configuration.settings) and not frozen:
        edited = configuration
    else:
        edited = fit_associations(configuration, kept)
    edited = _without_otg(edited, deviations)
    return KeptSettings(edited, frozen, frozenset(refused))


def fit_associations(
    configuration: Configuration, settings: Iterable[AlternateSetting]
) -> Configuration:
    """The configuration with these settings alone, its associations fitted to what stays."""
    settings = list(settings)
    numbers = list(dict.fromkeys(setting.interface for setting in settings))
    fitted: dict[int, list[Descriptor]] = {}
    introducing = [d for each in configuration.settings for d in each.leading]
    for association in (*configuration.leading, *introducing):
        if not isinstance(association, InterfaceAssociationDescriptor):
            continue
        joined = [number for number in numbers if number in association.interfaces]
        if joined:
            fitted.setdefault(joined[0], []).append(
                association.replace(
                    bFirstInterface=min(joined), bInterfaceCount=max(joined) - min(joined) + 1
                )
            )
    placed = []
    for position, setting in enumerate(settings):
        own = tuple(d for d in setting.leading if not _is_association(d))
        new = tuple(fitted.pop(setting.interface, ())) if position else ()
        placed.append(replace(setting, leading=(*new, *own)))
    first = fitted.pop(settings[0].interface, []) if settings else []
    leading = tuple(d for d in configuration.leading if not _is_association(d))
    return replace(configuration, leading=(*leading, *first)).with_settings(placed)


def _is_association(descriptor: Descriptor) -> bool:
    return isinstance(descriptor, InterfaceAssociationDescriptor)


def _without_otg(configuration: Configuration, deviations: list[Deviation]) -> Configuration:
    """Without an OTG descriptor: the replica has no such role, and some BIOSes stumble over it.

    It has no fixed place (On-The-Go and Embedded Host Supplement 2.0, 6.4).
    """
    if all(d.bDescriptorType != DescriptorType.OTG for _, d in configuration.descriptors()):
        return configuration
    deviations.append(
        Deviation(Severity.INFO, "OTG descriptor", "left out: the replica has no OTG role")
    )
    settings = [
        replace(
            setting,
            leading=_others(setting.leading),
            extra=_others(setting.extra),
            endpoints=tuple(replace(e, extra=_others(e.extra)) for e in setting.endpoints),
        )
        for setting in configuration.settings
    ]
    return replace(configuration, leading=_others(configuration.leading)).with_settings(settings)


def _others(descriptors: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    return tuple(each for each in descriptors if each.bDescriptorType != DescriptorType.OTG)


def _frozen(
    number: int,
    settings: tuple[AlternateSetting, ...],
    alternate: int,
    deviations: list[Deviation],
) -> AlternateSetting | None:
    chosen = next((each for each in settings if each.alternate == alternate), None)
    if chosen is None:
        deviations.append(
            Deviation(
                Severity.REFUSED,
                f"interface {number}",
                f"the profile asks for alternate setting {alternate}, which it does not have",
            )
        )
        return None
    if len(settings) > 1 or alternate:
        deviations.append(
            _degraded(number, f"frozen at alternate setting {alternate}, as the profile asks")
        )
    return replace(chosen, descriptor=chosen.descriptor.replace(bAlternateSetting=0))


def _refuse_isochronous(
    settings: tuple[AlternateSetting, ...], deviations: list[Deviation]
) -> set[tuple[int, int]]:
    refused = {(s.interface, s.alternate) for s in settings if s.alternate and _isochronous(s)}
    closed = ", ".join(str(alternate) for _, alternate in sorted(refused))
    consequence = f"; the host cannot choose setting {closed}" if closed else ""
    deviations.extend(
        Deviation(
            Severity.DEGRADED,
            f"endpoint 0x{address:02x}",
            f"isochronous, dropped: it is described and carries nothing{consequence} of "
            f"interface {settings[0].interface}: {NO_ISOCHRONOUS}",
        )
        for address in _isochronous(*settings)
    )
    return refused


def _default_only(
    number: int, settings: tuple[AlternateSetting, ...], deviations: list[Deviation]
) -> tuple[AlternateSetting, ...]:
    """The default setting, the only one where the backend cannot tell which the host chose."""
    default = next(each for each in settings if each.alternate == 0)
    deviations.extend(
        Deviation(
            Severity.DEGRADED,
            f"endpoint 0x{address:02x}",
            f"isochronous, dropped with its settings of interface {number}: {NO_ISOCHRONOUS}",
        )
        for address in _isochronous(*settings)
    )
    if _isochronous(default):
        deviations.append(_degraded(number, "left out: its default setting is isochronous"))
        return ()
    others = [each for each in settings if each.alternate]
    if others:
        listed = ", ".join(
            f"{s.alternate} ({class_code(*s.descriptor.class_triple)})" for s in others
        )
        deviations.append(_degraded(number, f"only its default setting is offered, not {listed}"))
    return (default,)


def _isochronous(*settings: AlternateSetting) -> list[int]:
    """The addresses of their isochronous endpoints, each once."""
    found = [
        endpoint.address
        for setting in settings
        for endpoint in setting.endpoints
        if endpoint.descriptor.transfer_type is TransferType.ISOCHRONOUS
    ]
    return list(dict.fromkeys(found))


def _degraded(number: int, reason: str) -> Deviation:
    return Deviation(Severity.DEGRADED, f"interface {number}", reason)
