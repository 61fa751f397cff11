"""What can go wrong with the bench, said to the person who ran it."""


class BenchError(Exception):
    """The bench cannot do what was asked; the message is for the person, without a traceback."""
