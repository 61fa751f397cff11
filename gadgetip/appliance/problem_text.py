"""gadgetip-problem.txt: what a board did not understand, for somebody without a terminal.

The card goes back into a PC, where this file lies beside the one that it is about. Its reader knows
neither the board nor this project. No value is quoted that may be a passphrase.
"""

import textwrap
from collections.abc import Iterable

from gadgetip.strict_toml import FileError, FileFault, decode_document
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND

CONFIG_NAME = "gadgetip.toml"
PROBLEM_NAME = "gadgetip-problem.txt"

WIDTH = 78

GOES_ON = "The board goes on with the last gadgetip.toml that was right."
STANDS_STILL = "The board does nothing until this is put right."


def problem_text(data: bytes, *, earlier: bool = False) -> str:
    """The text about an image's gadgetip.toml with this content; "" if nothing is wrong with it.

    `earlier` says whether an earlier one that was right goes on.
    """
    return problem_page(problems_of(data), earlier=earlier)


def problems_of(data: bytes) -> tuple[str, ...]:
    """What is wrong with an image's gadgetip.toml, a sentence each, with the line."""
    try:
        decode_document(data, CONFIG_NAME, IMAGE_CONFIG_KIND)
    except FileError as error:
        return tuple(map(_in_words, error.faults)) or (str(error),)
    return ()


def problem_page(problems: Iterable[str], *, earlier: bool) -> str:
    """The whole text about a file that is refused; "" without a problem."""
    found = tuple(problems)
    if not found:
        return ""
    count = "one thing is wrong" if len(found) == 1 else f"{len(found)} things are wrong"
    end = GOES_ON if earlier else STANDS_STILL
    return _page(f"{CONFIG_NAME} cannot be used: {count}.", found, end)


def note_page(to_do: Iterable[str]) -> str:
    """The whole text about a file that is taken over; "" if its owner has nothing to do."""
    found = tuple(to_do)
    if not found:
        return ""
    count = (
        "there is one thing to do" if len(found) == 1 else f"there are {len(found)} things to do"
    )
    return _page(f"{CONFIG_NAME} is taken over, but {count}.", found)


def _page(heading: str, items: Iterable[str], *ends: str) -> str:
    paragraphs = [
        textwrap.fill(heading, WIDTH),
        *(
            textwrap.fill(each, WIDTH, initial_indent="* ", subsequent_indent="  ")
            for each in items
        ),
        *ends,
        textwrap.fill(
            f"What to do: open {CONFIG_NAME}, beside this file, in a text editor (Notepad will "
            "do), correct it, and start the board again with this card. This file goes away when "
            "all is well.",
            WIDTH,
        ),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _in_words(fault: FileFault) -> str:
    return f"Line {fault.line}: {fault.problem}"
