"""What the examples refer to: one dataset version, two model versions, one request."""

from headrace_events.inference import InferenceRequested, Message
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.rollout import ArmStats

WORKLOAD = "support-intents"
BASE = "smollm2-135m-instruct"
REQUEST_ID = "019a7c31-5b2e-7c44-9a1f-6d0b8e5f2a10"
BATCH_ID = "019a7b90-11aa-7d02-8c3e-0f5b7a9d4e21"
JOB_ID = "support-intents-2"
RUN_ID = "b7f3c1d0a95e4c6f8e2d1a0b9c8d7e6f"
EVALUATION_ID = "019a7ba4-9f13-7e55-b2c6-8a4d3e1f0b77"
ROLLOUT_ID = "019a7bb2-0c4d-7a19-9d3f-5e6a7b8c9d0e"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def dataset() -> DatasetRef:
    """Return dataset version 2."""
    return DatasetRef(
        version=2,
        table=TableRef(uri=f"s3://headrace/datasets/{WORKLOAD}", version=2),
        digest="sha256:1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014",
        train_rows=4212,
        holdout_rows=468,
    )


def model(version: str) -> ModelRef:
    """Return version "1" or "2", or "base" without an artefact."""
    if version == "base":
        return ModelRef(name=WORKLOAD, version="base", base=BASE)
    digests = {
        "1": "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        "2": "sha256:fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13",
    }
    artefact = ArtefactRef(
        uri=f"s3://headrace/mlflow/{RUN_ID}/adapter-{version}",
        digest=digests[version],
        size_bytes=9_781_664,
    )
    return ModelRef(name=WORKLOAD, version=version, base=BASE, artefact=artefact)


def request() -> InferenceRequested:
    """Return the request whose way through the services the examples follow."""
    return InferenceRequested(
        request_id=REQUEST_ID,
        messages=(
            Message(role="system", content="Answer with the intent only."),
            Message(role="user", content="My new card has not arrived. Where is it?"),
        ),
        max_tokens=16,
        key="customer-8841",
    )


def arm(version: str, *, errors: int, p95_ms: float, rating_mean: float) -> ArmStats:
    """Return one side of a canary step."""
    return ArmStats(
        version=version,
        requests=214,
        errors=errors,
        p50_ms=212.4,
        p95_ms=p95_ms,
        rating_mean=rating_mean,
        ratings=37,
    )
