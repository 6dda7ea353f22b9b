"""What finished trainings left, in the database."""

from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.training import TrainingCompleted
from headrace_trainer.adapters.tables import ResultRow


def keep_result(session: AsyncSession, completed: TrainingCompleted) -> None:
    """Write down what a training left, as its event says it."""
    session.add(
        ResultRow(
            job_id=completed.job_id,
            run_id=completed.run_id,
            artefact=completed.artefact.model_dump(mode="json"),
            steps=completed.steps,
            planned_steps=completed.planned_steps,
            tokens=int(completed.metrics["tokens"]),
            seconds=completed.seconds,
            loss=completed.metrics["loss"],
        )
    )
