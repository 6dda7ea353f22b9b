"""What to say where a disk is full, or a folder cannot be written."""

import os
import shutil
from pathlib import Path

FULL_BYTES = 4 * 1024 * 1024
"""With less than this Kafka ends at its next segment and SQLite at its next transaction."""
START_BYTES = 64 * 1024 * 1024
"""A first start writes the log's topics, eight databases and MLflow's tables: about 30 MB."""


def complaint(folder: Path, at_least: int = FULL_BYTES) -> str:
    """Return what to say of the disk under `folder` with fewer free bytes than these, or nothing.

    A folder that is not there yet lies on the disk of the nearest one above it.
    """
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), None)
    if there is None or not os.access(there, os.W_OK):
        return ""  # whoever writes there is told so
    if shutil.disk_usage(there).free >= at_least:
        return ""
    return (
        f"The disk that holds {folder} is full: free some space there, or choose another folder "
        "with HEADRACE_HOME"
    )


def in_words(error: OSError) -> str:
    """Return an error of the file system as a sentence that names the place."""
    reason = error.strerror or type(error).__name__
    if error.filename is None:
        return f"{reason}."
    return (
        f"{reason}: {error.filename}. Give this user a place there to write, or choose another: "
        "HEADRACE_HOME for the data of the stack, HEADRACE_CACHE for what is fetched once."
    )
