"""Which way each event goes in the picture of the loop: its producer and who acts on it.

The monitor reads every outcome; it is drawn only where it is the one that acts.
"""

from typing import Final

EDGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "records.landed": ("ingest", ("data-quality",)),
    "records.rejected": ("ingest", ("monitor",)),
    "dataset.curated": ("data-quality", ("trainer",)),
    "dataset.rejected": ("data-quality", ("monitor",)),
    "training.started": ("trainer", ("monitor",)),
    "training.progressed": ("trainer", ("monitor",)),
    "training.completed": ("trainer", ("registry",)),
    "training.failed": ("trainer", ("monitor",)),
    "model.registered": ("registry", ("evaluator",)),
    "model.approved": ("registry", ("serving",)),
    "model.rejected": ("registry", ("serving",)),
    "model.promoted": ("registry", ("serving",)),
    "model.rolled_back": ("registry", ("serving",)),
    "model.retired": ("registry", ("serving",)),
    "evaluation.completed": ("evaluator", ("registry",)),
    "evaluation.failed": ("evaluator", ("registry",)),
    "rollout.started": ("serving", ("monitor",)),
    "rollout.stepped": ("serving", ("monitor",)),
    "rollout.finished": ("serving", ("registry",)),
    "canary.judged": ("monitor", ("serving",)),
    "drift.detected": ("monitor", ("data-quality",)),
    "slo.breached": ("monitor", ("monitor",)),
    "guardrail.tripped": ("guardrails", ("monitor",)),
}

HOPS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    # An outcome says that the whole path was walked.
    "inference.completed": (
        ("product", "guardrails"),
        ("guardrails", "serving"),
        ("serving", "guardrails"),
        ("guardrails", "product"),
    ),
    "inference.rejected": (("product", "guardrails"), ("guardrails", "product")),
    "feedback.given": (("product", "ingest"), ("product", "monitor")),
}


def hops() -> dict[str, list[tuple[str, str]]]:
    """Return, by event type, the ways to light up, one after the other."""
    found = {kind: [(source, to) for to in targets] for kind, (source, targets) in EDGES.items()}
    return found | {kind: list(ways) for kind, ways in HOPS.items()}
