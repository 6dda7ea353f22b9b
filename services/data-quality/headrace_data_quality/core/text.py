"""Normalising text, and the key under which two prompts are the same prompt."""

import unicodedata
from typing import Literal

import re2

# Invisible characters that carry no meaning here: soft hyphen, zero-width space, word joiner,
# byte order mark and the marks of writing direction. The joiners that emoji and some scripts
# need (U+200C, U+200D) stay.
_INVISIBLE = "\u00ad\u200b\u2060\ufeff\u200e\u200f" + "".join(
    chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
_CONTROLS = "".join(chr(c) for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\n\t")
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(chr(c) for c in range(0x2000, 0x200B))
_TABLE = str.maketrans(
    {
        **dict.fromkeys(_INVISIBLE + _CONTROLS),
        **dict.fromkeys(_SPACES, " "),
        "\u2028": "\n",
        "\u2029": "\n\n",
        "\x85": "\n",
    }
)

# The combining grapheme joiner: no mark is sorted past it, and nobody sees it.
_JOINER = "\u034f"
_MARK = r"[^\P{M}\x{034F}]"
_RUN = re2.compile(_MARK + "{30}")
_LONG_RUN = re2.compile(_MARK + "{31}")


def normalise(text: str) -> str:
    """Return the text in NFC, without control characters, with plain spaces and line ends.

    Runs of spaces inside a line become one; the indentation of a line is left alone (code).
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE)
    text = _normal_form("NFC", text)
    if "\n" not in text:
        return " ".join(text.split())
    lines: list[str] = []
    for line in map(_normalised_line, text.split("\n")):
        if line or lines[-1:] != [""]:  # one blank line stands for many
            lines.append(line)
    return "\n".join(lines).strip()


def _normal_form(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in a normal form of Unicode, made stream-safe before (UAX #15, section 13).

    Python sorts a run of combining marks in the square of its length: 64,000 of them take seconds.
    """
    if not text.isascii():
        encoded = text.encode(errors="surrogatepass")
        if _LONG_RUN.search(encoded):
            text = _RUN.sub(rb"\g<0>" + _JOINER.encode(), encoded).decode(errors="surrogatepass")
    return unicodedata.normalize(form, text)


def _normalised_line(line: str) -> str:
    words = line.split()
    indentation = line[: len(line) - len(line.lstrip(" \t"))] if words else ""
    return indentation + " ".join(words)


def prompt_key(prompt: str) -> str:
    """Return what two prompts share that differ in case, spacing or closing punctuation only."""
    folded = _normal_form("NFKC", prompt).casefold()
    return " ".join(folded.split()).rstrip(".?!… ") or folded.strip()


def same_text(one: str, other: str) -> bool:
    """Say whether two completions differ in case and spacing only."""
    return one == other or (" ".join(one.split()).casefold() == " ".join(other.split()).casefold())
