"""The whole comparison: every event type and topic of two releases, and whether it may pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headrace_events.compat.change import Change, Finding
from headrace_events.compat.contracts import Contracts
from headrace_events.compat.schemas import compare_schemas
from headrace_events.compat.topics import compare_topic
from headrace_events.flows import Flow

_GUIDE = "docs/guides/contracts.md"


@dataclass(frozen=True)
class Acknowledged:
    """Somebody wrote down that consumers are rolled out before this change is used."""

    where: str
    path: str
    change: str
    reason: str

    def covers(self, change: Change) -> bool:
        """Whether it is about `change`."""
        found = change.finding
        return (self.where, self.path, self.change) == (change.where, found.path, found.what)


@dataclass(frozen=True)
class Verdict:
    """What was found, by whether it may pass."""

    refused: tuple[Change, ...]
    acknowledged: tuple[Change, ...]
    passed: tuple[Change, ...]
    stale: tuple[Acknowledged, ...]
    """Written down, but there is no such change (any more)."""

    @property
    def compatible(self) -> bool:
        """Whether the contracts may be released inside the major version."""
        return not self.refused and not self.stale


def judge(old: Contracts, new: Contracts, acknowledged: Sequence[Acknowledged] = ()) -> Verdict:
    """Compare and sort; a change with consumers first passes only if it was acknowledged."""
    refused, agreed, passed = [], [], []
    used: set[Acknowledged] = set()
    for change in compare(old, new):
        note = next((a for a in acknowledged if a.covers(change)), None)
        if change.severity == "breaking" or (change.severity == "consumers_first" and note is None):
            refused.append(change)
        elif change.severity == "consumers_first" and note is not None:
            used.add(note)
            agreed.append(replace(change, acknowledged=note.reason))
        else:
            passed.append(change)
    stale = tuple(note for note in acknowledged if note not in used)
    return Verdict(tuple(refused), tuple(agreed), tuple(passed), stale)


def compare(old: Contracts, new: Contracts) -> list[Change]:
    """Return every difference, the gravest first."""
    found = [*_events(old, new), *_topics(old, new)]
    order = ("breaking", "consumers_first", "additive", "note")
    return sorted(found, key=lambda change: order.index(change.severity))


def _events(old: Contracts, new: Contracts) -> Iterator[Change]:
    for name, schema in old.schemas.items():
        after = new.schemas.get(name)
        if after is None:
            why = "its consumers still wait for it, and the log still holds it"
            gone = Finding("$", "event type removed", "breaking", why, "producers")
            yield _of_event(name, gone, old, new)
            continue
        if schema.get("x-topic") != after.get("x-topic"):
            moved = Finding(
                "x-topic",
                "event type moved to another topic",
                "breaking",
                "consumers of the baseline do not read the other topic",
                "consumers",
                str(schema.get("x-topic")),
                str(after.get("x-topic")),
            )
            yield _of_event(name, moved, old, new)
        for finding in compare_schemas(schema, after):
            yield _of_event(name, finding, old, new)
    for name in new.schemas.keys() - old.schemas.keys():
        why = "old consumers pass over a type that they do not know"
        yield _of_event(name, Finding("$", "a new event type", "additive", why), old, new)


def _of_event(name: str, finding: Finding, old: Contracts, new: Contracts) -> Change:
    flow = new.flow(name) or old.flow(name) or Flow((), ())
    kept, _, major = name.rpartition(".v")
    instead = ""
    if finding.severity == "breaking":
        instead = f"add {kept}.v{int(major) + 1} beside it: {_GUIDE}"
    elif finding.severity == "consumers_first":
        instead = f"write it down in schemas/consumers-first.yaml: {_GUIDE}"
    return Change(name, finding, flow.producers, flow.consumers, instead)


def _topics(old: Contracts, new: Contracts) -> Iterator[Change]:
    for name, topic in old.topics.items():
        after = new.topics.get(name)
        known = after or topic
        ends = tuple(known["producers"]), tuple(known["consumers"])
        if after is None:
            why = "its records, and what is still written to it, are lost"
            gone = Finding("topic", "topic removed", "breaking", why, "producers")
            yield Change(name, gone, *ends, f"stop using it first: {_GUIDE}")
            continue
        for finding in compare_topic(topic, after):
            instead = f"add a new topic beside it: {_GUIDE}" if finding.why else ""
            yield Change(name, finding, *ends, instead if finding.severity == "breaking" else "")
    for name in new.topics.keys() - old.topics.keys():
        topic = new.topics[name]
        yield Change(
            name,
            Finding("topic", "a new topic", "additive", "make it before the services start"),
            tuple(topic["producers"]),
            tuple(topic["consumers"]),
        )
