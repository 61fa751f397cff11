"""-o FILE: a file that a command writes, and never writes over; - is standard output."""

from collections.abc import Mapping
from pathlib import Path

import click

from gadgetip.cli.output import Output, safe
from gadgetip.errors import GadgetipError
from gadgetip.profiles.toml_form import is_profile_name


def _file_or_none(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    return None if value == Path("-") else value


new_file_option = click.option(
    "-o",
    "--output",
    "new_file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    callback=_file_or_none,
    help="Write to FILE, which must not exist yet, and not to standard output (-).",
)


def name_of(new_file: Path | None) -> str | None:
    """The name that a profile in this file has to have to be found; None if it can have none."""
    if new_file is None or new_file.suffix != ".toml" or not is_profile_name(new_file.stem):
        return None
    return new_file.stem


def write_new(
    output: Output, text: str, new_file: Path | None, document: Mapping[str, object]
) -> None:
    """Write the text to the file, else to standard output; with --json the document."""
    if new_file is not None:
        try:
            with new_file.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise GadgetipError(
                f"{new_file} exists: remove it first, or choose another name"
            ) from None
        except OSError as error:
            raise GadgetipError(f"cannot write {new_file}: {error.strerror}") from None
    if output.json:
        output.result({**document, "file": None if new_file is None else str(new_file)})
    elif new_file is None:
        for line in text.splitlines():
            click.echo(safe(line))
    else:
        output.say(f"wrote {new_file}")
