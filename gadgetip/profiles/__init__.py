"""profiles: what a person wishes for a kind of device, instead of the automatic choice.

`profile` is the profile as data, `toml_form` reads it from the form in which people write it,
`finding` knows where the files are, `choosing` which one a device has. This room knows USB's words
and neither a device nor a controller: who fulfils a wish, or refuses it, is the plan.
"""

from gadgetip.profiles.choosing import choose_profile
from gadgetip.profiles.finding import (
    OWN_PROFILES,
    ProfileFile,
    find_profile,
    is_path,
    load_profile,
    profile_files,
    shipped_profiles,
)
from gadgetip.profiles.profile import (
    AUTO,
    BACKENDS,
    GENERIC,
    ON_LOSS,
    SHAPERS,
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    LinkWishes,
    Profile,
    ProfileChoice,
)
from gadgetip.profiles.toml_form import (
    MAX_HOLD_S,
    PROFILE_KIND,
    SCHEMA,
    decode_profile,
    is_profile_name,
    parse_profile,
)

__all__ = [
    "AUTO",
    "BACKENDS",
    "GENERIC",
    "MAX_HOLD_S",
    "ON_LOSS",
    "OWN_PROFILES",
    "PROFILE_KIND",
    "SCHEMA",
    "SHAPERS",
    "EndpointWish",
    "GadgetWishes",
    "IdentityWishes",
    "InterfaceWish",
    "LinkWishes",
    "Profile",
    "ProfileChoice",
    "ProfileFile",
    "choose_profile",
    "decode_profile",
    "find_profile",
    "is_path",
    "is_profile_name",
    "load_profile",
    "parse_profile",
    "profile_files",
    "shipped_profiles",
]
