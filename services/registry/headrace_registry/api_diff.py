"""HTTP: two versions of a model side by side."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.evaluation import EvaluationCompleted
from headrace_events.references import DatasetRef
from headrace_events.text import Id
from headrace_kit import Service
from headrace_registry.adapters import versions
from headrace_registry.adapters.tables import VersionRow
from headrace_registry.core.comparison import Comparison, Side, compare
from headrace_registry.core.versions import BASE

Which = Annotated[Id, Query(description="a version, or `base`")]


def router(service: Service) -> APIRouter:
    """Make the route."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models/{name}/diff")
    async def diff(name: str, old: Which, new: Which) -> Comparison:
        """Compare two versions: scores, dataset, settings of the training, base."""
        async with service.reading() as session:
            found = [await _side(session, name, which) for which in (old, new)]
        manifest = service.workloads.get(name)
        known = next((side.facts["base"] for side in found if side), None)
        if known is None and manifest is None:
            raise HTTPException(404, "no such model: GET /models lists them")
        known = known or (manifest.spec.base if manifest else None)
        base = Side(BASE, {"base": known})
        return compare(name, found[0] or base, found[1] or base)

    return routes


async def _side(session: AsyncSession, name: str, version: str) -> Side | None:
    """One version; None: the base."""
    if version == BASE:
        return None
    row = await session.get(VersionRow, (name, version))
    if row is None:
        raise HTTPException(404, f"no such version: GET /models/{name} lists them")
    dataset = DatasetRef.model_validate(row.dataset)
    curated = await versions.curated(session, name, dataset.digest)
    training = row.training
    facts = {
        "base": row.base,
        "state": row.state,
        "dataset": dataset.version,
        "train_rows": dataset.train_rows,
        "holdout_rows": dataset.holdout_rows,
        "sources": curated.sources if curated else [],
        "steps": training.get("steps"),
        "seconds": training.get("seconds"),
        **training.get("metrics", {}),
        "created_at": row.created_at,
    }
    evaluation = EvaluationCompleted.model_validate(row.evaluation) if row.evaluation else None
    return Side(row.version, facts, training.get("settings") or {}, evaluation)
