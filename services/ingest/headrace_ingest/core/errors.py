"""What can be wrong with a source."""


class UnreadableSource(Exception):
    """A source cannot be read; the reason says what is wrong and what to do, without its text."""

    def __init__(self, reason: str, *, param: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param
        """The request field or source setting to correct, when there is one."""
