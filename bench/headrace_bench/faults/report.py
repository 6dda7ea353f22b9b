"""The one table at the end, and the same as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from headrace_bench.faults.counts import Count

_SHOWN_IDS = 5


@dataclass
class Row:
    """One fault and what it did."""

    fault: str
    events: int
    faults: int
    seconds: float
    counts: list[Count] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What was found besides: rows left in an outbox, strangers among the dead letters."""
    missed: list[str] = field(default_factory=list)
    """Speeds that were not reached: shown, but a noisy machine is no failure."""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Causes without their effect."""
        return sum(len(count.lost) for count in self.counts)

    @property
    def twice(self) -> int:
        """Causes whose effect happened more than once."""
        return sum(len(count.twice) for count in self.counts)

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, doubled or left behind."""
        return not (self.lost or self.twice or self.problems)

    def to_json(self) -> dict[str, Any]:
        """Everything but the lists of ids, which are cut."""
        found = asdict(self)
        found["counts"] = [
            {
                "effect": count.effect,
                "expected": count.expected,
                "lost": len(count.lost),
                "twice": len(count.twice),
                "lost_ids": count.lost[:_SHOWN_IDS],
                "twice_ids": count.twice[:_SHOWN_IDS],
            }
            for count in self.counts
        ]
        return {**found, "lost": self.lost, "twice": self.twice, "passed": self.passed}

    def explain(self) -> str:
        """What is wrong, for a failing test: names and ids, never payloads."""
        wrong = [
            f"{count.effect}: {len(count.lost)} of {count.expected} lost "
            f"{list(count.lost[:_SHOWN_IDS])}, {len(count.twice)} twice "
            f"{list(count.twice[:_SHOWN_IDS])}"
            for count in self.counts
            if not count.exact
        ]
        return "\n".join([*self.problems, *wrong])


def table(rows: list[Row]) -> Table:
    """One row a fault."""
    shown = Table(title="Nothing lost, nothing twice", header_style="bold")
    shown.add_column("fault")
    for name in ("events", "faults", "effects counted", "lost", "twice", "seconds"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    shown.add_column("remarks")
    for row in rows:
        style = "green" if row.passed else "bold red"
        remarks = [f"{name} {value}" for name, value in row.figures.items() if _is_short(value)]
        shown.add_row(
            row.fault,
            f"{row.events:,}",
            f"{row.faults:,}",
            f"{sum(count.expected for count in row.counts):,}",
            f"[{style}]{row.lost}[/]",
            f"[{style}]{row.twice}[/]",
            f"{row.seconds:.0f}",
            f"[{style}]{'✓' if row.passed else '✗'}[/]",
            "\n".join([*row.problems, *(f"missed: {m}" for m in row.missed), *remarks]),
        )
    return shown


def effects_table(row: Row) -> Table:
    """What was counted for one fault."""
    shown = Table(title=row.fault, header_style="bold")
    shown.add_column("effect")
    for name in ("expected", "lost", "twice"):
        shown.add_column(name, justify="right")
    for count in row.counts:
        shown.add_row(
            count.effect, f"{count.expected:,}", str(len(count.lost)), str(len(count.twice))
        )
    return shown


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float | str)
