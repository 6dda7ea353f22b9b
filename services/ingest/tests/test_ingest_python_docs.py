"""The documentation source: enough rows, clean ones, always the same."""

import sys

import pytest

from headrace_ingest.adapters.docs_process import read_python_docs
from headrace_ingest.adapters.python_docs.how_to import how_to
from headrace_ingest.adapters.python_docs.sentences import first_paragraph, summary
from headrace_ingest.core.records import Row, position, select


async def test_several_thousand_clean_rows_and_always_the_same() -> None:
    rows = await read_python_docs()
    assert len(rows) >= 4000
    assert len({row.prompt.lower() for row in rows}) == len(rows)
    assert len({row.completion.lower() for row in rows}) == len(rows)
    assert all(20 <= len(row.completion) <= 200 for row in rows)
    assert all(row.completion.endswith((".", "!", "?")) for row in rows)
    assert not [row for row in rows if ">>>" in row.completion or "::" in row.completion]
    answers = {row.prompt: row.completion for row in rows}
    assert answers["What does the `while` statement do in Python?"] == (
        "The `while` statement is used for repeated execution as long as an expression is true."
    )
    asked = {row.prompt for row in rows}
    assert {"What does `os.path.join` do?", "What does `shutil.rmtree` do?"} <= asked
    assert rows == await read_python_docs()
    # The reading process is another one: the service imports none of what it reads.
    assert "antigravity" not in sys.modules
    assert "mailbox" not in sys.modules


async def test_slices_part_the_rows() -> None:
    rows = await read_python_docs()
    first, second = select(rows, (0.0, 0.5)), select(rows, (0.5, 1.0))
    assert {r.prompt for r in first}.isdisjoint(r.prompt for r in second)
    assert len(first) + len(second) == len(rows)
    assert 0.45 < len(first) / len(rows) < 0.55
    # A row's slice does not depend on the rows around it.
    assert select(rows[::7], (0.0, 0.5)) == [r for r in rows[::7] if r in set(first)]
    # A limit takes the rows that lie first in the slice, in the order of the source.
    limited = select(rows, (0.0, 0.5), 10)
    lowest = sorted(first, key=lambda row: position(row.prompt))[:10]
    assert len(limited) == 10 and set(limited) == set(lowest)
    assert limited == [row for row in first if row in set(limited)]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("join(a, *p) -> str\n\nJoin path components, adding slashes.\n\nMore.",
         "Join path components, adding slashes."),
        ("Return the :class:`~a.Foo` of *name* as ``str``", "Return the `a.Foo` of name as `str`."),
        ("See the other one for what it does.", None),
        ("Short.", None),
        ("Deprecated since 3.9, use the other one.", None),
        ("An answer (with a bracket that never closes.", None),
        ("x" * 300, None),
        ("Frobnicate e.g. Bars and more. Then return them all.",
         "Frobnicate e.g. Bars and more. Then return them all."),
        ("It can be used like this:", None),
    ],
)  # fmt: skip
def test_summaries(docstring: str, expected: str | None) -> None:
    assert summary(first_paragraph(docstring)) == expected


def test_how_to_rows_are_few_and_read_well() -> None:
    rows = [
        how_to(f"pkg{i}.size", Row("What does it do?", "Return the size of a file."))
        for i in range(200)
    ]
    made = [row for row in rows if row]
    assert 5 < len(made) < 60
    assert made[0].prompt == "How do I get the size of a file in Python?"
    assert made[0].completion.startswith("Use `pkg")
    assert not any(how_to(f"p{i}.f", Row("q", "Return its own size.")) for i in range(200))
