"""`python -m headrace_stack.commands.reference FILE`: the help of every command as one page.

Without FILE it is printed. The page in `docs/cli.md` is written by `make docs`.
"""

import sys
from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

_HEAD = """# The command line

Written by `make docs` from the commands' own help; `headrace COMMAND --help` shows the same.

Exit codes: 0 done; 1 something failed, the message says what; 2 wrong input, or refused;
3 no stack runs; 4 nobody watches over the stack; 5 what was waited for ended otherwise;
6 it did not come in time; 130 Ctrl-C.

"""


def page() -> str:
    """Return the page, Markdown."""
    from headrace_stack.cli import app

    command = get_command(app)
    context = typer.Context(command, info_name="headrace")
    text = get_docs_for_click(obj=command, ctx=context, name="headrace", title="headrace")
    # Typer's own options differ by the shell that it finds.
    lines = [line.rstrip() for line in text.strip().splitlines() if "-completion" not in line]
    return _HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Write or print the page."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main()
