"""Sources that a manifest declares: what to read, under which names, and when it is new."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from headrace_events.text import as_name
from headrace_events.workload import Manifest, Source
from headrace_ingest.core.records import Row, digest


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source that shall be read."""

    key: str
    """The same for one manifest and one state of the source, however often it is applied."""
    source_id: str
    name: str
    source: Source


def source_name(source: Source) -> str:
    """Return the name that events carry."""
    if source.type == "file" and source.path:
        return f"file:{as_name(PurePath(source.path).name)}"
    return source.type


def plan_reads(manifest: Manifest, fingerprint: Callable[[str], str]) -> list[SourceRead]:
    """Return one read for each source; `fingerprint` tells the states of a file apart."""
    revision = manifest.revision()
    reads = []
    for source in manifest.spec.data.sources:
        source_id = digest(manifest.metadata.name, source.model_dump_json())
        state = fingerprint(source.path) if source.path else ""
        key = f"source/{manifest.metadata.name}/{digest(revision, source_id, state)}"
        reads.append(SourceRead(key, source_id, source_name(source), source))
    return reads


def batch_id(workload: str, source_id: str, rows: Sequence[Row]) -> str:
    """Return the batch's id: the same rows of one source are one batch, read when and as often."""
    return digest(
        workload, source_id, *(text for row in rows for text in (row.prompt, row.completion))
    )
