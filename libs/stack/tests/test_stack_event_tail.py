"""`headrace events tail` without a stack: what is taken, and how it is printed."""

import io
from typing import Any

from rich.console import Console

from headrace_events import Event, EventData, RawEvent, parse
from headrace_events.jobs import JobQueued
from headrace_events.models import ModelPromoted
from headrace_events.progress import Progress
from headrace_events.references import ModelRef
from headrace_events.training import TrainingFailed, TrainingProgressed
from headrace_stack.commands.events.lines import Printer, Tenths, line
from headrace_stack.event_tail import Choice, Seen

BASE = ModelRef(name="docs", version="base", base="smollm2")
ONE = ModelRef(name="docs", version="1", base="smollm2")


def seen(data: EventData, workload: str = "docs") -> Seen:
    event: Event[Any] = Event.new(data, source="test", workload=workload)
    headers = {name: value.encode() for name, value in event.headers().items()}
    return Seen(data.TOPIC, 0, 0, parse(headers, event.body()))


def raw(data: EventData) -> RawEvent:
    return seen(data).event


def step(number: int, job: str = "j") -> Seen:
    data = TrainingProgressed(
        job_id=job, step=number, steps=100, loss=0.5, tokens_per_second=1.0, seconds_left=60.0
    )
    return seen(data)


def test_the_journal_is_shown_when_asked_for() -> None:
    journal = raw(JobQueued(kind="training", key="k"))
    assert not Choice(journal=False).takes(journal)
    assert Choice().takes(journal)
    assert Choice(type="job", journal=False).takes(journal)
    promoted = raw(ModelPromoted(model=ONE, previous=BASE))
    assert Choice(journal=False).takes(promoted)
    assert Choice("docs", "model").takes(promoted)
    assert not Choice("other").takes(promoted)
    assert not Choice(type="mod").takes(promoted)


def test_a_line_says_what_the_console_says() -> None:
    told = line(seen(ModelPromoted(model=ONE, previous=BASE)))
    assert told.split("  ", 1)[1].split() == (
        ["model.promoted.v1", "docs", "version", "1", "takes", "over", "from", "base"]
    )
    hostile = seen(TrainingFailed(job_id="j", reason="a\x1b[2Jb\nc"))
    assert "\x1b" not in line(hostile) and "\n" not in line(hostile)


def test_an_event_of_another_release_is_named() -> None:
    found = seen(ModelPromoted(model=ONE, previous=BASE))
    later = Seen("t", 0, 0, parse({
        "ce_id": b"1", "ce_type": b"model.renamed.v7", "ce_source": b"/x", "ce_specversion": b"1.0",
        "ce_time": b"2026-11-26T10:00:00+00:00", "ce_workload": b"docs", "ce_subject": b"s",
        "content-type": b"application/json",
    }, found.event.payload))  # fmt: skip
    assert "another release's" in line(later)


def test_without_a_terminal_progress_is_told_at_each_tenth() -> None:
    printed: list[str] = []
    with Printer(fold=True, console=Console(file=io.StringIO()), echo=printed.append) as printer:
        for number in range(1, 101):
            printer.show(step(number))
    assert 10 <= len(printed) <= 12
    assert "step 1/100" in printed[0] and "step 100/100" in printed[-1]
    printed.clear()
    with Printer(fold=False, console=Console(file=io.StringIO()), echo=printed.append) as printer:
        for number in range(1, 101):
            printer.show(step(number))
    assert len(printed) == 100


def test_a_job_that_goes_on_from_its_checkpoint_is_told_again() -> None:
    tenths = Tenths()
    assert [tenths.passes(Progress("j", done, 100)) for done in (50, 55, 40, 45, 50)] == [
        True, False, True, False, True,
    ]  # fmt: skip


def test_on_a_terminal_a_job_is_one_line_that_moves() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with Printer(fold=True, console=console) as printer:
        for number in range(1, 40):
            printer.show(step(number))
            printer.show(step(number, "other"))
        printer.show(seen(ModelPromoted(model=ONE, previous=BASE)))
        printer.show(seen(TrainingFailed(job_id="j", reason="out of memory")))
    text = out.getvalue()
    assert text.count("takes over from base") == 1
    assert "\x1b[1A" in text or "\x1b[2K" in text  # it is drawn over
    assert text.count("\n") < 200
    assert "out of memory" in text
