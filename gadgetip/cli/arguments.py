"""The arguments that several commands take: HOST and DEVICE, with their stock spellings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from gadgetip.cli.completing import profile_names
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, DeviceSelector
from gadgetip.profiles import (
    AUTO,
    BACKENDS,
    GENERIC,
    MAX_HOLD_S,
    Profile,
    choose_profile,
    load_profile,
    shipped_profiles,
)
from gadgetip.pump import PumpChoice, VhciPump


class HostType(click.ParamType[HostAddress]):
    """HOST: a name or an address, with or without a port."""

    name = "host"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> HostAddress:
        """Parse, with the parser's own sentence as the usage error."""
        if isinstance(value, HostAddress):
            return value
        try:
            return HostAddress.parse(str(value))
        except GadgetipError as error:
            self.fail(str(error), param, ctx)


class DeviceType(click.ParamType[DeviceSelector]):
    """DEVICE: a bus id, VID:PID, or KEY=GLOB."""

    name = "device"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> DeviceSelector:
        """Parse, with the parser's own sentence as the usage error."""
        if isinstance(value, DeviceSelector):
            return value
        try:
            return DeviceSelector.parse(str(value))
        except GadgetipError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class AskedProfile:
    """What --profile, --backend and --hold say: called with a device, it is the device's profile.

    `named` is None for "auto", the profile that fits the device.
    """

    named: Profile | None = None
    backend: str | None = None
    hold: float | None = None

    def __call__(self, facts: DeviceFacts) -> Profile:
        """The profile, with what the command line says, which goes first.

        In the foreground nothing is held that nobody has asked for: that a command ends when the
        link is lost is what scripts wait for.
        """
        profile = self.as_written(facts)
        if self.hold is not None:
            return profile.held_for(self.hold)
        return profile if profile.link.insists else profile.held_for(0)

    def as_written(self, facts: DeviceFacts) -> Profile:
        """The profile, with the command line's backend."""
        profile = self.named or choose_profile(AUTO, facts)
        if self.backend is None:
            return profile
        return replace(profile, gadget=replace(profile.gadget, backend=self.backend))

    @property
    def udc(self) -> str | None:
        """The controller that it names, where that is known without the device."""
        return self.named.gadget.udc if self.named is not None else None

    def pauses_s(self, shortest: float, longest: float) -> tuple[float, float]:
        """As `LinkWishes.pauses_s`, where that is known without the device."""
        link = self.named.link if self.named is not None else GENERIC.link
        return link.pauses_s(shortest, longest)


class ProfileType(click.ParamType[AskedProfile]):
    """NAME or FILE of a profile, or "auto"."""

    name = "profile"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (a profile's own errors are no usage errors)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> AskedProfile:
        """Load it, strictly; what fits the device is chosen when it is known."""
        if isinstance(value, AskedProfile):
            return value
        if value == AUTO:
            shipped_profiles()  # now, and not when the device is waiting
            return AskedProfile()
        return AskedProfile(load_profile(str(value)).insisting())


profile_option = click.option(
    "--profile",
    type=ProfileType(),
    metavar="NAME|FILE",
    default=AUTO,
    show_default="auto, the one that fits the device",
    shell_complete=profile_names,
    help="What is wished for this device: a shipped or installed profile, or a file.",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="What the replica is built on; the plan chooses by itself.",
)


def descriptors_option(text: str) -> Callable[[Any], Any]:
    """--descriptors FILE, with this help."""
    return click.option(
        "--descriptors",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=text,
    )


udc_option = click.option("--udc", metavar="NAME", help="Plan for this controller of this machine.")
udc_model_option = click.option(
    "--udc-model", metavar="MODEL", help="Plan for a kind of controller."
)


class SecondsType(click.ParamType[float]):
    """Seconds to hold, 0 to a day."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse; infinity and what is no number at all are refused."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= MAX_HOLD_S:
            self.fail(f"{value!r}: it has to be 0 to {MAX_HOLD_S} seconds", param, ctx)
        return seconds


pump_option = click.option(
    "--pump",
    type=click.Choice([*(each.value for each in PumpChoice), VhciPump.KERNEL.value]),
    help=(
        "What carries the traffic; without it: to a gadget the native pump where it is built, else "
        "the Python pump; to vhci the kernel itself."
    ),
)


hold_option = click.option(
    "--hold",
    type=SecondsType(),
    metavar="SECONDS",
    help="Keep the host's device so long when the link is lost; 0 unplugs it at once.",
)


HOST_AND_DEVICE_HELP = """\b
HOST    name, IPv4 or [IPv6], then :PORT if it is not 3240
DEVICE  bus id (1-1.4) | VID:PID | serial=S | name=GLOB | class=08/06/50
"""


def one_of(positional: Any, option: Any, name: str) -> Any:
    """The value that was given, by position or by the stock tool's option, but not both."""
    if positional is not None and option is not None:
        raise click.UsageError(f"{name} is given twice")
    value = positional if positional is not None else option
    if value is None:
        raise click.UsageError(f"missing {name}")
    return value
