"""From a docstring or a paragraph of the reference to one clean sentence or two."""

import re

SHORTEST, LONGEST = 20, 200

_ROLE = re.compile(r":(?:[a-z]+:)?[a-z]+:`~?!?([^`<]+?)(?:\s*<[^`]*>)?`")
_DOUBLE_TICKS = re.compile(r"``([^`]+)``")
_QUOTED_NAME = re.compile(r"`([A-Za-z_][\w.]*)'")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}([A-Za-z_]\w*)\*{1,2}(?![\w*])")
_SPACES = re.compile(r"\s+")
_SIGNATURE = re.compile(
    r"^[\w.]+\([^)]*\)?\)?\s*(?:->\s*[^\n]*?)?\s*(?:--?\s+|:\s+|=>\s+|\n|$)", re.MULTILINE
)
# A full stop ends a sentence unless it belongs to an abbreviation or a dotted name.
_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)[.!?](?=[\"')\]`]*\s+[A-Z`'\"(])"
)
_USELESS = re.compile(
    r"^(see\b|todo|xxx|internal|initiali[sz]e self|return self|deprecated|private|helper for|"
    r"implement(s|ation)? |this (class|method|function) is (deprecated|internal)|alias for|"
    r"x\.__|\W|list of weak references|same as |as in |like |inherit|docstring|@|copyright|"
    r"(new|changed) in version|used internally|called by|override|hook |do not use)",
    re.IGNORECASE,
)
_UNFIT = re.compile(
    r"https?://|>>>|::|\.\.\s|@param|:param|\bTODO\b|\bXXX\b|\bFIXME\b|\bPEP\b|\|"
    r"|\b(as|the|these) follow(s|ing)?\b|\bbelow\b|\babove\b|\bsection\b|\bsee also\b"
    # Pieces of a signature or a grammar, lists of attributes, the key in a command's name.
    r"|=\w+,.*=\w+|\w[?*] \w|\s:\s|^\w+ = |^\w\(|will be the home"
    r"|\bRFC[ -]?\d|[{}]|\\|_{3,}|={3,}|-{3,}|\*\*?\w|\bself\b|[^\x20-\x7e\u2019\u201c\u201d]",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"^\w+\.py\s+--?\s+")
_POINTS_ON = re.compile(r"\b(follow|these|this|example|like|such as|equivalent to)\b[^.]{0,12}:$")


def first_paragraph(docstring: str) -> str:
    """Return the first paragraph of a docstring, without the signature that C functions repeat."""
    text = docstring.strip()
    for _ in range(4):  # several overloads may be listed
        shorter = _SIGNATURE.sub("", text, count=1) if _SIGNATURE.match(text) else text
        if shorter == text:
            break
        text = shorter.strip()
    return text.split("\n\n", 1)[0]


def clean(paragraph: str) -> str:
    """Take reStructuredText markup, line breaks and a module's own file name out."""
    text = _ROLE.sub(r"`\1`", _FILE_NAME.sub("", paragraph))
    text = _DOUBLE_TICKS.sub(r"`\1`", text)
    text = _QUOTED_NAME.sub(r"`\1`", text)
    text = _EMPHASIS.sub(r"\1", text)
    return _SPACES.sub(" ", text).strip()


def summary(paragraph: str) -> str | None:
    """Return the sentences that fit into the limits, or None when nothing fit is in there."""
    sentences = _split(clean(paragraph))
    if not sentences or _USELESS.match(sentences[0]):
        return None
    answer = sentences[0]
    for sentence in sentences[1:3]:
        if len(answer) >= SHORTEST * 3 or len(answer) + 1 + len(sentence) > LONGEST:
            break
        if _UNFIT.search(sentence) or sentence.endswith(":"):
            break
        answer = f"{answer} {sentence}"
    answer = _finish(answer)
    if not SHORTEST <= len(answer) <= LONGEST or _UNFIT.search(answer) or not _balanced(answer):
        return None
    if len(answer.split()) < 4:
        return None
    return answer


def _split(text: str) -> list[str]:
    parts, start = [], 0
    for match in _END.finditer(text):
        parts.append(text[start : match.end()].strip())
        start = match.end()
    tail = text[start:].strip()
    return [p for p in [*parts, tail] if p]


def _finish(text: str) -> str:
    text = text.rstrip(" ,;-")
    if text.endswith(":"):
        # An example or a grammar follows; the sentence is whole unless it points there.
        text = "" if _POINTS_ON.search(text) else text.rstrip(":")
    text = text[0].upper() + text[1:] if text and not text[0].isupper() and text[0] != "`" else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _balanced(text: str) -> bool:
    if any(text.count(a) != text.count(b) for a, b in ("()", "[]")):
        return False
    return text.count("`") % 2 == 0 and text.count('"') % 2 == 0
