"""Trainings on Ray: the service process submits and watches, it never imports torch.

All of it hangs on the connection of this process: when the process dies, Ray ends the task, the
train controller and its workers, so a resumed training never runs beside its predecessor.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import structlog

from headrace_kit.ray_driver import job_config
from headrace_trainer.core.specification import Outcome, Progress, Specification

_LOG = structlog.get_logger(__name__)
_NAMESPACE = "headrace"
_POLL_SECONDS = 0.5
_WORKER_ENVIRONMENT = {
    # A thread that waits for another must not hold a core that somebody else could use.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    # A checkpoint counts only once the controller has taken it in: a kill before loses its work.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}


class TrainingRefused(Exception):
    """The training can never succeed as it is asked for."""


class TrainingBroken(Exception):
    """The training failed; another attempt may go on from its last checkpoint."""


class RayTraining:
    """Runs one training at a time."""

    def __init__(self, address: str, storage: str, threads: int) -> None:
        self._address = address
        self._storage = storage
        self._threads = threads

    async def run(self, specification: Specification) -> AsyncIterator[Progress | Outcome]:
        """Yield where the training stands, and its outcome last."""
        try:
            board, task = await asyncio.to_thread(self._submit, specification)
            while True:
                done = await asyncio.to_thread(_finished, task)
                for progress in await asyncio.to_thread(_take, board):
                    yield Progress.model_validate(progress)
                if done:
                    break
                await asyncio.sleep(_POLL_SECONDS)
            yield await asyncio.to_thread(_outcome, board, task)
        except (TrainingRefused, TrainingBroken, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - whatever Ray raises becomes a domain error
            raise _translated(error) from None
        finally:
            await asyncio.shield(asyncio.to_thread(_disconnect))

    def _submit(self, specification: Specification) -> tuple[Any, Any]:
        import ray

        ray.init(
            address=self._address,
            namespace=_NAMESPACE,
            ignore_reinit_error=True,
            configure_logging=False,
            job_config=job_config(),
            runtime_env={"env_vars": _WORKER_ENVIRONMENT},
        )
        # Named anew at each attempt: a killed predecessor's board may still be on its way out.
        name = f"board-{specification.job_id}-{secrets.token_hex(4)}"
        actor: Any = ray.remote(num_cpus=0)(_Board)
        board = actor.options(name=name).remote()
        # The name must be known before a worker asks for it.
        ray.get(board.take.remote())
        task = ray.remote(num_cpus=0, max_retries=0)(_fit).remote(
            specification.model_dump(mode="json"), self._storage, self._threads, name
        )
        _LOG.info("training submitted", job=specification.job_id)
        return board, task


class _Board:
    """Where the worker writes its progress and the service reads it."""

    def __init__(self) -> None:
        self._progress: list[dict[str, Any]] = []
        self._outcome: dict[str, Any] | None = None

    def put(self, progress: dict[str, Any]) -> None:
        self._progress.append(progress)

    def take(self) -> list[dict[str, Any]]:
        taken, self._progress = self._progress, []
        return taken

    def end(self, outcome: dict[str, Any]) -> None:
        self._outcome = outcome

    def outcome(self) -> dict[str, Any] | None:
        return self._outcome


def _fit(specification: dict[str, Any], storage: str, threads: int, board: str) -> str:
    """Run in a Ray worker, where torch may be imported; return the last checkpoint's path."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from headrace_models.errors import ModelError
    from headrace_trainer.adapters import worker
    from headrace_trainer.adapters.rows import DatasetUnreadable
    from headrace_trainer.core.examples import NothingToLearn

    recipe = specification["train"]
    gpus = recipe["gpus_per_worker"]
    resources: dict[str, float] = {"CPU": threads}
    if gpus:
        resources["GPU"] = gpus
    trainer = TorchTrainer(
        worker.train,
        train_loop_config={
            "specification": specification,
            "threads": threads,
            "board": board,
            "namespace": _NAMESPACE,
        },
        scaling_config=ScalingConfig(
            num_workers=recipe["workers"], use_gpu=bool(gpus), resources_per_worker=resources
        ),
        # The run's name is the job's: a second attempt finds the first one's checkpoints.
        run_config=RunConfig(
            name=specification["job_id"],
            storage_path=storage,
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        result = trainer.fit()
    except Exception as error:  # noqa: BLE001 - its message may quote a row
        for cause in _causes(error):
            if isinstance(cause, ModelError | DatasetUnreadable | NothingToLearn):
                raise TrainingRefused(str(cause)) from None
        named = ", ".join(dict.fromkeys(type(cause).__name__ for cause in _causes(error)))
        raise TrainingBroken(f"the training ended with {named}") from None
    if result.checkpoint is None:
        raise TrainingBroken("the training left no checkpoint")
    return str(result.checkpoint.path)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what lies behind it, the workers' own errors too."""
    found: list[BaseException] = []
    open_: list[BaseException | None] = [error]
    while open_:
        one = open_.pop()
        if one is None or one in found:
            continue
        found.append(one)
        open_ += [one.__cause__, getattr(one, "cause", None)]
        open_ += list(getattr(one, "worker_failures", {}).values())
    return found


def _finished(task: Any) -> bool:
    import ray

    ready, _ = ray.wait([task], timeout=0)
    return bool(ready)


def _take(board: Any) -> list[dict[str, Any]]:
    import ray

    taken: list[dict[str, Any]] = ray.get(board.take.remote(), timeout=60)
    return taken


def _outcome(board: Any, task: Any) -> Outcome:
    import ray

    path = ray.get(task)
    found = ray.get(board.outcome.remote(), timeout=60)
    if found is None:
        raise TrainingBroken("the training ended without an outcome")
    return Outcome.model_validate({**found, "adapter": f"{path}/adapter"})


def _translated(error: Exception) -> Exception:
    cause = getattr(error, "cause", None)
    if isinstance(cause, TrainingRefused | TrainingBroken):
        return cause
    return TrainingBroken(
        f"Ray: {type(error).__name__}; see the Ray head's state and the logs of its workers"
    )


def _disconnect() -> None:
    """Disconnecting ends what is left of the training, the actor and idle workers too."""
    import ray

    ray.shutdown()
