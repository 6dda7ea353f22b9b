"""From bytes to text."""

import codecs

from headrace_ingest.core.errors import UnreadableSource

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(content: bytes) -> str:
    """Decode UTF-8, or what a byte order mark declares; anything else is refused, not guessed."""
    if content.startswith(_UTF16):
        return _strict(content, "utf-16", "UTF-16 (as its byte order mark says)")
    return _strict(content, "utf-8-sig", "UTF-8")


def _strict(content: bytes, encoding: str, shown: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # `from None`: the exception holds the whole content.
        raise UnreadableSource(
            f"the file is not {shown}: byte {error.start} (line {line}) cannot be decoded; "
            "save it as UTF-8",
            param="file",
        ) from None
    if "\x00" in text:
        raise UnreadableSource("the file holds binary zeros: it is not text", param="file")
    return text


def missing_columns(wanted: tuple[str, ...], found: list[str]) -> UnreadableSource:
    """Return the error that names what is missing and what is there."""
    missing = [name for name in wanted if name not in found]
    named = ", ".join(f"`{name}`" for name in missing)
    there = ", ".join(f"`{name}`" for name in found[:50]) or "none"
    word = "column" if len(missing) == 1 else "columns"
    return UnreadableSource(
        f"missing {word} {named}; the file has {there}: name yours with `prompt` and `completion`",
        param="prompt" if wanted and wanted[0] in missing else "completion",
    )
