"""What the demo runs: the workload's manifest, and the part of the data its product knows."""

from dataclasses import dataclass, replace
from pathlib import Path

from headrace_events.workload import (
    Canary,
    Data,
    Evaluate,
    Gate,
    Manifest,
    Metadata,
    Serve,
    Source,
    Spec,
    Train,
)

# The rest of the rows is what the sample product service's users ask: the model has not seen it.
_TRAINING_PART = (0.0, 0.85)
_PRODUCT_PART = (0.85, 1.0)
_PRODUCT_ROWS = 400
# Labels are learnt later than a style of answering: 54 steps took 77 intents from 0 to 28 % exact
# matches.
_LABEL_STEPS_RATIO = 1.5
# Small batches and a high rate: what a few hundred rows can teach in two minutes.
_LEARNING_RATE = 2e-3
_MAX_TOKENS = 24
# One step at the weight where the fewest requests in all show it: 74 flawless ones of the candidate
# among 123. Two steps need twice as many, and two cores answer about two a second.
CANARY = Canary(
    steps=(60,),
    min_requests=75,
    # A candidate and an incumbent share two cores with all the rest here.
    max_latency_ratio=4.0,
)


@dataclass(frozen=True)
class Plan:
    """One run of the demo."""

    manifest: Manifest
    product_source: Source


@dataclass(frozen=True)
class Size:
    """How much work a run does; the small one is for tests."""

    train_steps: int = 32
    batch_size: int = 8
    rows: int = 2400
    evaluation_rows: int = 64
    feedback: int = 60
    margins: tuple[float, float] = (-0.02, -0.1)
    """Of the gates on ROUGE-L and exact match; wide ones test the loop, not the model. 64 rows
    without any difference can exclude a loss of 6.7 points in exact match, not of 5."""


SMALL = Size(
    train_steps=12,
    rows=200,
    evaluation_rows=16,
    feedback=20,
    margins=(-1.0, -1.0),
)


def python_docs(size: Size, name: str) -> Plan:
    """A documentation assistant, from the documentation that every interpreter carries."""
    source = Source(type="python_docs", part=_TRAINING_PART, limit=size.rows)
    product = Source(type="python_docs", part=_PRODUCT_PART, limit=_PRODUCT_ROWS)
    return _plan(name, size, source, product, size.train_steps)


def own_file(path: Path, prompt: str, completion: str, size: Size, name: str) -> Plan:
    """The same loop on a file of the user's."""
    fields = {"path": str(path.resolve()), "prompt": prompt, "completion": completion}
    source = Source(type="file", part=_TRAINING_PART, limit=size.rows, **fields)
    product = Source(type="file", part=_PRODUCT_PART, limit=_PRODUCT_ROWS, **fields)
    steps = round(size.train_steps * _LABEL_STEPS_RATIO)
    return _plan(name, size, source, product, steps)


def renamed(plan: Plan, name: str) -> Plan:
    """The same plan for a workload of another name."""
    metadata = plan.manifest.metadata.model_copy(update={"name": name})
    return replace(plan, manifest=plan.manifest.model_copy(update={"metadata": metadata}))


def _plan(name: str, size: Size, source: Source, product: Source, steps: int) -> Plan:
    manifest = Manifest(
        apiVersion="headrace/v1",
        kind="Workload",
        metadata=Metadata(name=name, owner="headrace-demo"),
        spec=Spec(
            data=Data(sources=(source,), min_rows=50, holdout=0.1, feedback_batch=size.feedback),
            train=Train(
                max_steps=steps,
                batch_size=size.batch_size,
                learning_rate=_LEARNING_RATE,
                max_minutes=4,
                epochs=4,
                checkpoint_every=20,
            ),
            evaluate=Evaluate(
                gates=(
                    Gate(metric="rouge_l", margin=size.margins[0]),
                    Gate(metric="exact_match", margin=size.margins[1]),
                ),
                max_rows=size.evaluation_rows,
                max_tokens=_MAX_TOKENS,
            ),
            serve=Serve(
                canary=CANARY,
                max_tokens=_MAX_TOKENS,
            ),
        ),
    )
    return Plan(manifest, product)
