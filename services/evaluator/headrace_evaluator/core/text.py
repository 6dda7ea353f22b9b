"""When two texts count as the same."""

import unicodedata


def normalise(text: str) -> str:
    """Composed Unicode, case folded, surrounding blanks off, inner blanks made one space."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def exact_match(answer: str, reference: str) -> float:
    """1.0 if the texts are equal once normalised, else 0.0."""
    return float(normalise(answer) == normalise(reference))
