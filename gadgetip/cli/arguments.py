"""The arguments that several commands take: HOST and DEVICE, with their stock spellings."""

from dataclasses import replace
from typing import Any

import click

from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.profiles import BACKENDS, GENERIC, MAX_HOLD_S, Profile, load_profile


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


class ProfileType(click.ParamType[Profile]):
    """NAME or FILE of a profile."""

    name = "profile"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 (a profile's own errors are no usage errors)
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Profile:
        """Load it, strictly."""
        return value if isinstance(value, Profile) else load_profile(str(value))


profile_option = click.option(
    "--profile",
    type=ProfileType(),
    metavar="NAME|FILE",
    default=GENERIC,
    show_default="generic",
    help="What is wished for this device: a shipped or installed profile, or a file.",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="What the replica is built on; the plan chooses by itself.",
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


hold_option = click.option(
    "--hold",
    type=SecondsType(),
    metavar="SECONDS",
    help="Keep the host's device so long when the link is lost; 0 unplugs it at once.",
)


def with_backend(profile: Profile, backend: str | None) -> Profile:
    """The profile with the command line's backend, which goes first."""
    if backend is None:
        return profile
    return replace(profile, gadget=replace(profile.gadget, backend=backend))


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
