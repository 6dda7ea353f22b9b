"""Plain text, in one of two layouts.

One row per line: `prompt<TAB>completion`, if every line that is not blank has a tab.
Otherwise blocks separated by blank lines: a block's first line is the prompt, the rest the
completion.
"""

import re

from headrace_ingest.adapters.decoding import decode
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_text(content: bytes, _prompt: str, _completion: str) -> list[Row]:
    """Read tabbed lines or blocks; text has no columns, so their names do not matter."""
    text = decode(content).replace("\r\n", "\n")
    lines = [line for line in text.split("\n") if line.strip()]
    if all("\t" in line for line in lines):
        return [Row(*line.split("\t", 1)) for line in lines]
    return [_block(number, b) for number, b in enumerate(_BLANK_LINES.split(text.strip()), start=1)]


def _block(number: int, block: str) -> Row:
    prompt, separator, completion = block.strip("\n").partition("\n")
    if not separator:
        raise UnreadableSource(
            f"paragraph {number} has one line: write `prompt<TAB>completion` on every line, or "
            "paragraphs whose first line is the prompt and whose rest is the completion",
            param="file",
        )
    return Row(prompt, completion)
