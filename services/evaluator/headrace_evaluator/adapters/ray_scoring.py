"""Scoring on Ray: the service stays light, torch lives in the tasks."""

import asyncio
from typing import Any

import structlog

from headrace_evaluator.core.evaluate import ScoringFailed, ScoringRefused
from headrace_evaluator.core.scores import Scored, ScoringRequest, join
from headrace_evaluator.settings import Scoring
from headrace_kit.ray_driver import job_config

_LOG = structlog.get_logger(__name__)


class RayScorer:
    """Spreads the rows over tasks; connects for each scoring, so that nothing is held between.

    Disconnecting lets Ray end the idle workers at once: a gigabyte of torch each. And a Ray head
    that was restarted meanwhile does no harm.
    """

    def __init__(self, address: str, scoring: Scoring) -> None:
        self._address = address
        self._scoring = scoring

    async def score(self, request: ScoringRequest) -> Scored:
        """Run the tasks; a cancelled caller cancels them."""
        try:
            references = await asyncio.to_thread(self._submit, request)
            try:
                futures = [asyncio.wrap_future(r.future()) for r in references]
                return join(await asyncio.gather(*futures))
            finally:
                await asyncio.to_thread(_cancel, references)
        except (ScoringRefused, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever Ray raises becomes a domain error
            raise _translated(error) from None
        finally:
            await asyncio.to_thread(_disconnect)

    def _submit(self, request: ScoringRequest) -> list[Any]:
        import ray

        ray.init(
            address=self._address,
            namespace="headrace",
            ignore_reinit_error=True,
            log_to_driver=True,
            configure_logging=False,
            job_config=job_config(),
        )
        scoring = self._scoring
        task = ray.remote(
            num_cpus=scoring.cpus_per_worker, num_gpus=scoring.gpus_per_worker, max_retries=1
        )(_run)
        shares = scoring.workers
        _LOG.info("scoring", models=[m.version for m in request.models], tasks=shares)
        return [
            task.remote(request, share, shares, scoring.cpus_per_worker) for share in range(shares)
        ]


def _run(request: ScoringRequest, share: int, shares: int, threads: int) -> Scored:
    """Import torch in the worker only, and let no error out whose message may quote a text."""
    from headrace_evaluator.scoring import task
    from headrace_evaluator.scoring.holdout import HoldoutMissing
    from headrace_models.errors import ModelError

    try:
        return task.run(request, share, shares, threads)
    except (ModelError, HoldoutMissing) as error:
        raise ScoringRefused(str(error)) from None
    except MemoryError:
        raise ScoringFailed("a scoring task ran out of memory") from None
    except Exception as error:  # noqa: BLE001 - its message may quote a row
        raise ScoringFailed(f"{type(error).__name__} at {_place(error)}") from None


def _place(error: BaseException) -> str:
    """Return `module:line` where the error arose."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}" if place else "?"


def _translated(error: Exception) -> Exception:
    """Return the domain's error for one that came out of Ray."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ScoringRefused | ScoringFailed):
        return cause
    return ScoringFailed(
        f"Ray: {type(error).__name__}; see the Ray head's state and the logs of its workers"
    )


def _cancel(references: list[Any]) -> None:
    import ray

    for reference in references:
        ready, _ = ray.wait([reference], timeout=0)
        if not ready:
            ray.cancel(reference, force=True)


def _disconnect() -> None:
    import ray

    ray.shutdown()
