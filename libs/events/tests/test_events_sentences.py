"""What is said of events: figures and reasons, never the text of users; and how far a job is."""

import json
from pathlib import Path

import pytest

from headrace_events import catalogue
from headrace_events.inference import FeedbackGiven
from headrace_events.progress import Progress, ended_job, progress_of, seconds_left
from headrace_events.sentences import duration, summary
from headrace_events.training import TrainingFailed, TrainingProgressed

EXAMPLES = Path("schemas/events/examples")


def test_progress_says_when_it_will_be_done() -> None:
    event = TrainingProgressed(
        job_id="j", step=40, steps=102, loss=0.3123, tokens_per_second=9.0, seconds_left=290
    )
    assert summary(event) == "step 40/102 loss 0.312 eta 5 min"
    assert progress_of(event) == Progress("j", 40, 102)
    older = event.model_copy(update={"seconds_left": None})
    assert summary(older) == "step 40/102 loss 0.312"
    assert ended_job(event) is None
    assert ended_job(TrainingFailed(job_id="j", reason="x")) == "j"


def test_a_sentence_holds_no_text_of_users() -> None:
    assert summary(FeedbackGiven(request_id="r", rating=1, correction="my secret")) == (
        "rating +1, with a correction"
    )
    said = {"prompt", "completion", "messages", "text", "correction", "system"}
    for kind, model in catalogue.EVENT_TYPES.items():
        for file in (EXAMPLES / f"{kind}.json",):
            if not file.exists():
                continue
            found = json.loads(file.read_text())
            sentence = summary(model.model_validate(found.get("data", found)))
            for name, value in _texts(found):
                assert name not in said or value not in sentence, (kind, name)


def _texts(value: object, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _texts(inner, key)]
    if isinstance(value, list):
        return [pair for inner in value for pair in _texts(inner, name)]
    return [(name, value)] if isinstance(value, str) and len(value) > 8 else []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (5900, "98 min"), (9000, "2.5 h")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_time_left_is_that_of_the_pace_so_far() -> None:
    assert seconds_left(10, 40, 20.0) == 60.0
    assert seconds_left(40, 40, 20.0) == 0.0
    assert seconds_left(50, 40, 20.0) == 0.0
    assert seconds_left(0, 40, 20.0) is None
