"""Where things lie, as events name it: the one place that turns a URI into a path."""

import re
from pathlib import Path
from urllib.parse import unquote

# A file has neither query nor fragment: `?` and `#` that somebody did not encode are its name's.
_FILE_URI = re.compile(r"file:(?://[^/]*)?(/.*)", re.DOTALL | re.IGNORECASE)


def local_path(uri: str) -> Path | None:
    """Return the path of a local URI, decoded, or of what is a path already; None if remote."""
    if "://" not in uri and not uri.startswith("file:/"):
        return Path(uri)  # whatever its letters: `a:b`, `%41`, `#`
    local = _FILE_URI.fullmatch(uri)
    return Path(unquote(local[1])) if local else None
