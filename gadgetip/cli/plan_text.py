"""A plan for people, and for programs."""

from collections.abc import Iterator

from gadgetip.errors import ExitStatus
from gadgetip.gadget import Plan, PlannedConfiguration, Severity
from gadgetip.profiles import GENERIC
from gadgetip.usb import AlternateSetting, DeviceTree, Endpoint, class_code, class_name

_ORDER = (Severity.REFUSED, Severity.DEGRADED, Severity.INFO)


def plan_lines(tree: DeviceTree, plan: Plan, *, infos: bool) -> Iterator[str]:
    """The plan as text; with `infos` the cosmetic deviations too."""
    if plan.profile != GENERIC.name:
        yield f"profile     {plan.profile}"
    yield f"backend     {plan.backend}"
    yield f"speed       {plan.speed.mbps_text}"
    yield "endpoints"
    rows = [
        row for configuration in plan.configurations for row in _rows(tree, plan, configuration)
    ]
    yield from _table([("", "interface", "device", "host", "type", "packet", "shaper"), *rows])
    deviations = [d for severity in _ORDER for d in plan.with_severity(severity)]
    shown = [d for d in deviations if infos or d.severity is not Severity.INFO]
    if shown:
        yield "deviations"
        yield from _table([("", d.severity.value, d.subject, d.reason) for d in shown])
    hidden = len(deviations) - len(shown)
    if hidden:
        yield f"{hidden} cosmetic difference{'s' * (hidden > 1)} (-v lists them)"
    elif not deviations:
        yield "nothing differs from the device"


def plan_as_json(
    tree: DeviceTree, plan: Plan, status: ExitStatus, udc: str | None
) -> dict[str, object]:
    """The plan as a JSON document."""
    device = tree.device
    return {
        "id": f"{device.idVendor:04x}:{device.idProduct:04x}",
        "verdict": {
            ExitStatus.DONE: "works",
            ExitStatus.DEGRADED: "degraded",
            ExitStatus.REFUSED: "refused",
        }[status],
        "exit_status": int(status),
        "profile": plan.profile,
        "backend": plan.backend,
        "udc": udc,
        "udc_model": plan.model,
        "speed": plan.speed.kernel_name,
        "configurations": [
            {
                "value": configuration.value,
                "interfaces": list(configuration.interfaces),
                "endpoints": [
                    _endpoint_as_json(plan, configuration, setting, endpoint)
                    for setting, endpoint in _endpoints(tree, configuration)
                ],
            }
            for configuration in plan.configurations
        ],
        "deviations": [
            {"severity": d.severity.value, "subject": d.subject, "reason": d.reason}
            for d in plan.deviations
        ],
    }


def _rows(
    tree: DeviceTree, plan: Plan, configuration: PlannedConfiguration
) -> Iterator[tuple[str, ...]]:
    for setting, endpoint in _endpoints(tree, configuration):
        route = configuration.route(_key(setting, endpoint), plan.speed)
        number = f"{setting.interface}"
        if setting.alternate:
            number += f".{setting.alternate}"
        if len(plan.configurations) > 1:
            number = f"{configuration.value}:{number}"
        descriptor = endpoint.descriptor
        triple = setting.descriptor.class_triple
        yield (
            "",
            f"{number} {class_code(*triple)} ({class_name(*triple)})",
            f"0x{endpoint.address:02x}",
            "-" if route is None else f"0x{route.host_address:02x}",
            f"{descriptor.transfer_type.name.lower()} {descriptor.direction.name}",
            str(descriptor.max_packet),
            "not carried"
            if route is None
            else f"{route.shaping}, {route.window_urbs} URBs of up to {route.transfer_bytes} bytes",
        )


def _endpoints(
    tree: DeviceTree, configuration: PlannedConfiguration
) -> Iterator[tuple[AlternateSetting, Endpoint]]:
    for setting in tree.configuration(configuration.value).settings:
        for endpoint in setting.endpoints:
            yield setting, endpoint


def _key(setting: AlternateSetting, endpoint: Endpoint) -> tuple[int, int, int]:
    return setting.interface, setting.alternate, endpoint.address


def _endpoint_as_json(
    plan: Plan, configuration: PlannedConfiguration, setting: AlternateSetting, endpoint: Endpoint
) -> dict[str, object]:
    route = configuration.route(_key(setting, endpoint), plan.speed)
    descriptor = endpoint.descriptor
    fields: dict[str, object] = {
        "interface": setting.interface,
        "alternate_setting": setting.alternate,
        "address": endpoint.address,
        "transfer_type": descriptor.transfer_type.name.lower(),
        "max_packet": descriptor.max_packet,
        "carried": route is not None,
    }
    if route is not None:
        fields |= {
            "host_address": route.host_address,
            "shaper": str(route.shaping),
            "window_urbs": route.window_urbs,
            "transfer_bytes": route.transfer_bytes,
        }
        file = configuration.endpoint_files.get((route.interface, route.alternate, route.address))
        if file is not None:
            fields["file"] = file
    return fields


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[0] = 0
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
