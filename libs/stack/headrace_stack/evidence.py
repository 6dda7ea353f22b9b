"""What the rows and requests that a manifest declares can show: said when it is applied."""

from headrace_events import canary_evidence
from headrace_events.evidence import least_loss, rows_for
from headrace_events.workload import Gate, Manifest

_LARGEST_HOLDOUT = 1_000_000


def notes(manifest: Manifest) -> list[str]:
    """Say of each gate and the canary what two equally good models need to pass, and what to do.

    A gate that wants an improvement (margin 0 or more) needs a better candidate in any case, and
    perplexity has no scale from which to tell beforehand.
    """
    found = []
    for index, gate in enumerate(manifest.spec.evaluate.gates):
        if gate.metric != "perplexity" and gate.margin < 0 and (note := _note(manifest, gate)):
            found.append(f"spec.evaluate.gates[{index}]: {note}")
    if of_canary := canary_evidence.note(manifest.spec.serve.canary):
        found.append(f"spec.serve.canary: {of_canary}")
    return found


def _note(manifest: Manifest, gate: Gate) -> str:
    data, most = manifest.spec.data, manifest.spec.evaluate.max_rows
    least = min(most, int(data.min_rows * data.holdout))
    needed = rows_for(min(1.0, -gate.margin), gate.confidence)
    if most < needed:
        return (
            f"{most} rows (evaluate.max_rows) {_excluded(gate, most)}: only a better candidate can "
            f"pass. For one that is as good as the incumbent score {needed} rows, or allow a wider "
            "margin."
        )
    if least < needed and data.holdout > 0:
        wanted = min(_LARGEST_HOLDOUT, -(-needed // data.holdout))
        return (
            f"a dataset of data.min_rows ({data.min_rows}) has {least} rows to evaluate on, which "
            f"{_excluded(gate, least)}. A candidate that is as good as the incumbent passes from "
            f"about {wanted:.0f} rows on."
        )
    return ""


def _excluded(gate: Gate, rows: int) -> str:
    loss = f"{least_loss(rows, gate.confidence):.3f}"
    # Scores that are not right or wrong are resampled where ten rows differ: those may show more.
    alike = "" if gate.metric == "exact_match" else ", where two models answer nearly alike,"
    return f"can{alike} exclude a loss of {loss} at best, and the margin is {-gate.margin:.3f}"
