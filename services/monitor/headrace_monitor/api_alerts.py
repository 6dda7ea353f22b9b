"""HTTP: alerts as a list, and what people say of them: seen, or silent for a while.

What a person says is an event with a reason, written with the alert's state in one transaction.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as PathPart
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.monitoring import AlertAcknowledged, AlertSilenced
from headrace_events.text import fit_text
from headrace_kit import Service
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.tables import AlertRow

_ID_CHARACTERS = 12
_NAMED = 5
_LONGEST_SILENCE = timedelta(days=30)

Severity = Literal["warning", "critical"]
State = Literal["open", "acknowledged", "silenced", "resolved"]
Id = Annotated[
    str,
    PathPart(
        pattern=r"^[0-9a-f]{2,12}$",
        description="an alert's `id`, or as many of its first characters as are its alone",
    ),
]
Reason = Annotated[
    str,
    # One line that begins with more than a space.
    Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"),
    AfterValidator(fit_text),
]


class AlertOut(BaseModel):
    """One alert: the newest opening of what its workload and name stand for."""

    id: str
    workload: str
    """`headrace`: it concerns a service and no workload."""
    name: str
    severity: Severity
    state: State
    summary: str
    next_step: str
    raised_at: datetime
    resolved_at: datetime | None
    resolved_reason: str
    acknowledged_at: datetime | None
    acknowledged_reason: str
    silenced_until: datetime | None
    silenced_reason: str


class Acknowledgement(BaseModel):
    """Somebody looks at it."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class Silence(BaseModel):
    """Nobody is to hear of it for a while: until a moment, or for so many seconds."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    until: AwareDatetime | None = None
    seconds: int | None = Field(None, alias="for", ge=1, le=int(_LONGEST_SILENCE.total_seconds()))
    """In JSON `for`."""

    @model_validator(mode="after")
    def _one_end(self) -> "Silence":
        if (self.until is None) == (self.seconds is None):
            raise ValueError("give one of `until` and `for`")
        return self

    def end(self, now: datetime) -> datetime:
        """Return when it ends; raise HTTPException where that is no moment to wait for."""
        if self.until is None:
            return now + timedelta(seconds=self.seconds or 0)
        if not now < self.until <= now + _LONGEST_SILENCE:
            raise HTTPException(400, "until: give a moment within the next 30 days")
        return self.until.astimezone(UTC)


def id_of(workload: str, name: str) -> str:
    """Return the id of the alert of a workload and a name; it stays the same for ever."""
    return hashlib.sha256(f"{workload}\n{name}".encode()).hexdigest()[:_ID_CHARACTERS]


def is_silent(row: AlertRow, now: datetime) -> bool:
    """Say whether somebody wanted to hear nothing of it now."""
    return row.silenced_until is not None and row.silenced_until > now


def alerts_router(service: Service) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["alerts"])

    @router.get("/alerts")
    async def listed(
        limit: Limit = 100,
        cursor: Cursor = None,
        open: Annotated[
            bool | None, Query(description="true: not resolved; false: resolved")
        ] = None,
        workload: Annotated[str | None, Query(max_length=63)] = None,
        severity: Severity | None = None,
        since: Annotated[
            AwareDatetime | None, Query(description="open at some time since then")
        ] = None,
    ) -> Page[AlertOut]:
        """Return alerts, the newest raised first.

        Resolved ones are kept for 30 days; the audit chain keeps all of them.
        """
        after = read_cursor(cursor, datetime, str, str)
        wanted = alerts.Wanted(open, workload, severity, _utc(since))
        async with service.reading() as session:
            rows = await alerts.page(session, wanted, after, limit + 1)
        more, now = rows[limit:], datetime.now(UTC)
        last = rows[limit - 1] if more else None
        return Page(
            data=[_out(row, now) for row in rows[:limit]],
            next=cursor_of(last.raised_at, last.workload, last.name) if last else None,
        )

    @router.post("/alerts/{id}/ack")
    async def acknowledge(id: Id, body: Acknowledgement) -> AlertOut:
        """Say that somebody looks at an open alert; it stays open and counted."""
        async with service.unit_of_work() as uow:
            row = await _find(uow.session, id)
            if row.resolved_at is not None:
                raise HTTPException(409, "the alert is resolved: there is nothing to look at")
            said = AlertAcknowledged(name=row.name, reason=body.reason)
            at = uow.emit(said, workload=row.workload).time
            await alerts.put_acknowledged(uow.session, row.workload, row.name, at, body.reason)
            return _out(row, at)

    @router.post("/alerts/{id}/silence")
    async def silence(id: Id, body: Silence) -> AlertOut:
        """Count and push an alert for nobody until a moment, also if it is raised anew by then.

        It ends by itself; another silence takes its place.
        """
        until = body.end(datetime.now(UTC))
        async with service.unit_of_work() as uow:
            row = await _find(uow.session, id)
            said = AlertSilenced(name=row.name, until=until, reason=body.reason)
            at = uow.emit(said, workload=row.workload).time
            await alerts.put_silenced(uow.session, row.workload, row.name, at, until, body.reason)
            return _out(row, at)

    return router


async def _find(session: AsyncSession, start: str) -> AlertRow:
    known = await alerts.keys(session)
    found = [key for key in known if id_of(*key).startswith(start)]
    if not found:
        raise HTTPException(404, "no alert has that id: `GET /alerts` lists them")
    if len(found) > 1:
        ids = ", ".join(sorted(id_of(*key) for key in found)[:_NAMED])
        raise HTTPException(400, f"several alerts begin so, {ids}: give more of the id")
    row = await session.get(AlertRow, found[0])
    assert row is not None  # noqa: S101 - read in this transaction
    return row


def _utc(moment: datetime | None) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        raise HTTPException(400, "since: give a moment between the years 2 and 9998") from None


def _out(row: AlertRow, now: datetime) -> AlertOut:
    return AlertOut(
        id=id_of(row.workload, row.name),
        workload=row.workload,
        name=row.name,
        severity=row.severity,
        state=_state(row, now),
        summary=row.summary,
        next_step=row.next_step or "",
        raised_at=row.raised_at,
        resolved_at=row.resolved_at,
        resolved_reason=row.resolved_reason or "",
        acknowledged_at=row.acknowledged_at,
        acknowledged_reason=row.acknowledged_reason or "",
        silenced_until=row.silenced_until if is_silent(row, now) else None,
        silenced_reason=(row.silenced_reason or "") if is_silent(row, now) else "",
    )


def _state(row: AlertRow, now: datetime) -> State:
    if row.resolved_at is not None:
        return "resolved"
    if is_silent(row, now):
        return "silenced"
    return "open" if row.acknowledged_at is None else "acknowledged"
