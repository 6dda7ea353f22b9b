"""A service for `test_kit_kill`: counts each event once and passes it on; made to be killed."""

import os

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_kit import Event, Service, ServiceSettings, UnitOfWork


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str]
    number: Mapped[int]


def build(settings: ServiceSettings | None = None) -> Service:
    service = Service("data-quality", settings or ServiceSettings(), tables=Base.metadata)
    workload = os.environ["TEST_WORKLOAD"]

    async def handler(event: Event[RecordsRejected], uow: UnitOfWork) -> None:
        if event.workload != workload:
            return
        uow.session.add(Effect(event_id=event.id, number=int(event.data.reason)))
        uow.emit(DatasetRejected(batches=(), reason=event.data.reason))

    service.on(RecordsRejected, handler)
    return service


if __name__ == "__main__":
    build().run()
