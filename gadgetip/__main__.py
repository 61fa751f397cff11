"""`python -m gadgetip`: the same as the `gadgetip` command."""

from gadgetip.cli import main

main()
