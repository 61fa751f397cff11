"""Which profile an attachment's device has, once it is known.

What the configuration says of a lost link goes before what the profile says.
"""

from collections.abc import Callable

from gadgetip.matching import DeviceFacts
from gadgetip.profiles import Profile, choose_profile
from gadgetip.supervisor.config import ConfiguredAttachment


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
