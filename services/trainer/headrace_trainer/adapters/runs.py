"""Runs in MLflow: one per training job, found again by its tag."""

import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace_events.locations import local_path
from headrace_events.references import ArtefactRef
from headrace_models import artefact
from headrace_trainer.core.specification import Outcome, Progress, Specification

_JOB_TAG = "headrace.job_id"
_ADAPTER = "adapter"
# A job is tried again with its own back-off: the client alone would hold it for ten minutes.
_CLIENT_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class Run:
    """A run and where its artefacts go."""

    run_id: str
    artifact_uri: str


class Runs:
    """Blocking, as MLflow's client is: called in a thread."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, specification: Specification) -> Run:
        """Find the job's run, or make it."""
        client = self._client()
        name = f"headrace/{specification.workload}"
        experiment = client.get_experiment_by_name(name)
        identity = experiment.experiment_id if experiment else client.create_experiment(name)
        found = client.search_runs([identity], f"tags.`{_JOB_TAG}` = '{specification.job_id}'")
        if found:
            return Run(found[0].info.run_id, found[0].info.artifact_uri)
        tags = {
            _JOB_TAG: specification.job_id,
            "headrace.workload": specification.workload,
            "headrace.dataset_version": str(specification.dataset.version),
            "headrace.dataset_digest": specification.dataset.digest,
        }
        run = client.create_run(
            identity, tags=tags, run_name=f"dataset v{specification.dataset.version}"
        )
        self._log_recipe(client, run.info.run_id, specification)
        return Run(run.info.run_id, run.info.artifact_uri)

    @staticmethod
    def _log_recipe(client: Any, run_id: str, specification: Specification) -> None:
        from mlflow.entities import Param

        recipe = {
            **specification.train.model_dump(),
            "base": specification.base,
            "dataset_uri": specification.dataset.table.uri,
            "dataset_table_version": specification.dataset.table.version,
            "train_rows": specification.dataset.train_rows,
        }
        client.log_batch(run_id, params=[Param(k, str(v)) for k, v in recipe.items()])

    def log(self, run: Run, progress: Sequence[Progress]) -> None:
        """Log the curve."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, one.step)
            for one in progress
            for name, value in (
                ("loss", one.loss),
                ("learning_rate", one.learning_rate),
                ("tokens_per_second", one.tokens_per_second),
            )
            if math.isfinite(value)
        ]
        if metrics:
            self._client().log_batch(run.run_id, metrics=metrics)

    def close(self, run: Run, outcome: Outcome) -> ArtefactRef:
        """Put the adapter among the run's artefacts, once, and end the run."""
        client = self._client()
        uri = f"{run.artifact_uri.rstrip('/')}/{_ADAPTER}"
        place = local_path(uri)
        source = Path(outcome.adapter)
        if place is None or not place.exists():
            artefact.upload(source, uri)
        folder = place or source
        for name, value in (
            ("final_loss", outcome.loss),
            ("train_seconds", outcome.seconds),
            ("train_tokens", float(outcome.tokens)),
        ):
            client.log_metric(run.run_id, name, value, step=outcome.steps)
        client.set_terminated(run.run_id, "FINISHED")
        return ArtefactRef(
            uri=uri, digest=artefact.digest(folder), size_bytes=artefact.size_bytes(folder)
        )

    def fail(self, job_id: str, workload: str) -> None:
        """End the run of a training that was given up."""
        client = self._client()
        experiment = client.get_experiment_by_name(f"headrace/{workload}")
        if experiment is None:
            return
        for run in client.search_runs(
            [experiment.experiment_id], f"tags.`{_JOB_TAG}` = '{job_id}'"
        ):
            client.set_terminated(run.info.run_id, "FAILED")

    def _client(self) -> Any:
        # mlflow's modules import one another in circles: two threads at once would deadlock.
        with _IMPORTING:
            for name, value in _CLIENT_LIMITS.items():
                os.environ.setdefault(name, value)
            from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._url)
