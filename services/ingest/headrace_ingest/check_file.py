"""`python -m headrace_ingest.check_file FILE`: would this file be landed? Reads all of it."""

import argparse
import sys

from headrace_ingest.adapters.files import Columns, read_content, read_rows
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.settings import Settings


def main() -> int:
    """Print how many rows the file has, or why it cannot be read (exit code 1)."""
    parser = argparse.ArgumentParser(description="Says whether a file of rows can be landed.")
    parser.add_argument("file")
    parser.add_argument("--prompt", default="prompt", help="the column of prompts")
    parser.add_argument("--completion", default="completion", help="the column of answers")
    asked = parser.parse_args()
    try:
        content = read_content(asked.file, Settings().max_file_bytes)
        rows = read_rows(asked.file, content, Columns(asked.prompt, asked.completion))
    except UnreadableSource as error:
        sys.stderr.write(f"{error.reason}\n")
        return 1
    sys.stdout.write(f"{len(rows)} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
