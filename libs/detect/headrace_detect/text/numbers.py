"""Rows of digits in groups: what all detectors of numbers look at."""

from collections.abc import Iterator

import re2

# Seven digits and more, with at most four signs between two of them; never over a line's end.
_ROW = re2.compile(r"[0-9](?:[ ().\-/]{0,4}[0-9]){6,}")


class Row:
    """Groups of digits that stand next to each other, with signs between them."""

    __slots__ = ("ends", "sizes", "starts", "text")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.starts: list[int] = []
        self.ends: list[int] = []
        at = start
        while at < end:
            self.starts.append(at)
            while at < end and text[at].isdigit():
                at += 1
            self.ends.append(at)
            while at < end and not text[at].isdigit():
                at += 1
        self.sizes = [end - start for start, end in zip(self.starts, self.ends, strict=True)]

    def __len__(self) -> int:
        return len(self.starts)

    def group(self, number: int) -> str:
        """The digits of one group."""
        return self.text[self.starts[number] : self.ends[number]]

    def size(self, number: int) -> int:
        """How many digits a group has; 0 if there is no such group."""
        return self.sizes[number] if 0 <= number < len(self.sizes) else 0

    def digits(self, first: int, count: int) -> str:
        """The digits of `count` groups in one piece."""
        return "".join(self.group(number) for number in range(first, first + count))

    def gap(self, number: int) -> str:
        """The sign between a group and the one before it, without spaces; `" "` for spaces alone.

        Empty where there is no such pair.
        """
        if not 0 < number < len(self.starts):
            return ""
        written = self.text[self.ends[number - 1] : self.starts[number]]
        return written if len(written) == 1 else (written.replace(" ", "") or " ")

    def shaped(self, first: int, sizes: tuple[int, ...], gaps: str) -> bool:
        """Whether the groups from `first` have these sizes, with one of `gaps` between them."""
        if tuple(self.sizes[first : first + len(sizes)]) != sizes:
            return False
        return all(self.gap(number) in gaps for number in range(first + 1, first + len(sizes)))


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a plain text, from left to right."""
    for match in _ROW.finditer(text):
        yield Row(text, match.start(), match.end())
