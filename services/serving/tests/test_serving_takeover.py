"""Which application is asked, and which are ended: by name, state and age."""

import pytest

from headrace_serving.adapters.applications import made_of
from headrace_serving.core.takeover import (
    Application,
    application_name,
    current,
    family,
    of_base,
    superseded,
)
from headrace_serving.settings import Replicas

BASE = "smollm2-135m-instruct"
OLD, NEW = (application_name(BASE, [made]) for made in (b"old", b"new"))
UNNAMED = family(BASE)  # as a release before named it
OTHER = application_name("another/base", [b"old"])
FOREIGN = OLD.replace("headrace-1-", "headrace-9-")


def running(name: str, at: float, status: str = "RUNNING") -> Application:
    return Application(name, status, at)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 2},
        {"num_cpus": 1.0},
        {"num_gpus": 1.0},
        {"threads": 2},
        {"max_adapters": 9},
        {"dtype": "float32"},
    ],
)
def test_what_replicas_are_made_with_is_in_the_name(change: dict[str, float | str]) -> None:
    settings = Replicas.model_validate(change)
    assert application_name(BASE, made_of(settings)) != application_name(BASE, made_of(Replicas()))


def test_what_stays_in_the_service_is_not() -> None:
    settings = Replicas(max_batch=3, patience_seconds=1.0)
    assert application_name(BASE, made_of(settings)) == application_name(BASE, made_of(Replicas()))


def test_every_setting_of_a_replica_exists() -> None:
    assert set(Replicas.OF_THE_REPLICA) <= set(Replicas.model_fields)


def test_only_a_base_s_own_applications_are_looked_at() -> None:
    found = [running(name, 1) for name in (OLD, UNNAMED, OTHER, FOREIGN, "default")]
    assert [one.name for one in of_base(found, BASE)] == [OLD, UNNAMED, FOREIGN]


def test_the_newest_that_runs_is_asked() -> None:
    assert current([], BASE) is None
    assert current([running(OLD, 1), running(NEW, 2)], BASE) == running(NEW, 2)
    assert current([running(OLD, 3), running(NEW, 2)], BASE) == running(OLD, 3)
    assert current([running(UNNAMED, 1)], BASE) == running(UNNAMED, 1)


@pytest.mark.parametrize("status", ["DEPLOYING", "DEPLOY_FAILED", "UNHEALTHY", "DELETING"])
def test_one_that_does_not_run_is_not_asked(status: str) -> None:
    assert current([running(OLD, 1), running(NEW, 2, status)], BASE) == running(OLD, 1)


def test_one_of_other_methods_is_not_asked_but_ended() -> None:
    assert current([running(FOREIGN, 9)], BASE) is None
    assert superseded([running(FOREIGN, 1), running(NEW, 2)], running(NEW, 2)) == [FOREIGN]


def test_only_older_ones_are_ended() -> None:
    newer = running(NEW, 5, "DEPLOYING")
    ending = running(FOREIGN, 1, "DELETING")
    found = [running(UNNAMED, 1), running(OLD, 2), newer, ending]
    assert superseded(found, running(OLD, 2)) == [UNNAMED]
