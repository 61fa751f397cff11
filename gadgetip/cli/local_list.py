"""The devices of this machine as `gadgetip list` shows them, and what is exported of them.

Three sources say what is exported: a `serve` that runs (it knows names and clients, and answers
root only), the drivers in sysfs (what the kernel's stub has, whoever bound it), and the marks that
`bind` left. They are asked in this order; none of them must be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gadgetip.server.bindings import Binding, Bindings, meant_by
from gadgetip.server.local_device import LocalDevice
from gadgetip.usb import class_code, class_name

HEADER = ("BUSID", "ID", "NAME", "SERIAL", "SPEED", "CLASS", "DRIVER", "EXPORTED")
_STUB_STATES = {1: "yes", 2: "in use", 3: "error"}  # usbip_status


@dataclass(frozen=True, slots=True)
class ExportState:
    """Whether a device is exported, and to whom."""

    exported: str = "no"
    """"no", "yes", "in use", "error" (the stub gave up, or serve could not take it), "being made
    ready" (not taken yet), or "bound": marked only."""
    published_as: str | None = None
    name: str | None = None
    """The policy's rule."""
    by: str | None = None
    """"bound" or "policy"."""
    client: str | None = None
    since: object = None
    fault: str | None = None
    """Why serve could not take it."""

    def text(self, busid: str) -> str:
        """In a few words."""
        if self.exported == "in use" and self.client:
            words = f"in use by {self.client}"
        elif self.exported == "bound":
            return "bound, not exported now"
        else:
            words = f"error: {self.fault}" if self.fault else self.exported
        if self.published_as not in {None, busid}:
            words += f", as {self.published_as}"
        return words


@dataclass(frozen=True, slots=True)
class Row:
    """A device, or a mark that means none of those that are plugged in."""

    device: LocalDevice | None
    binding: Binding | None = None
    state: ExportState = ExportState()
    is_ambiguous: bool = False
    """The mark fits several devices, and none of them is at its port."""


def rows(
    devices: Sequence[LocalDevice], bindings: Bindings, served: Mapping[str, Any] | None
) -> tuple[Row, ...]:
    """What to show; `served` is what `serve` answered, None without one."""
    exports = {
        str(export.get("busid")): export
        for export in (served or {}).get("exports", ())
        if isinstance(export, dict)
    }
    found = []
    for device in devices:
        binding = bindings.of(device, devices)
        state = _export_state(device, exports.get(device.busid), binding)
        found.append(Row(device, binding, state))
    for mark in bindings:
        if not meant_by(mark, devices):
            several = any(mark.fits(device) for device in devices)
            found.append(Row(None, mark, is_ambiguous=several))
    return tuple(found)


def notes(served: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What `serve` has to say about the policy: why something is not exported as one may expect."""
    found = (served or {}).get("notes", ())
    return tuple(note for note in found if isinstance(note, str))


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table."""
    device = row.device
    if device is None:
        assert row.binding is not None
        mark = row.binding
        return (
            mark.busid or "-",
            mark.id,
            "(several fit)" if row.is_ambiguous else "(not plugged in)",
            mark.serial or "-",
            *("-",) * 3,
            "bound",
        )
    exported = row.state.text(device.busid)
    return (
        device.busid,
        device.id,
        _name(device),
        device.serial or "-",
        device.speed.mbps_text,
        _classes(device),
        driver_of(device) or "-",
        f"{exported}, it is imported here" if device.is_imported else exported,
    )


def as_json(row: Row) -> dict[str, object]:
    """Everything that is known, for programs."""
    device, mark, state = row.device, row.binding, row.state
    bound = None if mark is None else {"once": mark.once, "forced": mark.forced}
    if device is None:
        assert mark is not None
        identity = {"busid": mark.busid, "id": mark.id, "serial": mark.serial}
        return {**identity, "plugged": False, "bound": bound, "exported": "no"}
    return {
        "busid": device.busid,
        "id": device.id,
        "serial": device.serial,
        "plugged": True,
        "bcdDevice": device.bcdDevice,
        "manufacturer": device.manufacturer,
        "product": device.product,
        "vendor_name": device.vendor_name,
        "product_name": device.product_name,
        "speed": device.speed.mbps_text,
        "class": class_code(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol),
        "interfaces": [
            {
                "number": i.bInterfaceNumber,
                "class": class_code(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol),
                "driver": i.driver,
            }
            for i in device.interfaces
        ],
        "driver": driver_of(device),
        "hub": device.is_hub,
        "imported": device.is_imported,
        "bound": bound,
        "exported": state.exported,
        "published_as": state.published_as,
        "rule": state.name,
        "by": state.by,
        "client": state.client,
        "since": state.since,
        "fault": state.fault,
        "path": device.path,
    }


def driver_of(device: LocalDevice) -> str | None:
    """Who has the device: the drivers of its interfaces, or the stub."""
    if device.driver not in {None, "usb"}:
        return device.driver
    drivers = dict.fromkeys(i.driver for i in device.interfaces if i.driver)
    if not drivers and device.is_hub:
        return "hub"
    return ", ".join(drivers) or None


def _export_state(
    device: LocalDevice, export: Mapping[str, Any] | None, binding: Binding | None
) -> ExportState:
    if export is not None:
        client, fault = export.get("client"), _text(export.get("fault"))
        if client or export.get("in_use"):
            exported, fault = "in use", None
        elif fault:
            exported = "error"
        elif export.get("taken") is False:
            exported = "being made ready"
        else:
            exported = _STUB_STATES.get(device.stub_status or 0, "yes")
        return ExportState(
            exported=exported,
            published_as=_text(export.get("published_as")),
            name=_text(export.get("name")),
            by=_text(export.get("by")),
            client=_text(client),
            since=export.get("since"),
            fault=fault,
        )
    if device.stub_status is not None:
        return ExportState(_STUB_STATES.get(device.stub_status, "yes"))
    return ExportState("no" if binding is None else "bound")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _name(device: LocalDevice) -> str:
    """The device's own words where it has any, else the hardware database's."""
    maker = device.manufacturer or device.vendor_name
    product = device.product or device.product_name
    if maker and product and product.casefold().startswith(maker.casefold()):
        return product
    return " ".join(filter(None, (maker, product))) or "-"


def _classes(device: LocalDevice) -> str:
    if device.is_hub:
        return "hub"
    names = [
        class_name(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
        for i in device.interfaces
    ] or [class_name(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol)]
    return "; ".join(dict.fromkeys(names))
