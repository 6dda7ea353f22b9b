"""Every rule of compatibility: what it refuses, planted on purpose, and what it lets pass."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from headrace_events.compat import Acknowledged, Change, Contracts, Verdict, judge, present

Document = dict[str, Any]
Edit = Callable[[Document, Document], None]

EVENT = "shop.sold.v1"
TOPIC = "headrace.shop"


def _schema() -> Document:
    return {
        "$id": f"urn:headrace:event:{EVENT}",
        "title": EVENT,
        "x-topic": TOPIC,
        "type": "object",
        "$defs": {
            "Price": {
                "type": "object",
                "title": "Price",
                "properties": {
                    "amount": {"type": "number", "minimum": 0, "maximum": 100},
                    "currency": {"enum": ["EUR", "HUF"], "type": "string"},
                },
                "required": ["amount", "currency"],
            },
            "Closed": {
                "type": "object",
                "title": "Closed",
                "additionalProperties": False,
                "properties": {"kind": {"const": "lora", "type": "string"}},
            },
        },
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 50, "pattern": "^[a-z]+$"},
            "price": {"$ref": "#/$defs/Price"},
            "parts": {
                "type": "array",
                "items": {"$ref": "#/$defs/Price"},
                "minItems": 1,
                "maxItems": 9,
            },
            "span": {
                "type": "array",
                "prefixItems": [{"type": "number"}, {"type": "number"}],
                "minItems": 2,
                "maxItems": 2,
            },
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "closed": {"$ref": "#/$defs/Closed", "default": {"kind": "lora"}},
        },
        "required": ["id", "price", "parts", "counts"],
    }


def _topic() -> Document:
    return {
        "topic": TOPIC,
        "owner": "shop",
        "producers": ["shop", "stall"],
        "consumers": ["books", "monitor"],
        "key": "customer",
        "partitions": 4,
        "cleanup": "delete",
        "retention_ms": 1000,
        "events": {EVENT: {"producers": ["shop"], "consumers": ["books"]}},
    }


def _judge(edit: Edit, acknowledged: tuple[Acknowledged, ...] = ()) -> Verdict:
    schema, topic = _schema(), _topic()
    old = Contracts({TOPIC: copy.deepcopy(topic)}, {EVENT: copy.deepcopy(schema)})
    edit(schema, topic)
    return judge(old, Contracts({TOPIC: topic}, {EVENT: schema}), acknowledged)


def _set(path: str, value: Any) -> Edit:
    """Make an edit that puts `value` at a path like `properties/id/type`; None takes it away."""

    def edit(schema: Document, _topic: Document) -> None:
        *way, last = path.split("/")
        place = schema
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return edit


def _topic_set(name: str, value: Any) -> Edit:
    return lambda _schema, topic: topic.__setitem__(name, value)


def _both(*edits: Edit) -> Edit:
    def edit(schema: Document, topic: Document) -> None:
        for one in edits:
            one(schema, topic)

    return edit


P = "properties"
PRICE = "$defs/Price/properties"
ALL = ["id", "price", "parts", "counts"]

# edit, JSON path, part of the message, who is rolled out first
BREAKING: dict[str, tuple[Edit, str, str, str]] = {
    "required field removed": (
        _both(_set(f"{P}/id", None), _set("required", ALL[1:])),
        "$.id",
        "field removed",
        "consumers",
    ),
    "optional field removed": (_set(f"{P}/note", None), "$.note", "field removed", "consumers"),
    "nested field removed": (
        _both(_set(f"{PRICE}/amount", None), _set("$defs/Price/required", ["currency"])),
        "$.price.amount",
        "field removed",
        "consumers",
    ),
    "field renamed": (
        _both(
            _set(f"{P}/id", None),
            _set(f"{P}/number", _schema()[P]["id"]),
            _set("required", [*ALL[1:], "number"]),
        ),
        "$.id",
        "renamed to `number`",
        "consumers",
    ),
    "type changed": (_set(f"{P}/id/type", "integer"), "$.id", "type changed", "consumers"),
    "type changed in a list": (
        _set(f"{P}/parts/items", {"type": "string"}),
        "$.parts[*]",
        "type changed",
        "consumers",
    ),
    "type changed in a map": (
        _set(f"{P}/counts/additionalProperties", {"type": "number"}),
        "$.counts.*",
        "type changed",
        "consumers",
    ),
    "type changed in a tuple": (
        _set(f"{P}/span/prefixItems", [{"type": "number"}, {"type": "string"}]),
        "$.span[1]",
        "type changed",
        "consumers",
    ),
    "null allowed": (
        _set(f"{P}/id", {"anyOf": [_schema()[P]["id"], {"type": "null"}]}),
        "$.id",
        "type changed",
        "consumers",
    ),
    "null no longer allowed": (
        _set(f"{P}/note", {"type": "string", "default": ""}),
        "$.note",
        "type changed",
        "producers",
    ),
    "new required field": (
        _both(_set(f"{P}/till", {"type": "string"}), _set("required", [*ALL, "till"])),
        "$.till",
        "a new required field",
        "producers",
    ),
    "optional field became required": (
        _set("required", [*ALL, "note"]),
        "$.note",
        "became required",
        "producers",
    ),
    "enum value removed": (
        _set(f"{PRICE}/currency/enum", ["EUR"]),
        "$.price.currency",
        'enum value "HUF" removed',
        "producers",
    ),
    "const changed": (
        _set("$defs/Closed/properties/kind/const", "full"),
        "$.closed.kind",
        'enum value "lora" removed',
        "producers",
    ),
    "enum introduced": (
        _set(f"{P}/id/enum", ["a"]),
        "$.id",
        "`enum` narrowed",
        "producers",
    ),
    "minimum raised": (
        _set(f"{PRICE}/amount/minimum", 1),
        "$.price.amount",
        "`minimum` narrowed",
        "producers",
    ),
    "maximum lowered": (
        _set(f"{PRICE}/amount/maximum", 99),
        "$.parts[*].amount",
        "`maximum` narrowed",
        "producers",
    ),
    "bound introduced": (
        _set(f"{PRICE}/amount/exclusiveMinimum", 0),
        "$.price.amount",
        "`exclusiveMinimum` narrowed",
        "producers",
    ),
    "longer texts refused": (
        _set(f"{P}/id/maxLength", 10),
        "$.id",
        "`maxLength` narrowed",
        "producers",
    ),
    "longer lists refused": (
        _set(f"{P}/parts/maxItems", 3),
        "$.parts",
        "`maxItems` narrowed",
        "producers",
    ),
    "pattern changed": (
        _set(f"{P}/id/pattern", "^[a-z]{2}$"),
        "$.id",
        "`pattern` narrowed",
        "producers",
    ),
    "object closed": (
        _set("$defs/Price/additionalProperties", False),
        "$.price",
        "which further fields are allowed",
        "producers",
    ),
    "tuple grew": (
        _set(f"{P}/span/prefixItems", [{"type": "number"}] * 3),
        "$.span",
        "number of places",
        "consumers",
    ),
    "a keyword that no rule knows": (
        _set("dependentRequired", {"note": ["id"]}),
        "$",
        "`dependentRequired`",
        "consumers",
    ),
    "event type moved": (_set("x-topic", "headrace.other"), "x-topic", "moved", "consumers"),
    "topic key": (_topic_set("key", "till"), "key", "key changed", "consumers"),
    "more partitions": (_topic_set("partitions", 8), "partitions", "partitions", "consumers"),
    "fewer partitions": (_topic_set("partitions", 1), "partitions", "partitions", "consumers"),
    "compacted": (_topic_set("cleanup", "compact"), "cleanup", "cleanup policy", "consumers"),
    "retention shortened": (
        _topic_set("retention_ms", 999),
        "retention_ms",
        "retention shortened",
        "consumers",
    ),
}


def _only(changes: tuple[Change, ...], path: str, what: str = "") -> Change:
    (found,) = [c for c in changes if c.finding.path == path and what in c.finding.what]
    return found


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_is_refused_and_says_where_and_who_goes_first(case: str) -> None:
    edit, path, what, first = BREAKING[case]
    verdict = _judge(edit)
    assert not verdict.compatible
    change = _only(verdict.refused, path, what)
    assert change.severity == "breaking"
    text = change.text()
    assert text.startswith(f"{change.where}  {path}\n")
    names = {
        (EVENT, "consumers"): "first the consumers (books), then the producers (shop)",
        (EVENT, "producers"): "first the producers (shop), then the consumers (books)",
        (TOPIC, "consumers"): "first the consumers (books, monitor), then the producers (shop,",
    }
    assert names[change.where, first] in text
    assert "docs/guides/contracts.md" in text
    assert change.describe()["path"] == path


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_cannot_be_agreed_to(case: str) -> None:
    edit, path, what, _ = BREAKING[case]
    change = _only(_judge(edit).refused, path, what)
    note = Acknowledged(change.where, path, change.finding.what, "we know better")
    assert change.finding in [c.finding for c in _judge(edit, (note,)).refused]


CONSUMERS_FIRST: dict[str, tuple[Edit, str, str]] = {
    "enum value added": (
        _set(f"{PRICE}/currency/enum", ["EUR", "HUF", "CZK"]),
        "$.price.currency",
        'enum value "CZK" added',
    ),
    "const became a choice": (
        _set("$defs/Closed/properties/kind", {"enum": ["lora", "full"], "type": "string"}),
        "$.closed.kind",
        'enum value "full" added',
    ),
    "enum dropped": (
        _set(f"{PRICE}/currency", {"type": "string"}),
        "$.price.currency",
        "`enum` widened",
    ),
    "maximum raised": (
        _set(f"{PRICE}/amount/maximum", 101),
        "$.price.amount",
        "`maximum` widened",
    ),
    "minimum dropped": (
        _set(f"{PRICE}/amount/minimum", None),
        "$.price.amount",
        "`minimum` widened",
    ),
    "pattern dropped": (_set(f"{P}/id/pattern", None), "$.id", "`pattern` widened"),
    "required became optional": (
        _set("required", ALL[1:]),
        "$.id",
        "a required field became optional",
    ),
    "field added to a closed object": (
        _set("$defs/Closed/properties/rank", {"type": "integer", "default": 1}),
        "$.closed.rank",
        "a new optional field of a closed object",
    ),
}


@pytest.mark.parametrize("case", CONSUMERS_FIRST)
def test_what_old_consumers_refuse_passes_only_when_it_is_written_down(case: str) -> None:
    edit, path, what = CONSUMERS_FIRST[case]
    verdict = _judge(edit)
    assert not verdict.compatible
    change = _only(verdict.refused, path)
    assert change.finding.what == what
    assert "first the consumers (books), then the producers (shop)" in change.text()
    assert "consumers-first.yaml" in change.text()
    # The same definition is used in two places: each is agreed to.
    notes = tuple(
        Acknowledged(c.where, c.finding.path, c.finding.what, "books is out since May")
        for c in verdict.refused
    )
    agreed = _judge(edit, notes)
    assert agreed.compatible
    assert "books is out since May" in _only(agreed.acknowledged, path).text()


def test_an_agreement_without_its_change_is_refused() -> None:
    note = Acknowledged(EVENT, "$.id", "`pattern` widened", "was planned")
    verdict = _judge(lambda *_: None, (note,))
    assert verdict.stale == (note,)
    assert not verdict.compatible


PASSES: dict[str, Edit] = {
    "nothing": lambda *_: None,
    "optional field added": _set(f"{P}/till", {"type": "string", "default": ""}),
    "optional field added in a nested object": _set(f"{PRICE}/tax", {"type": "number"}),
    "optional object added": _set(
        f"{P}/other", {"anyOf": [{"$ref": "#/$defs/Price"}, {"type": "null"}], "default": None}
    ),
    "object opened": _set("$defs/Closed/additionalProperties", None),
    "description and title changed": _both(
        _set(f"{P}/id/description", "the number"), _set("$defs/Price/title", "Price")
    ),
    "definition renamed": _both(
        _set("$defs/Cost", _schema()["$defs"]["Price"]),
        _set(f"{P}/price", {"$ref": "#/$defs/Cost"}),
    ),
    "another default": _set(f"{P}/note/default", "none"),
    "retention lengthened": _topic_set("retention_ms", 1001),
    "one more consumer": _topic_set("consumers", ["books", "monitor", "audit"]),
    "another owner": _topic_set("owner", "stall"),
}


@pytest.mark.parametrize("case", PASSES)
def test_what_is_additive_passes(case: str) -> None:
    verdict = _judge(PASSES[case])
    assert verdict.compatible, [c.text() for c in verdict.refused]
    assert not verdict.acknowledged


def test_new_types_and_topics_pass_and_removed_ones_do_not() -> None:
    schema, topic = _schema(), _topic()
    small = Contracts({TOPIC: topic}, {EVENT: schema})
    more = {"events": {"shop.closed.v1": {"producers": ["shop"], "consumers": ["books"]}}}
    large = Contracts(
        {TOPIC: topic, "headrace.new": topic | more},
        {EVENT: schema, "shop.closed.v1": schema},
    )
    grown = judge(small, large)
    assert grown.compatible
    assert {c.where for c in grown.passed} == {"headrace.new", "shop.closed.v1"}
    shrunk = judge(large, small)
    assert {(c.where, c.finding.what) for c in shrunk.refused} == {
        ("headrace.new", "topic removed"),
        ("shop.closed.v1", "event type removed"),
    }
    for change in shrunk.refused:
        assert "first the producers (shop" in change.text()


def test_a_schema_that_contains_itself_is_compared_to_its_end() -> None:
    def tree(kind: str) -> Document:
        node = {
            "type": "object",
            "properties": {
                "value": {"type": kind},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
        }
        return {"$defs": {"Node": node}, "$ref": "#/$defs/Node", "x-topic": TOPIC}

    old = Contracts({TOPIC: _topic()}, {EVENT: tree("string")})
    assert judge(old, old).compatible
    new = Contracts({TOPIC: _topic()}, {EVENT: tree("integer")})
    assert [c.finding.path for c in judge(old, new).refused] == ["$.value"]


def test_the_present_contracts_are_compatible_with_themselves_and_each_field_counts() -> None:
    """The rules meet every real schema: taking any field of any type away is refused."""
    now = present()
    assert judge(now, now) == Verdict((), (), (), ())
    for name, schema in now.schemas.items():
        for field in schema["properties"]:
            cut = copy.deepcopy(dict(schema))
            del cut["properties"][field]
            cut["required"] = [n for n in cut.get("required", []) if n != field]
            verdict = judge(now, Contracts(now.topics, {**now.schemas, name: cut}))
            (change,) = verdict.refused
            assert (change.where, change.finding.path) == (name, f"$.{field}")
            assert change.consumers, name
