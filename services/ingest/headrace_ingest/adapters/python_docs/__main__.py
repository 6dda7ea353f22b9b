"""Write the rows as JSON lines to standard output."""

import contextlib
import io
import json
import sys

from headrace_ingest.adapters.python_docs.docstrings import docstring_rows
from headrace_ingest.adapters.python_docs.topics import topic_rows
from headrace_ingest.core.records import Row, digest


def unique_rows() -> list[Row]:
    """Return the rows in a stable, mixed order; a repeated question or answer is kept once."""
    prompts: set[str] = set()
    answers: set[str] = set()
    rows = []
    for source in (topic_rows, docstring_rows):
        for row in source():
            # The same answer under many names (inherited or copied docstrings) teaches nothing.
            if row.prompt.lower() in prompts or row.completion.lower() in answers:
                continue
            prompts.add(row.prompt.lower())
            answers.add(row.completion.lower())
            rows.append(row)
    # By hash, so that a `limit` takes a bit of everything and not the first modules.
    return sorted(rows, key=lambda row: digest("order", row.prompt))


def main() -> None:
    """Collect with standard output and error silenced: some modules greet on import."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        rows = unique_rows()
    for row in rows:
        sys.stdout.write(json.dumps([row.prompt, row.completion]) + "\n")


if __name__ == "__main__":
    main()
