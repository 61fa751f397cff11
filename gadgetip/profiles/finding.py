"""Where profiles are: the owner's first, then those that gadgetip ships.

A profile is named by a path, or by its name alone. The owner's directory comes first, so that a
shipped profile is changed by copying it there under its own name. The shipped ones are installed
as files of the package.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from gadgetip.profiles.profile import Profile
from gadgetip.profiles.toml_form import PROFILE_KIND, is_profile_name
from gadgetip.strict_toml import FileError, load_document, nearest, shown
from gadgetip.usb import printable

OWN_PROFILES = Path("/etc/gadgetip/profiles")
SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A profile's file, found by its name; nobody has read it yet.

    `hides` says that gadgetip ships a profile of this name too.
    """

    name: str
    file: Traversable
    shipped: bool
    hides: bool = False

    def load(self) -> Profile:
        """The profile in it; raises `FileError` when it cannot be read or understood."""
        profile = load_document(self.file, PROFILE_KIND)
        if profile.name != self.name:
            raise FileError(
                f"{printable(str(self.file))}: the profile in it is named {profile.name}, "
                "so nobody finds it under either name: rename one of the two"
            )
        return profile


@cache
def shipped_profiles() -> dict[str, Profile]:
    """The profiles that gadgetip ships, by name.

    They are read once. On a small board that takes a good part of a second, which a caller may
    spend before the device is there: a bootloader does not live much longer.
    """
    return {file.name: file.load() for file in profile_files(None)}


def load_profile(name_or_path: str, own: Path = OWN_PROFILES) -> Profile:
    """The profile of this name, or in the file of this path (with a "/", or ending in ".toml").

    `own` is the directory that comes before the shipped profiles. Raises `FileError` when
    there is no such profile, or it cannot be read or understood.
    """
    if is_path(name_or_path):
        return load_document(Path(name_or_path), PROFILE_KIND)
    return find_profile(name_or_path, own).load()


def find_profile(name: str, own: Path = OWN_PROFILES) -> ProfileFile:
    """The file of the profile of this name; raises `FileError` when there is none."""
    files = profile_files(own)
    found = next((each for each in files if each.name == name), None)
    if found is None:
        hint = nearest(name, tuple(each.name for each in files))
        raise FileError(f"there is no profile {shown(name)}{hint}")
    return found


def profile_files(own: Path | None = OWN_PROFILES) -> tuple[ProfileFile, ...]:
    """The files that are found by a name, in alphabetical order; None leaves out the owner's.

    Raises `FileError` when a directory cannot be read; most owners have none.
    """
    files = {name: ProfileFile(name, file, True) for name, file in _entries(_shipped())}
    for name, file in _entries(own) if own is not None else ():
        files[name] = ProfileFile(name, file, False, hides=name in files)
    return tuple(files[name] for name in sorted(files))


def is_path(name_or_path: str) -> bool:
    """Whether this names a file, and not a profile."""
    return "/" in name_or_path or name_or_path.endswith(SUFFIX)


def _shipped() -> Traversable:
    return resources.files("gadgetip") / "configfs_profiles"


def _entries(directory: Traversable) -> list[tuple[str, Traversable]]:
    try:
        entries = list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FileError(f"{printable(str(directory))}: {error.strerror}") from None
    named = [(file.name.removesuffix(SUFFIX), file) for file in entries]
    return [(n, file) for n, file in named if file.name.endswith(SUFFIX) and is_profile_name(n)]
