"""The tax identification number of a person in Hungary (adóazonosító jel)."""

from collections.abc import Iterator

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, opens
from headrace_detect.text.plain import PlainText


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield ten digits in one piece that begin with 8 and whose check digit is right."""
    for row in text.numbers:
        context.budget.check()
        for number, size in enumerate(row.sizes):
            if size != 10 or text.text[row.starts[number]] != "8":
                continue
            start, end = row.starts[number], row.ends[number]
            if _is_valid(row.group(number)) and opens(text, start) and closes(text, end):
                yield Finding("hu_tax_id", start, end)


def _is_valid(number: str) -> bool:
    """Act XX of 1996: the sum of digit times place, modulo 11, is the tenth digit."""
    return sum(int(d) * place for place, d in enumerate(number[:9], 1)) % 11 == int(number[9])
