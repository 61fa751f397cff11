"""cli: the command line. Parse, call, print; whatever decides or acts lives elsewhere."""

from gadgetip.cli.main import main

__all__ = ["main"]
