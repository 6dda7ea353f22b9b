"""Undo the ways in which an attack is disguised, before phrases are looked for.

The result is for matching only: lower case, without accents, one space between words.
"""

import base64
import binascii
import re
import unicodedata

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
# A word that mixes letters with digits or signs, as 1gn0r3 and p@$$w0rd do.
_LEET_WORD = re.compile(r"(?<!\w)(?=[\w@$!|]*[a-z])(?=[\w@$!|]*[013457@$!|])[\w@$!|]{3,}")
_LEET_SIGN = re.compile(r"[013457@$!|]")  # far quicker to look for, and most texts have none
_SPELLED = re.compile(r"(?<![^\W_])(?:[a-z][ .\-_*+|/]{1,2}){4,}[a-z](?![^\W_])")
_NOT_LETTER = re.compile(r"[^a-z]")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE64_BYTES = 6000  # a peek, not a decoder of whole files
_SPACE = re.compile(r"\s+")
_PRINTABLE_SHARE = 0.95


def fold(text: str) -> str:
    """Compatibility forms, look-alikes, accents, invisible characters and case taken away."""
    if text.isascii():
        return _SPACE.sub(" ", text.lower())
    decomposed = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Me"))
    return _SPACE.sub(" ", kept.lower().translate(_LOOKALIKES))


def variants(text: str) -> list[str]:
    """The folded text, and the readings behind leet, spelled-out words and base64 (if any)."""
    folded = fold(text)
    found = [folded]
    leet = folded
    if _LEET_SIGN.search(folded):
        leet = _LEET_WORD.sub(lambda m: m.group().translate(_LEET), folded)
    spelled = _SPELLED.sub(lambda m: _NOT_LETTER.sub("", m.group()), leet)
    if spelled != folded:
        found.append(spelled)
    hidden = " ".join(_decoded(text))
    if hidden:
        found.append(fold(hidden))
    return found


def _decoded(text: str) -> list[str]:
    """Readable texts inside base64 words."""
    return [
        plain
        for match in _BASE64.finditer(text)
        if (plain := _base64(match.group()[:_BASE64_BYTES])) is not None
    ]


def _base64(word: str) -> str | None:
    body = word.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        plain = base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    printable = sum(c.isprintable() or c.isspace() for c in plain)
    return plain if printable >= _PRINTABLE_SHARE * len(plain) else None
