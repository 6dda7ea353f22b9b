"""The counter: each cause must have had its effect, and only one."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """What was found for one kind of effect; lost and twice hold the ids of the causes."""

    effect: str
    expected: int
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether every cause had exactly one effect."""
        return not self.lost and not self.twice


def count(effect: str, causes: Iterable[str], effects: Iterable[tuple[str, str]]) -> Count:
    """Hold (cause, identity of the effect) pairs against the causes.

    A pair that comes again is the same effect seen again (a repeat that a consumer drops); another
    identity for the same cause is an effect that happened twice. Effects of unknown causes are
    passed over: what was sent but never acknowledged may have happened or not.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for cause, identity in effects:
        found[cause].add(identity)
    wanted = list(dict.fromkeys(causes))
    return Count(
        effect,
        expected=len(wanted),
        lost=tuple(cause for cause in wanted if cause not in found),
        twice=tuple(cause for cause in wanted if len(found.get(cause, ())) > 1),
    )


def rows(causes: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs for effects without an identity of their own: every row is one."""
    return [(cause, str(number)) for number, cause in enumerate(causes)]
