"""Which profile a device has, once it is known.

The most specific match wins (`gadgetip.matching`), among the owner's profiles and the shipped ones
alike. Where the owner's and a shipped one fit equally well, the owner's is taken: what gadgetip
ships grows from release to release, and no release may stop a device that worked. Any other tie is
an error, because nobody can say which of the two was meant.

A file of the owner's that cannot be understood is not used, and said so: it must not take every
other device down. The shipped profile that it hides stays hidden, since its owner did not want that
one.
"""

import logging
from pathlib import Path

from gadgetip.matching import DeviceFacts, best_fits
from gadgetip.profiles.finding import (
    OWN_PROFILES,
    ProfileFile,
    load_profile,
    profile_files,
    shipped_profiles,
)
from gadgetip.profiles.profile import AUTO, GENERIC, Profile
from gadgetip.strict_toml import FileError
from gadgetip.usb import printable

log = logging.getLogger(__name__)


def choose_profile(name: str, facts: DeviceFacts, own: Path = OWN_PROFILES) -> Profile:
    """The profile that is named (see `load_profile`); "auto" is the one that fits the device best.

    A match that needs what is not known of the device does not fit. Raises `FileError` for a tie,
    and for a profile that is named and cannot be had. One that is named, or the owner's, insists on
    what it holds.
    """
    if name != AUTO:
        return load_profile(name, own).insisting()
    best = best_fits(_readable(own), lambda each: each[1].matches, facts)
    own_best = [each for each in best if not each[0].shipped]
    chosen = own_best or list(best)
    if len(chosen) > 1:
        names = " and ".join(profile.name for _, profile in chosen)
        files = ", ".join(printable(str(file.file)) for file, _ in chosen)
        raise FileError(
            f"the profiles {names} fit this device equally well ({files}): "
            "make one's match closer, or choose with --profile"
        )
    if not chosen:
        return GENERIC
    file, profile = chosen[0]
    return profile if file.shipped else profile.insisting()


def _readable(own: Path) -> list[tuple[ProfileFile, Profile]]:
    try:
        files = profile_files(own)
    except FileError as error:
        log.warning("%s: no profile in there is used", error)
        files = profile_files(None)
    found = []
    for file in files:
        try:
            profile = shipped_profiles()[file.name] if file.shipped else file.load()
            found.append((file, profile))
        except FileError as error:
            log.warning("%s: this profile is not used", error)
    return found
