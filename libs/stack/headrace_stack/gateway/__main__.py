"""`python -m headrace_stack.gateway FILE`: write production's configuration."""

import sys
from pathlib import Path

from headrace_stack.gateway.configuration import PRODUCTION, render

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(PRODUCTION))
