"""The tickets of `examples/`: what its README says is planted is there, and is found."""

import re
from collections import Counter
from pathlib import Path

import pytest

from headrace_data_quality.adapters.detector import load_detector
from headrace_data_quality.core.curation import Curated, curate
from headrace_data_quality.core.rows import RawRow
from headrace_data_quality.core.text import prompt_key
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.core.records import Row
from headrace_stack import manifests
from headrace_stack.evidence import notes

EXAMPLE = Path(__file__).parents[2] / "examples" / "support-tickets"
MANIFEST = manifests.load(EXAMPLE / "workload.yaml")
LABELS = {"address", "cancel", "damaged", "delivery", "invoice", "login", "payment", "refund"}


@pytest.fixture(scope="module")
def tickets() -> list[Row]:
    source = MANIFEST.spec.data.sources[0]
    content = (EXAMPLE / "tickets.csv").read_bytes()
    return read_rows("tickets.csv", content, Columns(source.prompt, source.completion))


@pytest.fixture(scope="module")
def curated(tickets: list[Row]) -> Curated:
    raw = [RawRow(str(n), "batch", row.prompt, row.completion) for n, row in enumerate(tickets)]
    return curate([], raw, MANIFEST.spec.data, load_detector())


def test_every_planted_fault_is_found_and_nothing_else_is_rejected(
    tickets: list[Row], curated: Curated
) -> None:
    assert len(tickets) == 600
    rejected = (reject.reason for reject in curated.rejects)
    reasons = Counter(reason.removesuffix("_of_holdout") for reason in rejected)
    assert reasons == {
        "exact_duplicate": 7,
        "near_duplicate": 6,
        "conflicting_completion": 2,
        "empty_prompt": 2,
        "empty_completion": 2,
        "too_long": 1,
        "language": 1,
    }
    assert curated.redactions == {"card": 2, "email": 7, "hu_taj": 2, "iban": 2, "phone": 5}


def test_what_the_reader_takes_as_it_is_stays(tickets: list[Row], curated: Curated) -> None:
    content = (EXAMPLE / "tickets.csv").read_bytes()
    assert len(re.findall(rb"(?m),\w+\r\n", content)) == 3
    assert sum("\r" in row.prompt for row in tickets) == 3
    assert sum("Ã" in row.prompt or "â€" in row.prompt for row in curated.rows) == 3
    assert sum(row.completion not in LABELS for row in tickets if row.completion.strip()) == 5
    assert {row.completion.casefold() for row in curated.rows} == LABELS


def test_tickets_are_many_and_in_two_languages(curated: Curated) -> None:
    assert Counter(row.language for row in curated.rows) == {"en": 337, "hu": 242}
    labels = Counter(row.completion.casefold() for row in curated.rows)
    assert min(labels.values()) >= 65
    starts = {prompt_key(row.prompt)[:20] for row in curated.rows}
    assert len(starts) > 500, "mail of people does not begin alike"
    lengths = sorted(len(row.prompt) for row in curated.rows)
    assert lengths[0] < 25 and lengths[-10] > 300


def test_the_manifest_can_be_passed_by_an_equal_candidate_and_asks_enough(
    curated: Curated,
) -> None:
    assert notes(MANIFEST) == []
    spec = MANIFEST.spec
    assert len(curated.rows) >= spec.data.min_rows
    held_out = sum(row.split == "holdout" for row in curated.rows)
    assert held_out >= spec.evaluate.max_rows
    steps = spec.train.epochs * (len(curated.rows) - held_out) / spec.train.batch_size
    assert spec.train.max_steps == 102 <= steps


def test_the_questions_of_the_sample_product_are_not_in_the_file(tickets: list[Row]) -> None:
    program = (EXAMPLE / "ask.py").read_text()
    block = program.partition("QUESTIONS = (")[2].partition("\n)")[0]
    questions = re.findall(r'^    "(.+)",$', block, re.MULTILINE)
    assert len(questions) == 16
    known = {prompt_key(row.prompt) for row in tickets}
    assert not known & {prompt_key(question) for question in questions}
