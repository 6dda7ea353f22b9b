"""From bytes to text."""

import codecs
import re

from headrace_ingest.core.errors import UnreadableSource

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_OTHER_FORMATS = (
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ\x00", "compressed with xz: unpack it first"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook: unpack it, or save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook: save it as CSV UTF-8"),
    (b"PAR1", "Parquet: name it `.parquet`"),
)


def decode(content: bytes) -> str:
    """Decode UTF-8, or what a byte order mark declares; anything else is refused, not guessed."""
    for mark, kind in _OTHER_FORMATS:
        if content.startswith(mark):
            raise UnreadableSource(f"the file is {kind}", param="file")
    if content.startswith(_UTF16):
        text = _strict(content, "utf-16", "UTF-16 (as its byte order mark says)")
    else:
        text = _strict(content, "utf-8-sig", "UTF-8")
    if "\x00" in text:
        raise UnreadableSource(
            f"the file holds binary zeros (line {_line(text[: text.index(chr(0))])}): it is not "
            "text, or UTF-16 or UTF-32 without its mark; save it as UTF-8",
            param="file",
        )
    if not text or text.isspace():
        raise UnreadableSource("the file is empty", param="file")
    return text


def lines(text: str) -> list[str]:
    r"""Split at \n, \r\n and \r, and nowhere else.

    Not splitlines: text may hold U+2028 and other signs that it takes for a line's end.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def check_text(text: str, place: str) -> str:
    """Return text that can be kept: JSON may hold halves of surrogate pairs and zeros."""
    if "\x00" in text:
        raise UnreadableSource(f"{place} holds a binary zero: it is not text", param="file")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnreadableSource(
                f"{place} holds half of a surrogate pair (half an emoji): write it whole",
                param="file",
            ) from None
    return text


def _strict(content: bytes, encoding: str, shown: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore")
        # `from None`: the exception holds the whole content.
        raise UnreadableSource(
            f"the file is not {shown}: byte {error.start} (line {_line(before)}) cannot be "
            "decoded; save it as UTF-8",
            param="file",
        ) from None


def _line(before: str) -> int:
    return len(_LINE_END.findall(before)) + 1
