"""A profile for one device, as text: ready to use, with everything that the plan found in it.

It starts from the profile that the device has: what that wishes for is written as it is. Everything
else stands behind "#": the keys with the values that hold now, so that a line is changed by taking
the "#" away, and in words what each part of the device is. A device's own texts are quoted in
comments and keys, so they are made harmless here: no device gets a line of its own into a file.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.shaping import wish_like
from gadgetip.matching.match_form import MAX_PATTERN_CHARACTERS
from gadgetip.profiles import GENERIC, EndpointWish, InterfaceWish, Profile
from gadgetip.profiles.toml_form import (
    MAX_INTERVAL_US,
    MAX_STRING_BYTES,
    MAX_SUMMARY_CHARACTERS,
    MAX_TRANSFER_BYTES,
    MIN_INTERVAL_US,
    is_endpoint_address,
    is_profile_name,
)
from gadgetip.profiles.writing import (
    SCHEMA_LINE,
    Pairs,
    assignments,
    endpoint_pairs,
    gadget_pairs,
    identity_pairs,
    interface_pairs,
    link_pairs,
    toml_text,
)
from gadgetip.usb import (
    AlternateSetting,
    DeviceTree,
    Endpoint,
    Speed,
    class_code,
    class_name,
    printable,
)

MAX_DEVIATIONS = 40
MAX_PLACES = 4
_TEXTS = (
    ("manufacturer", "iManufacturer"),
    ("product", "iProduct"),
    ("serialnumber", "iSerialNumber"),
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is suggested: `name` for the profile, for the device `tree`, whose plan is `plan`.

    `base` is the profile that was planned with; `title` is the device in a few words; `has_strings`
    is False where the texts of the tree are made up.
    """

    name: str
    title: str
    tree: DeviceTree
    base: Profile
    plan: Plan
    has_strings: bool = True

    def text(self) -> str:
        """The file."""
        blocks = [
            self._opening(),
            [SCHEMA_LINE, f"name = {toml_text(self.name)}", f"summary = {self._summary()}"],
            self._match(),
            self._gadget(),
            self._identity(),
            *self._interfaces(),
            *self._endpoints(),
            self._link(),
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"

    def _opening(self) -> list[str]:
        plan = self.plan
        verdict = "works"
        if plan.refusals:
            verdict = "is refused"
        elif plan.with_severity(Severity.DEGRADED):
            verdict = "works, degraded"
        lines = [
            f"For {self.title}.",
            "",
            f"Planned on {plan.model} through {plan.backend} at {plan.speed.mbps_text}: {verdict}.",
        ]
        if self.base.name != GENERIC.name:
            lines.append(f"What is not behind a # comes from the profile {self.base.name}.")
        lines += [
            "",
            'Keys behind "#" with no space after it are automatic; they show what holds now, or an',
            "example.",
        ]
        if plan.deviations:
            lines += ["", "What differs from the device:"]
            lines += [f"  {d.severity}: {d}" for d in plan.deviations[:MAX_DEVIATIONS]]
            if len(plan.deviations) > MAX_DEVIATIONS:
                lines.append(f"  and {len(plan.deviations) - MAX_DEVIATIONS} more")
        return [_comment(line) for line in lines]

    def _summary(self) -> str:
        return toml_text(printable(self.title)[:MAX_SUMMARY_CHARACTERS])

    def _match(self) -> list[str]:
        device = self.tree.device
        lines = ["[[match]]", f'id = "{device.idVendor:04x}:{device.idProduct:04x}"']
        glob = _literally(self._own_text("iSerialNumber") or "")
        if glob and glob.isprintable() and len(glob) <= MAX_PATTERN_CHARACTERS:
            lines.append(f"#serial = {toml_text(glob)}  # this one alone")
        return lines

    def _gadget(self) -> list[str]:
        active = gadget_pairs(self.base.gadget)
        speed = max(self.plan.speed, Speed.FULL)
        inactive = [
            ("backend", toml_text(self.plan.backend)),
            ("udc", toml_text("auto")),
            ("max_speed", toml_text(speed.kernel_name)),
            ("forward_reset", "true"),
        ]
        return ["[gadget]", *_keys(active, inactive)]

    def _identity(self) -> list[str]:
        device, first = self.tree.device, self.tree.configurations[0]
        inactive = [
            (key, toml_text(text))
            for key, index in _TEXTS
            if (text := self._own_text(index)) and _fits_identity(text)
        ]
        inactive += [
            ("idVendor", f"0x{device.idVendor:04x}"),
            ("idProduct", f"0x{device.idProduct:04x}"),
        ]
        if f"{device.bcdDevice:x}".isdecimal():
            inactive.append(("bcdDevice", f"0x{device.bcdDevice:04x}"))
        power = min(first.descriptor.max_power_ma(self.tree.speed), 500)
        inactive.append(("max_power_ma", str(power)))
        return ["[gadget.identity]", *_keys(identity_pairs(self.base.gadget.identity), inactive)]

    def _own_text(self, index_field: str) -> str | None:
        index = getattr(self.tree.device, index_field)
        return self.tree.strings.get(index) if self.has_strings and index else None

    def _interfaces(self) -> Iterator[list[str]]:
        for number, settings in _by_interface(self.tree).items():
            comments = _places(map(_setting_words, settings))
            wish = self.base.interface(number)
            if wish is not None:
                yield [*comments, "[[interface]]", *assignments(interface_pairs(wish))]
                continue
            setting = settings[0]
            like = InterfaceWish(
                number,
                alternate_setting=setting.alternate,
                class_triple=setting.descriptor.class_triple,
            )
            lines = ["[[interface]]", *assignments(interface_pairs(like)), "drop = false"]
            yield [*comments, *_commented_out(dict.fromkeys(lines))]
        numbers = set(_by_interface(self.tree))
        for wish in self.base.interfaces:
            if wish.number not in numbers:
                yield [
                    _comment(f"This device has no interface {wish.number}."),
                    "[[interface]]",
                    *assignments(interface_pairs(wish)),
                ]

    def _endpoints(self) -> Iterator[list[str]]:
        found = _by_address(self.tree)
        for address, places in found.items():
            comments = _places(_endpoint_words(*place) for place in places)
            wish = self.base.endpoint(address)
            if wish is not None:
                yield [*comments, "[[endpoint]]", *assignments(endpoint_pairs(wish))]
                continue
            like = next(filter(None, (self._wish_like(*place) for place in places)), None)
            if like is None or not is_endpoint_address(address):
                yield [*comments, _comment("It is not carried.")]
                continue
            lines = ["[[endpoint]]", *assignments(endpoint_pairs(like))]
            yield [*comments, *_commented_out(lines)]
        for wish in self.base.endpoints:
            if wish.address not in found:
                yield [
                    _comment(f"This device has no endpoint 0x{wish.address:02x}."),
                    "[[endpoint]]",
                    *assignments(endpoint_pairs(wish)),
                ]

    def _wish_like(
        self, value: int, setting: AlternateSetting, endpoint: Endpoint
    ) -> EndpointWish | None:
        """The wish that changes nothing; None for what is not carried."""
        planned = self.plan.configuration(value)
        key = (setting.interface, setting.alternate, endpoint.address)
        route = planned.route(key, self.plan.speed) if planned is not None else None
        if route is None:
            return None
        like = wish_like(route, self.tree.speed)
        interval = like.interval_us
        if interval is not None:
            interval = min(max(interval, MIN_INTERVAL_US), MAX_INTERVAL_US)
        transfer = min(max(route.transfer_bytes, 1), MAX_TRANSFER_BYTES)
        return replace(like, transfer_bytes=transfer, interval_us=interval)

    def _link(self) -> list[str]:
        inactive = [
            ("on_loss", toml_text("unplug")),
            ("hold_s", "0"),
            ("retry_min_s", "0.5"),
            ("retry_max_s", "30"),
            ("control_timeout_ms", str(GENERIC.link.control_timeout_ms)),
        ]
        return ["[link]", *_keys(link_pairs(self.base.link), inactive)]


def suggested_name(tree: DeviceTree, taken: Iterable[str], *, has_strings: bool = True) -> str:
    """A name for the profile: the product's if it has one, and none that is `taken`."""
    device = tree.device
    product = (tree.strings.get(device.iProduct) or "") if has_strings and device.iProduct else ""
    ids = f"{device.idVendor:04x}-{device.idProduct:04x}"
    slug = re.sub(r"[^a-z0-9]+", "-", product.lower())[:40].strip("-")
    candidates = (slug, f"{slug or 'device'}-{ids}", f"mine-{ids}")
    free = (each for each in candidates if is_profile_name(each) and each not in set(taken))
    return next(free, f"device-{ids}")


def _keys(active: Pairs, inactive: Pairs) -> Iterator[str]:
    """What is wished for as it is, and the other keys behind "#"."""
    wished = {key for key, _ in active}
    yield from assignments(active)
    yield from _commented_out(assignments(pair for pair in inactive if pair[0] not in wished))


def _commented_out(lines: Iterable[str]) -> Iterator[str]:
    return (f"#{line}" for line in lines)


def _comment(text: str) -> str:
    return f"# {printable(text)}".rstrip()


def _literally(text: str) -> str:
    """The glob that matches this text alone."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _fits_identity(text: str) -> bool:
    return text.isprintable() and len(text.encode()) <= MAX_STRING_BYTES


def _by_interface(tree: DeviceTree) -> dict[int, list[AlternateSetting]]:
    """The settings of each interface, those of all configurations together."""
    found: dict[int, list[AlternateSetting]] = {}
    for configuration in tree.configurations:
        for setting in configuration.settings:
            found.setdefault(setting.interface, []).append(setting)
    return found


def _by_address(tree: DeviceTree) -> dict[int, list[tuple[int, AlternateSetting, Endpoint]]]:
    """Where each address is used: configuration, setting, endpoint."""
    found: dict[int, list[tuple[int, AlternateSetting, Endpoint]]] = {}
    for configuration in tree.configurations:
        for setting in configuration.settings:
            for endpoint in setting.endpoints:
                place = (configuration.value, setting, endpoint)
                found.setdefault(endpoint.address, []).append(place)
    return found


def _places(words: Iterable[str]) -> list[str]:
    """A comment for each, up to a limit: a file has one, and a device may have any number."""
    lines = [_comment(text) for text in dict.fromkeys(words)]
    if len(lines) > MAX_PLACES:
        lines[MAX_PLACES:] = [_comment(f"and {len(lines) - MAX_PLACES} more")]
    return lines


def _setting_words(setting: AlternateSetting) -> str:
    triple = setting.descriptor.class_triple
    return (
        f"Interface {setting.interface}, setting {setting.alternate}: "
        f"{class_code(*triple)} ({class_name(*triple)})"
    )


def _endpoint_words(value: int, setting: AlternateSetting, endpoint: Endpoint) -> str:
    descriptor = endpoint.descriptor
    return (
        f"Endpoint 0x{endpoint.address:02x} of interface {setting.interface}, setting "
        f"{setting.alternate} (configuration {value}): {descriptor.transfer_type.name.lower()} "
        f"{descriptor.direction.name}, {descriptor.max_packet} bytes"
    )
