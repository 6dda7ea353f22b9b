"""The VAT number of Hungary (adószám): it names a person when it is a sole trader's."""

from collections.abc import Iterator

from stdnum.hu import anum

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, opens
from headrace_detect.text.plain import PlainText


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield 12345678-1-42 with a right check digit and a VAT code that exists."""
    for row in text.numbers:
        context.budget.check()
        for first, size in enumerate(row.sizes):
            if (
                size != 8
                or not row.shaped(first, (8, 1, 2), "-")
                or row.group(first + 1) not in "12345"
            ):
                continue
            start, end = row.starts[first], row.ends[first + 2]
            if anum.is_valid(row.group(first)) and opens(text, start) and closes(text, end):
                yield Finding("hu_vat", start, end)
