"""Near duplicates: MinHash and LSH find candidates, the exact Jaccard similarity decides."""

from typing import Any

_SHINGLE = 5
_PERMUTATIONS = 128
_SEED = 7
# An estimate from 128 permutations is this far off at most (three standard deviations at 0.8).
_ESTIMATE_ERROR = 0.11
_RECALL = 0.995


def shingles(key: str) -> list[str]:
    """Return the distinct 5-character pieces of a prompt key, sorted."""
    padded = f" {key} "
    return sorted({padded[i : i + _SHINGLE] for i in range(max(1, len(padded) - _SHINGLE + 1))})


def bands_for(threshold: float) -> int:
    """Return the fewest LSH bands that still find a pair at `threshold` almost surely.

    With b bands of r rows a pair of similarity t is found with probability 1 - (1 - t^r)^b.
    """
    for rows in (16, 8, 4, 2):
        bands = _PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands
    return _PERMUTATIONS


class NearDuplicates:
    """An index of prompt keys; keys are compared with those that were added before."""

    def __init__(self, threshold: float) -> None:
        from rensa import RMinHash, RMinHashLSH

        self._threshold = threshold
        self._make: Any = RMinHash
        self._lsh: Any = RMinHashLSH(threshold, _PERMUTATIONS, bands_for(threshold))
        self._hashes: list[Any] = []
        self._pieces: list[list[str]] = []

    def add(self, key: str) -> int:
        """Add a key; return its number, counted from 0."""
        number = len(self._hashes)
        pieces = shingles(key)
        self._hashes.append(self._hash(pieces))
        self._pieces.append(pieces)
        self._lsh.insert(number, self._hashes[number])
        return number

    def like(self, key: str) -> list[int]:
        """Return the numbers of the keys whose similarity is at or above the threshold."""
        return [number for number, _ in self.similar(key)]

    def similar(self, key: str) -> list[tuple[int, float]]:
        """Return those numbers, each with its similarity."""
        pieces = shingles(key)
        hashed = self._hash(pieces)
        mine = set(pieces)
        found = []
        for number in self._lsh.query(hashed):
            if hashed.jaccard(self._hashes[number]) < self._threshold - _ESTIMATE_ERROR:
                continue
            theirs = self._pieces[number]
            shared = sum(1 for piece in theirs if piece in mine)
            similarity = shared / (len(mine) + len(theirs) - shared)
            if similarity >= self._threshold:
                found.append((number, similarity))
        return sorted(found)

    def _hash(self, pieces: list[str]) -> Any:
        hashed = self._make(_PERMUTATIONS, _SEED)
        hashed.update(pieces)
        return hashed
