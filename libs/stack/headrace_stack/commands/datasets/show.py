"""`headrace datasets show NAME [VERSION]`."""

from typing import Any

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.datasets.find import Name, Version, known, newest
from headrace_stack.commands.output import Format, Lines, Output, Watch, printable, show
from headrace_stack.commands.times import at


def call(api: Api, name: str, version: int) -> dict[str, Any]:
    """GET /datasets/{name}/versions/{version}."""
    with known(api, name):
        found: dict[str, Any] = api.get("datasets", name, "versions", str(version))
    return found


def dataset(
    name: Name, version: Version = None, output: Output = Format.TABLE, watch: Watch = False
) -> None:
    """Show a dataset version: rows, sources, what was dropped and why, or why there is none."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        found = call(api, name, version or newest(api, name, made=False))
        return found, Lines(tuple(_page(name, found)))

    show(answer, output, name="version", watch=watch)


def _page(name: str, found: dict[str, Any]) -> list[str]:
    number = found["version"]
    facts: dict[str, object] = {"dataset": f"{name} version {number}", "state": found["state"]}
    if found["state"] == "curated":
        facts |= {
            "rows": f"{found['train_rows']:,} to train on, {found['holdout_rows']:,} held out",
            "languages": _counts(found["profile"].get("languages", {})),
        }
    else:
        facts |= {"reason": found["reason"], "sources": ", ".join(found["sources"])}
    facts |= {"dropped": _counts(found["rejects"]), "redacted": _counts(found["redactions"])}
    for one in found["inputs"]:
        batches = "" if one["batches"] == 1 else f" in {one['batches']} batches"
        facts[f"source {len(facts)}"] = f"{one['source']}: {one['rows']:,} rows landed{batches}"
    facts |= {"digest": found["digest"], "created": at(found["created_at"])}
    if found["rejects"]:
        facts["see"] = f"headrace datasets rejects {name} {number}"
    return [
        f"{('source' if title.startswith('source ') else title) + ':':11} {printable(value)}"
        for title, value in facts.items()
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "nothing"
