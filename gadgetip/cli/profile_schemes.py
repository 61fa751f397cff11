"""`gadgetip profile import` and `export`: gadget schemes of gt and libusbgx."""

from pathlib import Path

import click

from gadgetip.cli.completing import profile_names
from gadgetip.cli.new_file import name_of, new_file_option, write_new
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError
from gadgetip.profiles import load_profile
from gadgetip.profiles.gadget_scheme import MAX_SCHEME_BYTES, read_scheme, write_scheme
from gadgetip.profiles.toml_form import is_profile_name
from gadgetip.profiles.writing import profile_text
from gadgetip.strict_toml.reading import read_bytes

IMPORT_EPILOG = """\b
Examples:
  gadgetip profile import gadget.scheme
  gadgetip profile import gadget.scheme -o /etc/gadgetip/profiles/mine.toml
"""
EXPORT_EPILOG = """\b
Examples:
  gadgetip profile export mine > gadget.scheme
  gadgetip profile export ./mine.toml -o gadget.scheme
"""


@click.command("import", epilog=IMPORT_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@new_file_option
@common_options
def import_scheme(output: Output, file: Path, new_file: Path | None) -> None:
    """Write the profile that a gadget scheme of gt or libusbgx amounts to.

    Ids, versions, strings and power are carried over. What is lost is said, item by item.
    """
    try:
        text = read_bytes(file, MAX_SCHEME_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise GadgetipError(f"{file}: {error.strerror or error}") from None
    except ValueError:  # a NUL, which no path can have
        raise GadgetipError(f"{file}: this is no path") from None
    name = name_of(new_file) or (file.stem if is_profile_name(file.stem) else "imported")
    profile, lost = read_scheme(text, str(file), name)
    _say_what_is_lost(output, lost)
    written = profile_text(profile)
    write_new(output, written, new_file, {"name": name, "profile": written, "lost": list(lost)})


@click.command("export", epilog=EXPORT_EPILOG)
@click.argument("name", metavar="NAME|FILE", shell_complete=profile_names)
@new_file_option
@common_options
def export_profile(output: Output, name: str, new_file: Path | None) -> None:
    """Write the gadget scheme, for gt or libusbgx, that a profile amounts to.

    Ids, versions, strings and power are carried over. What is lost is said, item by item.
    """
    profile = load_profile(name)
    scheme, lost = write_scheme(profile)
    _say_what_is_lost(output, lost)
    write_new(
        output, scheme, new_file, {"name": profile.name, "scheme": scheme, "lost": list(lost)}
    )


def _say_what_is_lost(output: Output, lost: tuple[str, ...]) -> None:
    if not output.json:
        for item in lost:
            output.warn(f"lost: {item}")
