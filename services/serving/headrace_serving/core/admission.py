"""How many requests of HTTP may be under way: a bound for each workload, one for all together."""

from collections import Counter


class Slot:
    """One request's place; given back once, however often that is said."""

    def __init__(self, under_way: "Counter[str]", workload: str) -> None:
        self._under_way = under_way
        self._workload: str | None = workload
        under_way[workload] += 1

    def release(self) -> None:
        """Give the place back."""
        if self._workload is not None:
            self._under_way[self._workload] -= 1
            if not self._under_way[self._workload]:
                del self._under_way[self._workload]
            self._workload = None


class Admission:
    """Counts requests by workload, so that one team's burst leaves room for the others."""

    def __init__(self, most_per_workload: int) -> None:
        self._most = most_per_workload
        self._under_way: Counter[str] = Counter()

    def take(self, workload: str) -> Slot | None:
        """A place for one more request of a workload; None when it has too many."""
        if self._under_way[workload] >= self._most:
            return None
        return Slot(self._under_way, workload)
