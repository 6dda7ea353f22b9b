"""Where a phone number begins: its plus, its bracket, and nothing that makes it something else."""

from headrace_detect.text.bounds import is_word

_SIGNS = " ().-/"
_LONGEST_GAP = 3


def international_start(text: str, first_digit: int) -> int | None:
    """Where the plus (or a bracket around it) stands that belongs to this digit; None without."""
    at = first_digit - 1
    if at < 0 or not (text[at] == "+" or text[at] in _SIGNS):
        return None
    lowest = max(0, first_digit - 1 - _LONGEST_GAP)
    while at >= lowest and text[at] in _SIGNS:
        at -= 1
    if at < lowest or text[at] != "+":
        return None
    before = text[at - 1 : at]
    if is_word(before) or before == "+":
        return None
    return at - 1 if before == "(" else at


def trunk_start(text: str, first_digit: int, after: int = -1) -> int | None:
    """Where a number without a country code begins; None inside a word, a time, an amount.

    `after` is where the phone number before it ends: one sign may part two of them.
    """
    start = first_digit
    if text[start - 1 : start] == "(":
        start -= 1
    before = text[start - 1 : start]
    if is_word(before) or before == "+":
        return None
    if start - 1 == after:
        return start
    further = text[start - 2 : start - 1] if start > 1 else ""
    if before and before in ".,:/-" and further.isdigit():
        return None
    return start
