"""What a shell offers behind a command: attachments, profiles, roles; `completion` makes it ask.

Whoever presses TAB waits, and reads no errors: nothing is asked of a server or the supervisor, and
what cannot be read offers nothing. The names are those of this machine, also behind `--on`.
"""

from collections.abc import Iterable

import click

from gadgetip.errors import GadgetipError
from gadgetip.profiles import profile_files
from gadgetip.strict_toml import load_document


def attachment_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Those of the configuration that begin so and are not named yet."""
    # Only here: commands that complete something else do not need it.
    from gadgetip.supervisor.config import CONFIG_FILE  # noqa: PLC0415
    from gadgetip.supervisor.config_here import config_kind_here  # noqa: PLC0415

    contexts = (context, context.parent)
    named = [each.params.get("config") for each in contexts if each is not None]
    file = next(filter(None, named), CONFIG_FILE)
    try:
        config = load_document(file, config_kind_here())
    except GadgetipError:
        return []
    given = context.params.get("names") or ()
    return _beginning(incomplete, (a.name for a in config.attachments if a.name not in given))


def profile_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The names of shipped and installed profiles that begin so."""
    try:
        return _beginning(incomplete, (each.name for each in profile_files()))
    except GadgetipError:
        return []


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
