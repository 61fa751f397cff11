"""Which profile an attachment's device has, once it is known.

What the configuration says of a lost link and of the controller goes before what the profile says.
What a profile says of the controller and of the pauses between attempts is needed before the device
is there, so it counts only in a profile that the configuration names.
"""

from collections.abc import Callable

from gadgetip.matching import DeviceFacts
from gadgetip.profiles import Profile, choose_profile, load_profile
from gadgetip.strict_toml import FileError
from gadgetip.supervisor.config import AUTO, ConfiguredAttachment


def profile_of(
    configured: ConfiguredAttachment, facts: DeviceFacts, chosen: Callable[[Profile], None]
) -> Profile:
    """The profile for this device, with the attachment's own wishes in it.

    `chosen` is told which one it is. Raises `FileError` for a profile that cannot be read,
    and for two that fit equally well.
    """
    profile = choose_profile(configured.profile, facts)
    if configured.on_loss == "unplug":
        profile = profile.held_for(0)
    elif configured.hold_s is not None and "hold" in {configured.on_loss, profile.link.on_loss}:
        profile = profile.held_for(configured.hold_s)
    chosen(profile)
    return profile


def named_profile(configured: ConfiguredAttachment) -> Profile | None:
    """The profile that the configuration names for this attachment; None where it names none.

    None also for one that cannot be read: with that the device is refused, once it is known.
    """
    if configured.profile == AUTO:
        return None
    try:
        return load_profile(configured.profile)
    except FileError:
        return None


def wished_udc(configured: ConfiguredAttachment, named: Profile | None) -> str | None:
    """The controller that this attachment wants, None for any."""
    if configured.udc != AUTO:
        return configured.udc
    return None if named is None else named.gadget.udc
