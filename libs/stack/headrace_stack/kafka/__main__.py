"""`python -m headrace_stack.kafka`: fetch Kafka's jars ahead of time (the set-up does)."""

import sys

from headrace_stack.errors import StackError
from headrace_stack.kafka.jars import ensure_jars


def main() -> int:
    """Fill the cache and print the folder of the jars."""
    try:
        sys.stdout.write(f"{ensure_jars()}\n")
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
