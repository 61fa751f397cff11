"""The manual pages, made from the commands themselves: python -m gadgetip.cli.manual DIRECTORY.

A page for `gadgetip` and one for each of its commands. What a command's help says, its page says
too, under the headings that man-pages(7) gives; there is no second text that could differ. Hidden
options, the stock tools' spellings, are in neither.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gadgetip import __version__
from gadgetip.cli.main import cli

SECTION = "1"
COMMON = {"verbose", "quiet", "debug", "as_json", "config", "on"}
"""The options that every command has, by the names of their parameters."""
HEADINGS = {"Examples": "EXAMPLES", "Example": "EXAMPLES", "Exit status": "EXIT STATUS"}
"""What begins a paragraph of a help's end, and the section that it becomes."""

FILES = (
    ("/etc/gadgetip/gadgetip.toml", "the configuration: what `gadgetip run` keeps attached"),
    ("/etc/gadgetip/policy.toml", "what `gadgetip serve` exports, to whom, and under which names"),
    ("/etc/gadgetip/profiles/*.toml", "profiles of this machine, beside the shipped ones"),
    ("/etc/gadgetip/hooks.d/*", "programs that run when an attachment changes its state"),
    ("/var/lib/gadgetip", "what was stopped and bound by hand"),
    ("/run/gadgetip", "sockets, locks, and what a restart cleans up after"),
)


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    return {f"{name}.{SECTION}": page for name, page in _walk(cli, ("gadgetip",), None)}


def _walk(
    command: click.Command, words: tuple[str, ...], parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    # With the command's own settings: click keeps what it makes of them (-h) with the command.
    settings = command.context_settings
    context = click.Context(command, info_name=words[-1], parent=parent, **settings)
    names = []
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            if not inner.hidden:
                names.append((name, inner))
    yield "-".join(words), _page(command, words, context, names)
    for name, inner in names:
        yield from _walk(inner, (*words, name), context)


def _page(
    command: click.Command,
    words: tuple[str, ...],
    context: click.Context,
    inner: list[tuple[str, click.Command]],
) -> str:
    title = "-".join(words)
    first, *described = _paragraphs(command.help or "")
    lines = [
        f'.TH {_escaped(title.upper())} {SECTION} "" "gadgetip {__version__}" "gadgetip"',
        ".SH NAME",
        _escaped(f"{title} - {first.rstrip('.').split('. ')[0]}"),
        ".SH SYNOPSIS",
        f"\\fB{_escaped(' '.join(words))}\\fR {_escaped(_usage(command, context))}",
        ".SH DESCRIPTION",
        *_joined(_escaped(each) for each in (first, *described)),
    ]
    if inner:
        lines += [".SH COMMANDS"]
        for name, each in inner:
            page = "-".join((*words, name))
            summary = next(iter(_paragraphs(each.help or "")), "")
            lines += [".TP", f"\\fB{_escaped(page)}\\fR({SECTION})", _escaped(summary)]
    lines += _options("OPTIONS", command, context, common=False)
    lines += _end(command.epilog or "")
    lines += _options("COMMON OPTIONS", command, context, common=True)
    if len(words) == 1:
        lines += [".SH FILES"]
        for path, meaning in FILES:
            lines += [".TP", f"\\fI{_escaped(path)}\\fR", _escaped(meaning)]
    lines += _see_also(words, inner)
    return "\n".join(lines) + "\n"


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join(command.collect_usage_pieces(context))


def _options(
    heading: str, command: click.Command, context: click.Context, *, common: bool
) -> list[str]:
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if not isinstance(parameter, click.Option) or record is None:
            continue
        if (parameter.name in COMMON) == common:
            spelling, meaning = record
            lines += [".TP", f"\\fB{_escaped(spelling)}\\fR", _escaped(meaning)]
    return [f".SH {heading}", *lines] if lines else []


def _end(epilog: str) -> list[str]:
    """The paragraphs behind the options; those that begin with a known word are sections."""
    lines: list[str] = []
    notes: list[str] = []
    for paragraph in epilog.strip("\n").split("\n\n"):
        fixed = paragraph.startswith("\b\n")
        text = paragraph.removeprefix("\b\n")
        word, colon, rest = text.partition(":")
        if colon and word in HEADINGS:
            lines.append(f".SH {HEADINGS[word]}")
            lines += _as_it_is(rest.strip("\n")) if "\n" in text else [_escaped(rest.strip())]
        elif text:
            notes += [".PP", *(_as_it_is(text) if fixed else [_escaped(text)])]
    return [*([".SH NOTES", *notes] if notes else []), *lines]


def _see_also(words: tuple[str, ...], inner: list[tuple[str, click.Command]]) -> list[str]:
    above = ["-".join(words[:depth]) for depth in range(1, len(words))]
    names = [*above, *("-".join((*words, name)) for name, _ in inner)]
    if not names:
        return []
    return [".SH SEE ALSO", ", ".join(f"\\fB{_escaped(name)}\\fR({SECTION})" for name in names)]


def _paragraphs(text: str) -> list[str]:
    """Paragraphs of a help, each on one line."""
    parts = text.strip().split("\n\n")
    return [" ".join(part.split()) for part in parts if part.strip()]


def _joined(paragraphs: Iterator[str]) -> list[str]:
    lines: list[str] = []
    for each in paragraphs:
        lines += [".PP", each] if lines else [each]
    return lines


def _as_it_is(text: str) -> list[str]:
    """Lines that keep their breaks and columns."""
    return [".nf", *(_escaped(line) for line in text.split("\n")), ".fi"]


def _escaped(text: str) -> str:
    """Text that roff prints as it is; a hyphen is one that can be copied into a shell."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text


def main(directory: str) -> None:
    """Write the pages."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
