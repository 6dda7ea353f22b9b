"""One difference between two releases of the contracts, and what it asks of a roll-out."""

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["breaking", "consumers_first", "additive", "note"]
"""`consumers_first` passes when somebody wrote down that the consumers are rolled out before."""
First = Literal["consumers", "producers"]


@dataclass(frozen=True)
class Finding:
    """What changed at one place of a schema or topic, before it is known who is concerned."""

    path: str
    what: str
    severity: Severity
    why: str = ""
    first: First | None = None
    """Whom the change cannot do without: they are rolled out before the others."""
    was: str = ""
    now: str = ""


@dataclass(frozen=True)
class Change:
    """A finding in an event type or topic, with the services that it concerns."""

    where: str
    finding: Finding
    producers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    instead: str = ""
    acknowledged: str = field(default="", compare=False)
    """The reason that was written down for a change with consumers first."""

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return self.finding.severity

    def order(self) -> str:
        """Return who is rolled out first, by name."""
        if self.finding.first is None:
            return ""
        consumers = f"consumers ({_names(self.consumers)})"
        producers = f"producers ({_names(self.producers)})"
        first, then = (
            (consumers, producers) if self.finding.first == "consumers" else (producers, consumers)
        )
        return f"first the {first}, then the {then}"

    def text(self) -> str:
        """Return the change for people, in several lines."""
        found = self.finding
        lines = [f"{self.where}  {found.path}", f"  changed    {found.what}"]
        if found.was or found.now:
            lines.append(f"  was → now  {found.was or '–'} → {found.now or '–'}")
        for name, said in (
            ("why not", found.why if self.severity == "breaking" else ""),
            ("care", found.why if self.severity == "consumers_first" else ""),
            ("note", found.why if self.severity in ("additive", "note") else ""),
            ("roll out", self.order()),
            ("instead", self.instead),
            ("agreed", self.acknowledged),
        ):
            if said:
                lines.append(f"  {name:9}  {said}")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """Return the change for machines."""
        found = self.finding
        return {
            "where": self.where,
            "path": found.path,
            "change": found.what,
            "severity": found.severity,
            "was": found.was,
            "now": found.now,
            "why": found.why,
            "first": found.first,
            "producers": list(self.producers),
            "consumers": list(self.consumers),
            "acknowledged": self.acknowledged,
        }


def _names(services: tuple[str, ...]) -> str:
    return ", ".join(services) or "none"
