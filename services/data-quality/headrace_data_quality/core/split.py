"""The split: by hash of the prompt, so that a prompt is on one side for ever."""

import hashlib

from headrace_data_quality.core.rows import Split

_SPACE = 1 << 64


def split_of(key: str, holdout: float) -> Split:
    """Return the side of a prompt key; `holdout` is the share of prompts that is held out.

    The salt keeps it independent of other hashes of the prompt (ingest slices sources by one).
    """
    hashed = hashlib.sha256(b"holdout\x1f" + key.encode()).digest()
    return "holdout" if int.from_bytes(hashed[:8], "big") / _SPACE < holdout else "train"
