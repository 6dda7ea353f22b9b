"""Where a number begins and ends: not inside a longer one, a word, a code or an amount."""

from headrace_detect.text.plain import PlainText

# Hungarian puts its endings after a hyphen: 8123456786-es, kata@example.hu-ra.
_LONGEST_ENDING = 8
_UNITS = (
    "ft", "huf", "forint", "eur", "usd", "gbp", "chf", "millió", "milliárd", "ezer", "db", "darab",
    "fő", "lakos", "km", "kg", "pont", "million", "people", "users", "bytes", "%", "€", "$", "£",
)  # fmt: skip
_LONGEST_UNIT = max(map(len, _UNITS))
# A dash is punctuation where a hyphen makes one word of two.
_JOINING = "-‐‑"
_SIGNS_OF_MONEY = "$€£"


def is_word(char: str) -> bool:
    """Whether a character (or none) is part of a word."""
    return char.isalnum() or char == "_"


def ending_at(text: str, at: int) -> bool:
    """Whether a hyphen and an ending in small letters stand here, and nothing more of a word."""
    if text[at : at + 1] != "-":
        return False
    letters = 0
    for char in text[at + 1 : at + 2 + _LONGEST_ENDING]:
        if not is_word(char):
            return letters > 0 and char not in "-@"
        if not char.islower():
            return False
        letters += 1
    return 0 < letters <= _LONGEST_ENDING


def opens(text: PlainText, start: int) -> bool:
    """Whether a number may begin here: not in a word, a code or another number."""
    before = text.text[start - 1 : start]
    if is_word(before):
        return False
    if before and before in ".,-":
        further = text.text[start - 2 : start - 1] if start > 1 else ""
        if further.isdigit():
            return False
        return before != "-" or not (
            is_word(further) and text.char_as_written(start - 1) in _JOINING
        )
    return True


def closes(text: PlainText, end: int) -> bool:
    """Whether a number may end here: a Hungarian ending may follow, another sign's digits not."""
    after = text.text[end : end + 1]
    if is_word(after):
        return False
    if after == "-":
        further = text.text[end + 1 : end + 2]
        if text.char_as_written(end) not in _JOINING:
            return not further.isdigit()
        return ending_at(text.text, end) or not is_word(further)
    return after not in (".", ",") or not text.text[end + 1 : end + 2].isdigit()


def is_amount(text: PlainText, start: int, end: int) -> bool:
    """Whether money or a unit of measure makes an amount of the number."""
    if start and text.text[start - 1] in _SIGNS_OF_MONEY:
        return True
    if start > 1 and text.text[start - 1] == " " and text.text[start - 2] in _SIGNS_OF_MONEY:
        return True
    after = text.text[end : end + _LONGEST_UNIT + 3].lstrip(" -").casefold()
    for unit in _UNITS:
        if after.startswith(unit):
            rest = after[len(unit) : len(unit) + 1]
            return not rest.isalpha() or len(unit) > 3
    return False
