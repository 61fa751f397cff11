"""A group of commands each of which is imported when it is called.

Starting up is a good part of a short run on a board, and most of it is importing: what one command
needs, the others do not wait for.
"""

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from gadgetip.errors import PrerequisiteError


class CommandTable(click.Group):
    """`places` has for each command, by name, the module and the name in it: "a.module:name".

    `spellings` has further names for some, which are left out of the help.
    """

    def __init__(
        self,
        *args: Any,
        places: Mapping[str, str],
        spellings: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.places = places
        self._spellings = spellings or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted({*self.places, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; raises `PrerequisiteError` if it needs a missing library."""
        place = self.places.get(self._spellings.get(cmd_name, cmd_name))
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, name = place.split(":")
        # What is imported stays: to look for garbage in it meanwhile takes a tenth of the time.
        gc.disable()
        try:
            command = getattr(import_module(module), name)
        except OSError as error:
            # The packages `libaio` and `functionfs` open the C library when they are imported.
            raise PrerequisiteError(
                f"a library is missing ({error}): apt install libaio1 (libaio1t64 on Debian 13)"
            ) from None
        finally:
            gc.enable()
        assert isinstance(command, click.Command)
        return command
