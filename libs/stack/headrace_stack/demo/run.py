"""Run the loop once and a second time, started and decided by events alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from rich.console import Console

from headrace_client import HeadraceClient
from headrace_events import Event
from headrace_events.workload import Source
from headrace_stack.demo.plan import Plan
from headrace_stack.demo.product import Product, Question, ask
from headrace_stack.demo.story import Story
from headrace_stack.demo.view import View, answers_table, results_table
from headrace_stack.demo.watch import Watch
from headrace_stack.errors import StackError
from headrace_stack.manifests import publish

_SAMPLE = 3
# A stage that says nothing for so long, while nobody is answered, is stuck; a training reports
# every few steps.
_SILENCE_SECONDS = 300.0
_SETTLE_SECONDS = 20.0
"""Time for the newest version's route to reach serving before the closing questions."""


@dataclass(frozen=True)
class Addresses:
    """Where the running stack is."""

    base_url: str
    kafka: str
    mlflow_url: str
    traces_url: str


class DemoFailed(StackError):
    """A stage could not do its work; the message says which and why."""


def run(plan: Plan, addresses: Addresses, console: Console) -> None:
    """Apply, watch, show; raise DemoFailed with the stage's own reason."""
    asyncio.run(_Demo(plan, addresses, console).run())


class _Demo:
    def __init__(self, plan: Plan, addresses: Addresses, console: Console) -> None:
        self._plan = plan
        self._at = addresses
        self._workload = plan.manifest.metadata.name
        # As many corrected answers as make ingest land a batch.
        self._corrections = plan.manifest.spec.data.feedback_batch
        self._story = Story()
        self._console = console
        self._begun = time.monotonic()

    async def run(self) -> None:
        questions = await self._product_rows(self._plan.product_source)
        samples = questions[:_SAMPLE]
        async with (
            HeadraceClient(self._at.kafka, name="sample-product") as client,
            Watch(self._at.kafka, self._workload) as watch,
        ):
            product = Product(client, self._workload, questions[_SAMPLE:], self._corrections)
            with View(self._console, self._story, product.tally) as view:
                await publish(self._at.kafka, self._plan.manifest)
                before = asyncio.create_task(ask(client, self._workload, samples))
                traffic = asyncio.create_task(product.run())
                try:
                    await self._follow(watch, product, view)
                finally:
                    product.close()
                    traffic.cancel()
                    await asyncio.gather(traffic, return_exceptions=True)
                first_answers = await before
                after = await self._ask_again(client, samples)
        self._close(product, samples, first_answers, after)

    async def _product_rows(self, source: Source) -> list[Question]:
        """Ask ingest for the rows that the product's users will ask; a wrong file ends here."""
        url = f"{self._at.base_url}/sources/preview"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session,
            session.post(url, json=source.model_dump(mode="json")) as response,
        ):
            body = await response.json()
            if response.status >= 400:
                raise DemoFailed(f"the data cannot be read: {body['error']['message']}")
        rows = [Question(row["prompt"], row["completion"]) for row in body["data"]]
        needed = _SAMPLE + self._corrections
        if len(rows) < needed:
            raise DemoFailed(
                f"the data are too few: {len(rows)} rows are left for the sample product service, "
                f"{needed} are needed; give a file of at least {needed * 8} rows"
            )
        return rows

    async def _follow(self, watch: Watch, product: Product, view: View) -> None:
        """Show each event and let the product's users come when there is something to judge."""
        events = aiter(watch)
        while True:
            event = await self._next(events, product)
            line = self._story.take(event)
            if line:
                view.line(line, time.monotonic() - self._begun)
            self._check(event)
            _steer(product, self._story)
            if len(self._story.turns) > 1 and self._story.turns[1].over:
                return

    async def _next(self, events: AsyncIterator[Event[Any]], product: Product) -> Event[Any]:
        """Wait for an event as long as the loop does anything: a canary is judged by its answers,
        of which a slow machine gives few a minute."""
        coming = asyncio.ensure_future(anext(events))
        try:
            while True:
                answered = product.tally.answered
                done, _ = await asyncio.wait({coming}, timeout=_SILENCE_SECONDS)
                if done:
                    return coming.result()
                if product.tally.answered == answered:
                    raise DemoFailed(self._stuck())
        finally:
            coming.cancel()

    def _check(self, event: Event[Any]) -> None:
        first = self._story.turns[0]
        if first.decision == "rejected":
            raise DemoFailed(f"v{first.version} was not promoted: {first.reason}")
        for turn in self._story.turns[:2]:
            if turn.failure:
                raise DemoFailed(f"turn {turn.number} ended at {turn.failure}")

    def _stuck(self) -> str:
        running = [
            s.name for t in self._story.turns for s in t.stages.values() if s.state == "running"
        ]
        where = running[-1] if running else "ingest"
        return (
            f"no event for {_SILENCE_SECONDS:.0f} s; the loop stands at `{where}`. "
            f"`headrace logs {where}` and `headrace status` say more"
        )

    async def _ask_again(self, client: HeadraceClient, samples: Sequence[Question]) -> list[Any]:
        promoted = [t.version for t in self._story.turns if t.decision == "promoted"]
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            answers = await ask(client, self._workload, samples)
            if {a.model_version for a in answers} == {promoted[-1]} or time.monotonic() > deadline:
                return answers
            await asyncio.sleep(0.5)

    def _close(
        self, product: Product, samples: Sequence[Question], before: Any, after: Any
    ) -> None:
        print_ = self._console.print
        print_()
        print_(results_table(self._story))
        print_(answers_table(samples, before, after))
        tally = product.tally
        errors = ", ".join(f"{n} {why}" for why, n in tally.errors.items()) or "no errors"
        print_(
            f"The sample product service asked {tally.asked} questions over Kafka: "
            f"{tally.answered} answered ({errors}), {tally.corrected} corrected.",
            highlight=False,
        )
        for name, url in (
            ("console", self._at.base_url),
            ("traces", self._at.traces_url),
            ("MLflow", self._at.mlflow_url),
        ):
            print_(f"  {name:8} {url}", highlight=False, soft_wrap=True)
        took = time.monotonic() - self._begun
        print_(
            f"The loop turned twice in {took / 60:.1f} minutes. The stack is still up: "
            "look around, then `headrace down`.",
            highlight=False,
            soft_wrap=True,
        )


def _steer(product: Product, story: Story) -> None:
    """Users come while a canary runs, and until the first turn's answers are corrected."""
    canary = any(t.stages["canary"].state == "running" and not t.over for t in story.turns)
    owed = story.turns[0].decision == "promoted" and len(story.turns) == 1
    if canary or owed:
        product.open()
    else:
        product.close()
