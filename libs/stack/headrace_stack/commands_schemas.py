"""`headrace schemas`: write the contracts, check them against the last release, freeze one."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headrace_stack import releases
from headrace_stack.errors import StackError

Folder = Annotated[Path, typer.Argument(help="The folder of the contracts.")]
Infra = Annotated[
    Path | None,
    typer.Option(help="Where ACLs and Helm values go. Default: `infra` beside the contracts."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
_SCHEMAS = Path("schemas")


def register(app: typer.Typer) -> None:
    """Put the commands into `app`."""
    schemas = typer.Typer(help="The contracts of topics and events.", no_args_is_help=True)
    schemas.command(
        epilog="Examples: `headrace schemas export`, "
        "`headrace schemas export schemas --infra deploy`"
    )(export)
    schemas.command(epilog="Examples: `headrace schemas check`, `headrace schemas check --json`")(
        check
    )
    schemas.command(epilog="Examples: `headrace schemas diff`, `headrace schemas diff --json`")(
        diff
    )
    schemas.command(
        epilog="Examples: `headrace schemas release 0.2.0`, "
        "`headrace schemas release 0.2.0 --commit v0.2.0`"
    )(release)
    app.add_typer(schemas, name="schemas")


def export(folder: Folder = _SCHEMAS, infra: Infra = None) -> None:
    """Write topics, event schemas, examples, AsyncAPI documents, ACLs and Helm values."""
    from headrace_events.examples import UnfitExample
    from headrace_events.export import export as write

    try:
        changed = write(folder, _infra(folder, infra))
    except UnfitExample as error:
        raise StackError(str(error)) from error
    for path in changed:
        typer.echo(f"wrote {path}" if path.exists() else f"removed {path}")
    if not changed:
        typer.echo(f"{folder} is up to date.")


def check(folder: Folder = _SCHEMAS, infra: Infra = None, as_json: AsJson = False) -> None:
    """Fail when the export is out of date, or not compatible with the last release."""
    from headrace_events.compat import judge, present

    baseline = releases.read_baseline(folder)
    old = releases.load(releases.folder_of(folder, baseline.version))
    verdict = judge(old, present(), releases.read_agreed(folder))
    stale, unfit = _stale(folder, _infra(folder, infra))
    passes = verdict.compatible and not stale and not unfit
    if as_json:
        found = {
            "ok": passes,
            "baseline": baseline.version,
            "not_exported": [str(path) for path in stale],
            "unfit_example": unfit,
            "refused": [change.describe() for change in verdict.refused],
            "acknowledged": [change.describe() for change in verdict.acknowledged],
            "passed": [change.describe() for change in verdict.passed],
            "acknowledged_without_change": [
                f"{note.where} {note.path}: {note.change}" for note in verdict.stale
            ],
        }
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for change in (*verdict.refused, *verdict.acknowledged):
            typer.echo(change.text() + "\n")
        for note in verdict.stale:
            typer.echo(
                f"{folder / 'consumers-first.yaml'} names a change that is not there: "
                f"{note.where} {note.path} {note.change}. Take it out."
            )
        if unfit:
            typer.echo(unfit)
        for path in stale:
            typer.echo(f"not exported: {path} (run `make schemas` and commit the result)")
        typer.echo(_summary(len(verdict.refused), len(verdict.passed), baseline, passes))
    if not passes:
        raise typer.Exit(1)


def _stale(folder: Path, infra: Path) -> tuple[list[Path], str | None]:
    """Return what is not exported, or why that cannot be said."""
    from headrace_events.examples import UnfitExample
    from headrace_events.export import check as differing

    try:
        return differing(folder, infra), None
    except UnfitExample as error:
        return [], str(error)


def _summary(refused: int, passed: int, baseline: releases.Baseline, passes: bool) -> str:
    against = f"release {baseline.version} ({baseline.commit[:10]})"
    if passes:
        return f"The contracts are exported and compatible with {against}; {passed} changes."
    if refused:
        return f"Not compatible with {against}: {refused} changes are refused."
    return f"Compared with {against}."


def diff(folder: Folder = _SCHEMAS, as_json: AsJson = False) -> None:
    """Show what changed since the last release."""
    from headrace_events.compat import compare, present

    baseline = releases.read_baseline(folder)
    changes = compare(releases.load(releases.folder_of(folder, baseline.version)), present())
    if as_json:
        said = {"baseline": baseline.version, "changes": [c.describe() for c in changes]}
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2))
        return
    if not changes:
        typer.echo(f"Nothing changed since release {baseline.version}.")
        return
    table = Table(title=f"Contracts since release {baseline.version}")
    for name in ("", "event type or topic", "where", "change", "was", "now"):
        table.add_column(name, overflow="fold")
    for change in changes:
        found = change.finding
        table.add_row(
            _MARKS[change.severity], change.where, found.path, found.what, found.was, found.now
        )
    Console().print(table)


_MARKS = {
    "breaking": "[red]breaking[/]",
    "consumers_first": "[yellow]consumers first[/]",
    "additive": "[green]added[/]",
    "note": "note",
}


def release(
    version: Annotated[str, typer.Argument(help="The version, like 0.2.0.")],
    folder: Annotated[Path, typer.Option(help="The folder of the contracts.")] = _SCHEMAS,
    commit: Annotated[
        str, typer.Option(help="The commit that is released; its contracts are frozen.")
    ] = "HEAD",
) -> None:
    """Freeze the contracts of a commit as a release: the baseline from now on.

    What breaks the release before passes only when the major version rises (before 1.0 the minor).
    """
    from headrace_events.compat import judge

    sha = releases.resolve(folder, commit)
    releases.major(version)
    if (folder / "baseline.yaml").exists():
        before = releases.read_baseline(folder)
        _refuse_older(version, before)
        old = releases.load(releases.folder_of(folder, before.version))
        with releases.unpacked(folder, sha, folder / ".comparing") as contents:
            verdict = judge(old, releases.load(contents), releases.read_agreed(contents))
        if verdict.refused and releases.major(version) == before.major:
            said = "\n\n".join(change.text() for change in verdict.refused)
            raise StackError(
                f"{version} would break {before.version}, which only a new major version may:\n"
                f"{said}"
            )
    frozen = releases.freeze(folder, version, sha)
    typer.echo(
        f"Release {frozen.version} of {frozen.commit[:10]} is the baseline. Commit {folder}."
    )


def _refuse_older(version: str, before: releases.Baseline) -> None:
    if releases.numbers(version) <= releases.numbers(before.version):
        raise StackError(f"{version} is not newer than the last release, {before.version}.")


def _infra(folder: Path, infra: Path | None) -> Path:
    return infra or folder.resolve().parent / "infra"
