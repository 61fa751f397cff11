"""The manual pages say what the help says."""

import re
from pathlib import Path

import click
import pytest

from gadgetip.cli.main import COMMANDS, cli
from gadgetip.cli.manual import HEADINGS, main, pages

PAGES = pages()
SECTIONS = (
    *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "NOTES", "EXIT STATUS"),
    *("EXAMPLES", "COMMON OPTIONS", "FILES", "SEE ALSO"),
)


def plain(page: str) -> str:
    """What roff would print, but for line breaks."""
    text = re.sub(r"\\f[BIR]", "", page)
    for escape, character in (
        (r"\-", "-"),
        (r"\(ga", "`"),
        (r"\(aq", "'"),
        (r"\(ha", "^"),
        (r"\(ti", "~"),
        (r"\&", ""),
        (r"\e", "\\"),
    ):
        text = text.replace(escape, character)
    return text


def commands() -> dict[str, click.Command]:
    """Every command that is not hidden, by the name of its page."""
    found: dict[str, click.Command] = {}

    def walk(name: str, command: click.Command, parent: click.Context | None) -> None:
        found[name] = command
        context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
        if isinstance(command, click.Group):
            for inner_name in command.list_commands(context):
                inner = command.get_command(context, inner_name)
                assert inner is not None
                if not inner.hidden:
                    walk(f"{name}-{inner_name}", inner, context)

    walk("gadgetip", cli, None)
    return found


FOUND = commands()


def test_making_them_changes_no_command() -> None:
    assert pages() == PAGES
    assert "\\fB\\-h, \\-\\-help\\fR" in PAGES["gadgetip.1"]


def test_every_command_has_a_page() -> None:
    assert PAGES.keys() == {f"{name}.1" for name in FOUND}
    assert {f"gadgetip-{name}.1" for name in COMMANDS} < PAGES.keys()
    assert "gadgetip-board-setup.1" in PAGES
    assert "gadgetip-board-watch.1" not in PAGES


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_page_has_what_the_help_has(name: str) -> None:
    command, text = FOUND[name], plain(PAGES[f"{name}.1"])
    words = " ".join(text.split())
    context = click.Context(command, info_name=name, **command.context_settings)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            assert all(" ".join(part.split()) in words for part in record)
        elif isinstance(parameter, click.Option):
            assert parameter.opts[-1] not in words.split()
    assert " ".join((command.help or "").split()) in words.replace(" .PP ", " ")
    lines = set(text.splitlines())
    for line in (command.epilog or "").replace("\b\n", "").splitlines():
        if line.partition(":")[0] not in HEADINGS:
            assert line in lines or " ".join(line.split()) in words


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_form_of_a_page(name: str) -> None:
    lines = PAGES[name].splitlines()
    assert lines[0].startswith(".TH GADGETIP")
    assert lines[1] == ".SH NAME"
    assert re.fullmatch(r"gadgetip(\\-[a-z]+)* \\- .+[^.]", lines[2])
    sections = [line.removeprefix(".SH ") for line in lines if line.startswith(".SH ")]
    assert set(sections) <= set(SECTIONS)
    assert len(set(sections)) == len(sections)
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}
    assert lines.count(".nf") == lines.count(".fi")
    # Every backslash is one of roff's own escapes.
    assert not re.findall(r"\\(?!-|e|&|f[BIR]|\((?:ga|aq|ha|ti))", PAGES[name])


def test_the_files(tmp_path: Path) -> None:
    main(str(tmp_path / "man"))
    assert {file.name: file.read_text() for file in (tmp_path / "man").iterdir()} == PAGES
