"""`python -m headrace_models REFERENCE...`: fill the cache ahead of time (the set-up does)."""

import sys

from headrace_models.errors import ModelError
from headrace_models.reference import resolve


def main() -> int:
    """Resolve each reference and print its folder."""
    try:
        for reference in sys.argv[1:]:
            sys.stdout.write(f"{resolve(reference)}\n")
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
