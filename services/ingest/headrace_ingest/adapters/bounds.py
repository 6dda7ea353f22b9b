"""How much one file may hold: more is refused before it fills the memory."""

from headrace_ingest.core.errors import UnreadableSource

MOST_ROWS = 2_000_000
MOST_BYTES = 1 << 30
"""Of text in the two columns, unpacked: a packed file of a few KiB may hold terabytes."""


def too_many_rows() -> UnreadableSource:
    """Return the error of a file with more than MOST_ROWS."""
    return UnreadableSource(
        f"the file has more than {MOST_ROWS} rows: split it into several sources", param="file"
    )


def too_many_bytes() -> UnreadableSource:
    """Return the error of a file that unpacks to more than MOST_BYTES."""
    return UnreadableSource(
        f"the file unpacks to more than {MOST_BYTES} bytes of text: split it into several sources",
        param="file",
    )
