"""MLflow's registry: numbers versions, and mirrors what the database says.

The client is blocking and takes seconds to import: it lives in threads, behind a first call.
"""

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace_registry.core.registration import Candidate

_JOB_TAG = "headrace.job_id"
_MARK_TAG = "headrace.mirrored"
_PAGE = 1000
# A job is retried by its own back-off: MLflow's client alone would hold it for ten minutes.
_CLIENT_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}

# mlflow's modules import one another in circles: two threads that import it at the same time
# deadlock, and what is left of it in `sys.modules` is broken until the process ends.
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class VersionView:
    """What MLflow shows of one version."""

    version: str
    tags: Mapping[str, str]
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured_at: datetime | None = None

    def mark(self) -> str:
        """Return a digest of the view: MLflow keeps it beside what it shows."""
        shown = json.dumps(
            [sorted(self.tags.items()), self.run_id, sorted(self.metrics.items()),
             str(self.measured_at)]
        )  # fmt: skip
        return hashlib.sha256(shown.encode()).hexdigest()[:32]


class MlflowRegistry:
    """Registered models and versions on an MLflow server (or a store URI)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connected: Any = None

    async def find_or_create(self, candidate: Candidate) -> str:
        """Return the candidate's version; a repeat finds what the first call made."""
        return await asyncio.to_thread(self._find_or_create, candidate)

    async def mirror(
        self, name: str, aliases: Mapping[str, str], versions: list[VersionView]
    ) -> None:
        """Make aliases, tags and evaluation metrics what they should be."""
        await asyncio.to_thread(self._mirror, name, aliases, versions)

    @property
    def _client(self) -> Any:
        """The client; every other import of mlflow comes after this one."""
        with _IMPORTING:
            if self._connected is None:
                for name, value in _CLIENT_LIMITS.items():
                    os.environ.setdefault(name, value)
                from mlflow import MlflowClient

                self._connected = MlflowClient(tracking_uri=self._url, registry_uri=self._url)
        return self._connected

    def _find_or_create(self, candidate: Candidate) -> str:
        client = self._client
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(
                candidate.name, tags={"headrace.workload": candidate.name}
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Tags are written with the version in one transaction: what has no tag does not exist.
        found = self._client.search_model_versions(
            f"name = '{candidate.name}' and tags.`{_JOB_TAG}` = '{candidate.key}'"
        )
        if found:
            return str(min(int(version.version) for version in found))
        training = candidate.training
        version = self._client.create_model_version(
            candidate.name,
            source=training.artefact.uri,
            run_id=training.run_id,
            tags=candidate.tags(),
            description=f"LoRA adapter on {training.base}, {training.steps} steps, "
            f"dataset version {training.dataset.version}",
        )
        return str(version.version)

    def _mirror(self, name: str, aliases: Mapping[str, str], versions: list[VersionView]) -> None:
        known = self._marks(name) if versions else {}
        for view in versions:
            # A line may have thousands of versions, and a change concerns one or two.
            if known.get(view.version) == view.mark():
                continue
            for key, value in view.tags.items():
                self._client.set_model_version_tag(name, view.version, key, value)
            self._log_metrics(view)
            # Last: what a kill left half done is done again.
            self._client.set_model_version_tag(name, view.version, _MARK_TAG, view.mark())
        present = dict(self._client.get_registered_model(name).aliases)
        for alias in present.keys() - aliases.keys():
            self._client.delete_registered_model_alias(name, alias)
        for alias, version in aliases.items():
            if str(present.get(alias)) != version:
                self._client.set_registered_model_alias(name, alias, version)

    def _marks(self, name: str) -> dict[str, str]:
        """Return the mark of what each version shows, read in pages."""
        found: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_model_versions(
                f"name = '{name}'", max_results=_PAGE, page_token=token
            )
            found |= {str(one.version): one.tags.get(_MARK_TAG, "") for one in page}
            token = page.token
            if not token:
                return found

    def _log_metrics(self, view: VersionView) -> None:
        if not (view.run_id and view.metrics and view.measured_at):
            return
        client = self._client
        from mlflow.entities import Metric

        # The time of the evaluation, not of the call: logged again it is the same point.
        at = int(view.measured_at.timestamp() * 1000)
        client.log_batch(
            view.run_id, metrics=[Metric(k, v, at, 0) for k, v in view.metrics.items()]
        )
