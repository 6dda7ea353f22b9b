"""Undo the ways in which an attack is disguised, before phrases are looked for.

The result is for matching only: lower case, without accents, one space between words.
"""

import base64
import binascii
import unicodedata
from collections.abc import Iterator
from string import ascii_lowercase

from headrace_detect import UNLIMITED, Budget
from headrace_guardrails.core.patterns import compiled, spans

_LETTERS = frozenset(ascii_lowercase)
# Letters of other scripts (and phonetic ones) that look like Latin ones and that NFKD leaves alone.
_LOOKALIKES = str.maketrans(
    {
        shape: latin
        for latin, shapes in {
            "a": "аαɑᴀ", "b": "вбβʙ", "c": "сϲᴄ", "d": "ԁᴅđ", "e": "еεᴇє", "g": "ɡɢ", "h": "һнʜ",
            "i": "іιɩıɪ", "j": "јᴊ", "k": "кκᴋ", "l": "ӏłʟ", "m": "мᴍ", "n": "пηɴ", "o": "оοøᴏ",
            "p": "рρᴘ", "q": "ԛ", "r": "гʀ", "s": "ѕꜱ", "t": "тτᴛ", "u": "цυᴜ", "v": "ѵνᴠ",
            "w": "ԝᴡωш", "x": "хχ", "y": "уγʏү", "z": "ᴢ",
        }.items()
        for shape in shapes
    }
)  # fmt: skip
_LEET = str.maketrans("013457@$!|", "oieastasil")
# A word that mixes letters with digits or signs, as 1gn0r3 and p@$$w0rd do: whole, in either order.
_IN_WORD = r"[\pL\pN_@$!|]*"
_SIGN = r"[013457@$!|]"
_LEET_WORD = compiled(f"{_IN_WORD}(?:[a-z]{_IN_WORD}{_SIGN}|{_SIGN}{_IN_WORD}[a-z]){_IN_WORD}")
_SHORTEST_LEET = 3
_SPELLED = compiled(r"(?:[a-z][ .\-_*+|/]{1,2}){4,}[a-z]")
_FEWEST_SPELLED = 5
_BASE64 = compiled(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE64_BYTES = 6000  # a peek, not a decoder of whole files
_PRINTABLE_SHARE = 0.95
# Hostile text may hold each of Unicode's characters; what is remembered of them is bounded.
_MOST_REMEMBERED = 8192
# Characters that are folded between two looks at the budget.
_AT_ONCE = 16_384


class _Folds(dict[int, str]):
    """What `str.translate` asks: each character's plain form, worked out once."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isspace():
            return " "
        decomposed = unicodedata.normalize("NFKD", char)
        kept = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Me"))
        plain = kept.lower().translate(_LOOKALIKES)
        if "\ud800" <= plain <= "\udfff":  # half a pair: it has no meaning and no UTF-8
            plain = "?"
        if len(self) < _MOST_REMEMBERED:
            self[code] = plain
        return plain


_FOLDS = _Folds()


def fold(text: str, budget: Budget = UNLIMITED) -> str:
    """Compatibility forms, look-alikes, accents, invisible characters and case taken away."""
    return " ".join(_plain(text, budget).split())


def undisguised(folded: str) -> str:
    """A folded text without leet and spelled-out words."""
    return _without_spelling(_without_leet(folded))


def hidden(text: str, budget: Budget = UNLIMITED) -> str:
    """What stands in base64, folded; empty if nothing does."""
    return fold(" ".join(_decoded(text, budget)), budget)


def _plain(text: str, budget: Budget) -> str:
    if text.isascii():
        return text.lower()
    if len(text) <= _AT_ONCE:
        return text.translate(_FOLDS)
    parts = []
    for start in range(0, len(text), _AT_ONCE):
        budget.check()
        parts.append(text[start : start + _AT_ONCE].translate(_FOLDS))
    return "".join(parts)


def _without_leet(folded: str) -> str:
    parts: list[str] = []
    at = 0
    for start, end in spans(_LEET_WORD, folded):
        if end - start >= _SHORTEST_LEET:
            parts += [folded[at:start], folded[start:end].translate(_LEET)]
            at = end
    return "".join([*parts, folded[at:]]) if parts else folded


def _without_spelling(folded: str) -> str:
    """`i g n o r e` becomes `ignore`; the letters at the ends may belong to words beside it."""
    parts: list[str] = []
    at = 0
    for start, end in spans(_SPELLED, folded):
        letters = [i for i in range(start, end) if folded[i] in _LETTERS]
        if folded[start - 1 : start].isalnum():
            del letters[0]
        if folded[end : end + 1].isalnum():
            del letters[-1]
        if len(letters) >= _FEWEST_SPELLED:
            parts += [folded[at : letters[0]], *(folded[i] for i in letters)]
            at = letters[-1] + 1
    return "".join([*parts, folded[at:]]) if parts else folded


def _decoded(text: str, budget: Budget) -> Iterator[str]:
    """Readable texts inside base64 words."""
    for start, end in spans(_BASE64, text):
        budget.check()
        if text[start - 1 : start] == "=":
            continue
        plain = _base64(text[start : min(end, start + _BASE64_BYTES)])
        if plain is not None:
            yield plain


def _base64(word: str) -> str | None:
    body = word.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        plain = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    printable = sum(c.isprintable() or c.isspace() for c in plain)
    return plain if printable >= _PRINTABLE_SHARE * len(plain) else None
