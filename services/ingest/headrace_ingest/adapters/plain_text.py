"""Plain text, in one of two layouts.

One row per line: `prompt<TAB>completion`, if every line that is not blank has a tab.
Otherwise blocks separated by blank lines: a block's first line is the prompt, the rest the
completion.
"""

import re
from collections.abc import Iterator

from headrace_ingest.adapters.decoding import decode, lines
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_text(content: bytes, _prompt: str, _completion: str) -> Iterator[Row]:
    """Read tabbed lines or blocks; text has no columns, so their names do not matter."""
    all_lines = lines(decode(content))
    written = [line for line in all_lines if line.strip()]
    if all("\t" in line for line in written):
        return (Row(*line.split("\t", 1)) for line in written)
    blocks = _BLANK_LINES.split("\n".join(all_lines).strip())
    return (_block(number, block) for number, block in enumerate(blocks, start=1))


def _block(number: int, block: str) -> Row:
    prompt, separator, completion = block.strip("\n").partition("\n")
    if not separator:
        raise UnreadableSource(
            f"paragraph {number} has one line: write `prompt<TAB>completion` on every line, or "
            "paragraphs whose first line is the prompt and whose rest is the completion",
            param="file",
        )
    return Row(prompt, completion)
