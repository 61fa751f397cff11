"""Which pump carries an attachment: the native one where it can, or the one that was asked for."""

from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING

from gadgetip.errors import PrerequisiteError, UsageError
from gadgetip.pump.interface import EndpointFiles, PumpListener
from gadgetip.pump.native_module import HOW_TO_GET_IT, native_module, why_not
from gadgetip.pump.native_pump import NativePump
from gadgetip.pump.native_urbs import NativeUrbStream
from gadgetip.pump.shaper_pump import ShaperPump
from gadgetip.pump.urbs import UrbStream

if TYPE_CHECKING:
    from gadgetip.pump.python_pump import PythonPump


class PumpChoice(StrEnum):
    """The pumps of a replica, as users choose them."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


class VhciPump(StrEnum):
    """What carries the traffic of a device on a vhci port."""

    KERNEL = "kernel"
    NATIVE = "native"


def require_pump(choice: PumpChoice) -> None:
    """Load the pump that will be taken; raises `PrerequisiteError` where it is not here.

    Whoever drops privileges does this before: without them its files may be out of reach.
    """
    module = _module_of(choice)
    if choice is PumpChoice.NATIVE and module is None:
        raise PrerequisiteError(
            f"the native pump {why_not()}: {HOW_TO_GET_IT}, or take --pump python"
        )
    if module is None:
        python_pump()


def _module_of(choice: PumpChoice) -> ModuleType | None:
    """The native module, where it is what will be taken."""
    return None if choice is PumpChoice.PYTHON else native_module()


def vhci_pump(asked: str | None) -> VhciPump:
    """The pump that is meant by what a user wrote; raises `UsageError` for one that is none here.

    "auto" is the kernel itself: it needs no process of ours.
    """
    if asked in {None, "auto", VhciPump.KERNEL}:
        return VhciPump.KERNEL
    if asked == VhciPump.NATIVE:
        return VhciPump.NATIVE
    raise UsageError(f"the {asked} pump does not go with --to vhci: take kernel or native")


def require_vhci_pump(pump: VhciPump) -> None:
    """Raise `PrerequisiteError` where it is not here."""
    if pump is VhciPump.NATIVE and native_module() is None:
        raise PrerequisiteError(
            f"the native pump {why_not()}: {HOW_TO_GET_IT}, or take --pump kernel"
        )


def shelter_requests(choice: PumpChoice) -> None:
    """Let this process be killed with requests under way, where it is the native pump's.

    Without that there is a moment, short and with the Python pump rare, in which a kill wedges the
    controller (`native/shelter.h`). Raises OSError.
    """
    module = _module_of(choice)
    if module is not None:
        module.shelter()


def stream_for(choice: PumpChoice, urbs: UrbStream) -> UrbStream:
    """The stream as the chosen pump carries it; `urbs` is not attached, and nothing is in flight.

    Raises OSError where the kernel refuses what the native pump takes.
    """
    module = _module_of(choice)
    return urbs if module is None else NativeUrbStream(module, urbs)


def pump_for(
    urbs: UrbStream,
    files: EndpointFiles,
    listener: PumpListener,
    *,
    control_limit_s: float,
    may_hold: bool,
) -> ShaperPump:
    """The pump that goes with the stream."""
    if isinstance(urbs, NativeUrbStream):
        return NativePump(urbs, files, listener, control_limit_s=control_limit_s, may_hold=may_hold)
    return python_pump()(urbs, files, listener, control_limit_s=control_limit_s, may_hold=may_hold)


def python_pump() -> "type[PythonPump]":
    """The Python pump; raises ImportError where the C library libaio is missing, which it opens."""
    from gadgetip.pump.python_pump import PythonPump  # noqa: PLC0415 (see above)

    return PythonPump
