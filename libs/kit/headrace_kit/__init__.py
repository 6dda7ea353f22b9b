"""The chassis of a Headrace service."""

from headrace_events import Event
from headrace_kit.jobs import Job, JobContext, JobLost, JobRejected
from headrace_kit.service import Service
from headrace_kit.settings import ServiceSettings
from headrace_kit.unit_of_work import UnitOfWork

__all__ = [
    "Event",
    "Job",
    "JobContext",
    "JobLost",
    "JobRejected",
    "Service",
    "ServiceSettings",
    "UnitOfWork",
]
