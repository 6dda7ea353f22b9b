"""What ingest would land of a manifest's files: rows and columns, before anything is published."""

import os
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from headrace_events.text import shortened
from headrace_events.workload import Manifest, Source
from headrace_stack.commands.api import URL_VARIABLE, Api, Refused, connect
from headrace_stack.commands.output import printable
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

_ROWS = 3
_LONGEST = 100


class Unread(StackError):
    """Ingest did not say what it thinks of a file: it is away, or slow, or older."""


def reachable() -> Api | None:
    """The stack's HTTP, or None where only its Kafka is named or it has no gateway yet."""
    if not os.environ.get(URL_VARIABLE):
        state = live_state(default_home())
        if not getattr(state, "base_url", ""):
            return None
    return connect()


def call(api: Api, source: Source, *, shown: int) -> dict[str, Any]:
    """POST /sources/preview."""
    found: dict[str, Any] = api.post(
        "sources", "preview", body=source.model_dump(mode="json"), shown=shown
    )
    return found


def lines(api: Api, manifest: Manifest, *, rows: bool) -> Iterator[str]:
    """Say of each file how many rows it has; raise Refused of all that cannot be landed."""
    wrong = []
    for index, source in enumerate(manifest.spec.data.sources):
        if source.type != "file" or not source.path:
            continue
        place = f"spec.data.sources.{index}"
        name = printable(PurePath(source.path).name)
        try:
            found = call(api, source, shown=_ROWS if rows else 0)
        except Refused as error:
            wrong.append(f"  {place}: {name}: {error}")
            continue
        except StackError as error:
            raise Unread(str(error)) from None
        yield (
            f"{place}: {name}: {found['rows']} rows to land, `{source.prompt}` to "
            f"`{source.completion}`"
        )
        for row in found["data"][: _ROWS if rows else 0]:
            yield f"    {_cut(row['prompt'])} -> {_cut(row['completion'])}"
    if wrong:
        listed = "\n".join(wrong)
        raise Refused(
            f"A file was refused, nothing was applied. Correct:\n{listed}", 400, "unreadable_source"
        )


def _cut(text: str) -> str:
    return shortened(printable(text), _LONGEST)
