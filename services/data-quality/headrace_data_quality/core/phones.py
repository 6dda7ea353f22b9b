"""Phone numbers: phonenumbers' rules, made careful with dates, versions, amounts and codes."""

import re
from collections.abc import Iterator

# Numbers without a country code are looked for as written in these countries.
REGIONS = ("HU", "US", "GB")

# With a country code anything but a word may stand before it; without one, nothing that makes it
# a part of a version, an amount, a time, a path or an expression.
_CANDIDATE = re.compile(
    r"(?:(?<![\w+])(?:\+|00)|(?<![\w.,:/#$€£%=^*<>+-]))"
    r"\(?\d[\d ()./-]{5,20}\d(?![\w%€$£]|[.,:/-]\d)"
)
_DATE = re.compile(r"^\d{1,4}([./-])\d{1,2}\1\d{1,4}\b")
_DOTTED = re.compile(r"^\d+(\.\d+)+$")
_FEWEST_DIGITS = 9
# Words that say that the number after them is none of anybody's phone.
_OTHER_NUMBER = re.compile(
    r"(?:version|release|build|rfc|isbn|issn|iso|port|pid|id|no|number of|code|order|invoice|"
    r"account|reference|ref|ticket|verzió|rendelés|számla|számú|azonosító|kód|"
    r"\bpi|hash|crc|seed|timestamp|epoch)[\s.:#=]*$",
    re.IGNORECASE,
)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of phone numbers that are valid where they are written as such."""
    for match in _CANDIDATE.finditer(text):
        written = match[0].strip()
        start = match.start()
        digits = sum(c.isdigit() for c in written)
        if digits < _FEWEST_DIGITS - (written[0] == "+") or digits > 15:
            continue
        if _DATE.match(written) or _DOTTED.match(written) or _OTHER_NUMBER.search(text[:start]):
            continue
        if _is_phone(written):
            yield start, start + len(written)


def _is_phone(written: str) -> bool:
    if written.startswith(("+", "00")):
        return _possible(f"+{written.lstrip('+0')}")
    # Without a country code a bare run of digits may be anything: it must be grouped like a
    # phone number, or begin with the trunk prefix.
    if written.isdigit() and not written.startswith("0"):
        return False
    return any(_grouped_like(written, region) and _valid(written, region) for region in REGIONS)


def _possible(written: str) -> bool:
    """With a country code nothing but a phone number is meant: its length is enough."""
    import phonenumbers

    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(written, None)))
    except phonenumbers.NumberParseException:
        return False


def _valid(written: str, region: str) -> bool:
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(written, region)))
    except phonenumbers.NumberParseException:
        return False


def _grouped_like(written: str, region: str) -> bool:
    """Say whether the groups of digits are few and end as phone numbers do."""
    groups = [len(g) for g in re.findall(r"\d+", written)]
    if len(groups) == 1:
        return True
    trunk = written.lstrip("(").startswith("0")
    if region == "US":
        return groups[-3:] == [3, 3, 4] and groups[:-3] in ([], [1])
    # Hungary: 06 30 123 4567; Britain: 020 7946 0958. A trunk prefix is written there.
    return trunk and 2 <= len(groups) <= 5 and groups[-1] in (2, 3, 4, 6)
