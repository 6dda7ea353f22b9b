"""The one kind of error that the command line prints as a plain message."""


class StackError(Exception):
    """What was wrong and what to do, in words for the person at the terminal."""

    exit_code = 1
