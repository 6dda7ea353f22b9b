"""What every driver of Ray gives to `ray.init`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.job_config import JobConfig


def job_config() -> "JobConfig":
    """Return a job whose workers do not import from the driver's current folder.

    Ray puts that folder first on the path of every worker, also under PYTHONSAFEPATH; only for a
    job of its client it does not. The argument is not public: Ray is pinned, and a test runs a task
    in a folder of hostile modules.
    """
    from ray.job_config import JobConfig  # here: most services are without Ray

    return JobConfig(_client_job=True)
