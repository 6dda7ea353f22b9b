"""What the one on call wants to know beside the supervisor's own state: asked at once, shortly.

Whatever does not answer in time is named; the rest is shown.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace_kit import build
from headrace_stack.commands.api import Api
from headrace_stack.errors import StackError
from headrace_stack.lags import dead_letter_counts, lags
from headrace_stack.state import State

SECONDS = 1.9
"""For all of it together: each of the questions is asked at the same time."""
_JOBS = 100
_OPEN = ("queued", "running", "validating_files", "waiting")

Answer = Any
_Ask = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True)
class Overview:
    """What was found out; `missing` says what was not, one sentence each."""

    uptime_seconds: float
    disk_free_bytes: int
    workloads: list[dict[str, Any]] | None = None
    alerts: list[dict[str, Any]] | None = None
    jobs: list[dict[str, Any]] | None = None
    dead_letters: dict[str, int] | None = None
    lag: dict[str, Any] | None = None
    """The largest one; an empty object: nothing waits."""
    other_releases: list[dict[str, str]] = field(default_factory=list)
    """Services that run other code than this command."""
    missing: list[str] = field(default_factory=list)


async def overview(state: State, *, seconds: float = SECONDS) -> Overview:
    """Ask all that know something, for so many seconds at most."""
    services = {part.name: part.url for part in state.parts if part.kind == "service" and part.url}
    questions: dict[str, _Ask] = {}
    if state.base_url and "monitor" in services:
        api = Api(state.base_url, seconds=seconds)
        questions["workloads"] = _in_thread(lambda: workloads(api))
        questions["alerts"] = _in_thread(lambda: alerts(api))
    if state.base_url and services.keys() & {"trainer", "evaluator"}:
        questions["jobs"] = _in_thread(lambda: jobs(Api(state.base_url, seconds=seconds), services))
    if state.kafka:
        questions["dead_letters"] = lambda: dead_letter_counts(state.kafka, services)
        questions["lag"] = lambda: _largest(state.kafka)
    for name, url in services.items():
        questions[f"version of {name}"] = _in_thread(
            lambda url=url: Api(url, seconds=seconds).get("version")
        )
    answers = dict(
        zip(
            questions,
            await asyncio.gather(*(_asked(ask, seconds) for ask in questions.values())),
            strict=True,
        )
    )
    found = {name: answer for name, answer in answers.items() if not isinstance(answer, StackError)}
    return Overview(
        uptime_seconds=round(max(time.time() - state.supervisor_created, 0.0), 1),
        disk_free_bytes=shutil.disk_usage(_existing(Path(state.home))).free,
        **{name: found.get(name) for name in
           ("workloads", "alerts", "jobs", "dead_letters", "lag")},
        other_releases=[
            {"name": name, "version": told.get("version", ""), "commit": told.get("commit", "")}
            for name in services
            if (told := found.get(f"version of {name}")) is not None and not is_same(told)
        ],
        missing=[
            f"{_KNOWN_AS.get(name, name)}: {answer}"
            for name, answer in answers.items()
            if isinstance(answer, StackError)
        ],
    )  # fmt: skip


_KNOWN_AS = {"dead_letters": "dead letters"}


def is_same(told: dict[str, str]) -> bool:
    """Whether a service's `/version` is of this command's release, and commit where both know it.

    Services of a release before commits were told have none: those are old.
    """
    if told.get("version") != build.release(f"headrace-{told.get('service')}"):
        return False
    return "commit" in told and (
        not told["commit"] or not build.commit() or told["commit"] == build.commit()
    )


async def _asked(ask: _Ask, seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await ask()
    except TimeoutError:
        return StackError(f"no answer within {seconds:.0f} s")
    except StackError as error:
        return error
    except (KeyError, TypeError, ValueError, AttributeError):
        return StackError("the answer has another shape than this release knows")


def _in_thread(ask: Callable[[], Answer]) -> _Ask:
    return lambda: asyncio.to_thread(ask)


def workloads(api: Api) -> list[dict[str, Any]]:
    """GET /workloads."""
    return list(api.get("workloads", limit=_JOBS)["data"])


def alerts(api: Api) -> list[dict[str, Any]]:
    """GET /alerts: those that are open."""
    body = api.get("alerts", open_only=True, limit=_JOBS)
    found = body["data"] if "data" in body else body["alerts"]
    return [one for one in found if not one.get("resolved_at")]


def jobs(api: Api, services: dict[str, str]) -> list[dict[str, Any]]:
    """GET /v1/fine_tuning/jobs and /evaluations: those that have not ended, with percent."""
    found = []
    if "trainer" in services:
        for one in api.get("v1", "fine_tuning", "jobs", limit=_JOBS)["data"]:
            if one["status"] in _OPEN:
                progress = one.get("progress") or {}
                found.append(
                    _job("training", one["id"], one["workload"], one["status"],
                         progress.get("step"), progress.get("steps"))
                )  # fmt: skip
    if "evaluator" in services:
        body = api.get("evaluations", limit=_JOBS)
        for one in body["data"] if "data" in body else body["evaluations"]:
            if one["state"] in _OPEN:
                progress = one.get("progress") or {}
                found.append(
                    _job("evaluation", one["id"], one["workload"], one["state"],
                         progress.get("done"), progress.get("of"))
                )  # fmt: skip
    return found


def _job(
    kind: str, job: str, workload: str, state: str, done: int | None, of: int | None
) -> dict[str, Any]:
    percent = round(100 * done / of) if done is not None and of else None
    return {"kind": kind, "id": job, "workload": workload, "state": state, "percent": percent}


async def _largest(bootstrap: str) -> dict[str, Any]:
    found = await lags(bootstrap, ages=False)
    return found[0].describe() if found and found[0].lag else {}


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.is_dir())
