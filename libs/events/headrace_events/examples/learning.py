"""Examples of the events that make a model version: manifest, data, training, gate, models."""

from headrace_events import data, evaluation, jobs, models, training, workload
from headrace_events.envelope import EventData
from headrace_events.examples import things
from headrace_events.references import ArtefactRef, TableRef


def examples() -> tuple[EventData, ...]:
    """Return one example of each."""
    return (_applied(), *_data(), *_training(), *_evaluation(), *_models(), *_jobs())


def _jobs() -> tuple[EventData, ...]:
    payload = {"trigger": "records"}
    key = f"batch/{things.BATCH_ID}"
    return (
        jobs.JobQueued(
            kind="curation", key=key, payload=payload, cause_type=data.RecordsLanded.TYPE
        ),
        jobs.JobFinished(kind="curation", key=key, state="done", attempt=1, payload=payload),
    )


def _applied() -> EventData:
    manifest = workload.Manifest(
        apiVersion="headrace/v1",
        kind="Workload",
        metadata=workload.Metadata(name=things.WORKLOAD, owner="team-cards"),
        spec=workload.Spec(
            data=workload.Data(
                sources=(
                    workload.Source(
                        type="file", path="intents.csv", prompt="text", completion="category"
                    ),
                ),
                min_rows=500,
            ),
            train=workload.Train(rank=16, epochs=2, max_steps=240, max_minutes=10),
            evaluate=workload.Evaluate(gates=(workload.Gate(metric="exact_match", margin=-0.01),)),
            serve=workload.Serve(canary=workload.Canary(steps=(5, 25), min_requests=200)),
        ),
    )
    return workload.WorkloadApplied(revision=manifest.revision(), manifest=manifest)


def _data() -> tuple[EventData, ...]:
    return (
        data.RecordsLanded(
            batch_id=things.BATCH_ID,
            table=TableRef(uri=f"s3://headrace/raw/{things.WORKLOAD}", version=7),
            rows=131,
            source="traffic",
        ),
        data.RecordsRejected(
            source="file:intents.csv",
            reason="column `category` is missing; the file has: text, label",
        ),
        data.DatasetCurated(
            dataset=things.dataset(),
            batches=(things.BATCH_ID,),
            sources=("file:intents.csv", "traffic"),
            rejects={"duplicate": 61, "near_duplicate": 214, "too_long": 3},
            redactions={"email": 12, "iban": 4},
        ),
        data.DatasetRejected(
            batches=(things.BATCH_ID,),
            reason="38 rows are left after the checks; spec.data.min_rows asks for 500",
            rejects={"duplicate": 93},
        ),
        data.FileUploaded(
            file_id="file-019adf2e1b2c7a3d9e4f5a6b7c8d9e0f",
            filename="intents.csv",
            purpose="fine-tune",
            size=48211,
            prompt="text",
            completion="category",
            workload=things.WORKLOAD,
        ),
        data.FileDeleted(file_id="file-019adf2e1b2c7a3d9e4f5a6b7c8d9e0f"),
    )


def _training() -> tuple[EventData, ...]:
    return (
        training.TrainingRequested(dataset=things.dataset(), reason="drift: psi 0.31 above 0.25"),
        training.TrainingCancelRequested(job_id=things.JOB_ID),
        training.TrainingStarted(
            job_id=things.JOB_ID, base=things.BASE, dataset=things.dataset(), steps=240
        ),
        training.TrainingProgressed(
            job_id=things.JOB_ID, step=120, steps=240, loss=0.412, tokens_per_second=327.5
        ),
        training.TrainingCompleted(
            job_id=things.JOB_ID,
            run_id=things.RUN_ID,
            base=things.BASE,
            dataset=things.dataset(),
            artefact=_artefact(),
            steps=240,
            planned_steps=240,
            seconds=141.8,
            metrics={"train_loss": 0.171, "tokens_per_second": 331.2},
        ),
        training.TrainingFailed(
            job_id=things.JOB_ID, reason="cancelled at step 120", cancelled=True
        ),
    )


def _evaluation() -> tuple[EventData, ...]:
    new, old = things.model("2"), things.model("1")
    return (
        evaluation.EvaluationRequested(model=new, incumbent=old, dataset=things.dataset()),
        evaluation.EvaluationCompleted(
            evaluation_id=things.EVALUATION_ID,
            model=new,
            incumbent=old,
            dataset=things.dataset(),
            metrics=(
                evaluation.MetricResult(
                    metric="exact_match",
                    candidate=0.83,
                    incumbent=0.79,
                    difference=0.04,
                    low=0.0,
                    high=0.09,
                    confidence=0.95,
                    rows=100,
                ),
            ),
            gates=(
                evaluation.GateResult(
                    metric="exact_match",
                    margin=-0.01,
                    passed=True,
                    bound=0.0,
                    reason="lower bound 0.000 is not below the margin -0.010",
                ),
            ),
            passed=True,
            seconds=48.2,
        ),
        evaluation.EvaluationFailed(
            evaluation_id=things.EVALUATION_ID,
            model=new,
            reason="the adapter's digest differs from the registered one",
        ),
    )


def _models() -> tuple[EventData, ...]:
    new, old = things.model("2"), things.model("1")
    return (
        models.ModelRegistered(
            model=new,
            incumbent=old,
            dataset=things.dataset(),
            run_id=things.RUN_ID,
            metrics={"train_loss": 0.171},
        ),
        models.ModelApproved(model=new, incumbent=old, evaluation_id=things.EVALUATION_ID),
        models.ModelRejected(
            model=new,
            reason="gate exact_match: lower bound -0.043 is below the margin -0.010",
            evaluation_id=things.EVALUATION_ID,
        ),
        models.ModelPromoted(model=new, previous=old),
        models.ModelRolledBack(model=new, restored=old, reason="asked for by team-cards"),
        models.ModelRetired(model=old, reason="replaced by version 2, kept 90 days"),
    )


def _artefact() -> ArtefactRef:
    artefact = things.model("2").artefact
    assert artefact is not None  # noqa: S101 - version 2 of the story has one
    return artefact
