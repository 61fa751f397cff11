"""`gadgetip profile`: what profiles there are, and new ones."""

import tomllib
from pathlib import Path

import click

from gadgetip.cli.completing import profile_names
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.cli.profile_schemes import export_profile, import_scheme
from gadgetip.cli.profile_suggest import suggest
from gadgetip.profiles import ProfileFile, find_profile, is_path, load_profile, profile_files
from gadgetip.strict_toml import MAX_FILE_BYTES, FileError
from gadgetip.strict_toml.reading import read_bytes

EPILOG = """\b
Examples:
  gadgetip profile list
  gadgetip profile show generic
  gadgetip profile suggest nas.lan 0483:5740 -o /etc/gadgetip/profiles/stm32.toml
  gadgetip profile import gadget.scheme -o mine.toml
  gadgetip profile export mine -o gadget.scheme
"""
LIST_EPILOG = """\b
Examples:
  gadgetip profile list
  gadgetip profile list --json
"""
SHOW_EPILOG = """\b
Examples:
  gadgetip profile show mass-storage
  gadgetip profile show generic > mine.toml
"""


@click.group(epilog=EPILOG)
def profile() -> None:
    """Show the profiles that there are, and make new ones.

    A profile says what is wished for a kind of device instead of the automatic choice.
    """


@profile.command("list", epilog=LIST_EPILOG)
@common_options
def list_profiles(output: Output) -> None:
    """List the profiles that are found by name: shipped, and in /etc/gadgetip/profiles."""
    rows = [_row(file) for file in profile_files()]
    if output.json:
        output.result(rows)
        return
    table = [(str(r["name"]), _whose(r), str(r["summary"] or r["problem"] or "")) for r in rows]
    output.table(("PROFILE", "FROM", "SUMMARY"), table)


@profile.command(epilog=SHOW_EPILOG)
@click.argument("name", metavar="NAME|FILE", shell_complete=profile_names)
@common_options
def show(output: Output, name: str) -> None:
    """Print a profile's file, to read or to copy from."""
    content = load_profile(name)
    file = Path(name) if is_path(name) else find_profile(name).file
    text = read_bytes(file, MAX_FILE_BYTES).decode("utf-8-sig")
    if output.json:
        written = tomllib.loads(text)
        output.result({"name": content.name, "file": str(file), "profile": written})
        return
    for line in text.splitlines():
        click.echo(safe(line.replace("\t", "    ")))


profile.add_command(suggest)
profile.add_command(import_scheme)
profile.add_command(export_profile)


def _row(file: ProfileFile) -> dict[str, object]:
    summary, problem = None, None
    try:
        summary = file.load().summary
    except FileError as error:
        problem = str(error)
    return {
        "name": file.name,
        "file": str(file.file),
        "shipped": file.shipped,
        "hides_shipped": file.hides,
        "summary": summary,
        "problem": problem,
    }


def _whose(row: dict[str, object]) -> str:
    if row["shipped"]:
        return "shipped"
    return "own, hides the shipped" if row["hides_shipped"] else "own"
