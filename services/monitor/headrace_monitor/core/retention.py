"""How many outcomes are kept of each workload, so that a busy one does not push a quiet one out."""

from collections.abc import Mapping


def limits(counts: Mapping[str, int], of_one: int, of_all: int) -> dict[str, int]:
    """Return for each workload that has too many how many it keeps.

    `counts` are the rows of each workload, `of_one` is the most of one, `of_all` of all together.
    What is too much in all is taken from the largest: all of them down to one level, which is as
    high as possible. Who has no more than that loses nothing.
    """
    level = of_one
    left, shares = of_all, len(counts)
    for count in sorted(min(count, of_one) for count in counts.values()):
        if count * shares > left:
            level = left // shares
            break
        left, shares = left - count, shares - 1
    return {workload: level for workload, count in counts.items() if count > level}
