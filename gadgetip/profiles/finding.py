"""Where profiles are: the owner's first, then those that gadgetip ships.

A profile is named by a path, or by its name alone. The owner's directory comes first, so that a
shipped profile is changed by copying it there under its own name. The shipped ones are installed
as files of the package.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from gadgetip.profiles.profile import Profile
from gadgetip.profiles.toml_form import PROFILE_KIND, is_profile_name
from gadgetip.strict_toml import FileError, load_document, nearest, shown
from gadgetip.usb import printable

OWN_PROFILES = Path("/etc/gadgetip/profiles")
SUFFIX = ".toml"


def load_profile(name_or_path: str, own: Path = OWN_PROFILES) -> Profile:
    """The profile of this name, or in the file of this path (with a "/", or ending in ".toml").

    `own` is the directory that comes before the shipped profiles. Raises `FileError` when
    there is no such profile, or it cannot be read or understood.
    """
    if "/" in name_or_path or name_or_path.endswith(SUFFIX):
        return load_document(Path(name_or_path), PROFILE_KIND)
    file = _files(own).get(name_or_path)
    if file is None:
        hint = nearest(name_or_path, profile_names(own))
        raise FileError(f"there is no profile {shown(name_or_path)}{hint}")
    profile = load_document(file, PROFILE_KIND)
    if profile.name != name_or_path:
        raise FileError(
            f"{printable(str(file))}: the profile in it is named {profile.name}, "
            "so nobody finds it under either name: rename one of the two"
        )
    return profile


def profile_names(own: Path = OWN_PROFILES) -> tuple[str, ...]:
    """The names under which `load_profile` finds a file, in alphabetical order."""
    return tuple(sorted(_files(own)))


def _files(own: Path) -> dict[str, Traversable]:
    """Each profile's file by its name; one of the owner's hides a shipped one."""
    files: dict[str, Traversable] = {}
    for directory in (resources.files("gadgetip") / "configfs_profiles", own):
        try:
            entries = list(directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):  # most owners have none
            continue
        except OSError as error:
            raise FileError(f"{printable(str(directory))}: {error.strerror}") from None
        for file in entries:
            name = file.name.removesuffix(SUFFIX)
            if file.name.endswith(SUFFIX) and is_profile_name(name):
                files[name] = file
    return files
