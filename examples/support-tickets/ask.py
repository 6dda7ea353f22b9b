"""Ask the workload `support-tickets` over Kafka: which topic is this ticket about?

.venv/bin/python examples/support-tickets/ask.py                       # a ticket of each topic
.venv/bin/python examples/support-tickets/ask.py "My parcel is late"   # yours
.venv/bin/python examples/support-tickets/ask.py --loop                # a canary needs traffic
.venv/bin/python examples/support-tickets/ask.py --until 1             # ends when 1 answers all
"""

import argparse
import asyncio
import itertools
import sys
from collections import deque
from collections.abc import Sequence

from headrace_client import Answer, HeadraceClient, HeadraceError

WORKLOAD = "support-tickets"
AT_ONCE = 4
BUSY_SECONDS = 0.2
QUIET_SECONDS = 8.0
# None of these is in tickets.csv.
QUESTIONS = (
    "The tracking page has said 'in transit' since Sunday. When will my box be here?",
    "I sent the teapot back a week ago. When do I see my money again?",
    "Please e-mail me a copy of the invoice with our VAT number on it.",
    "The site keeps telling me that my password is wrong, so I can't get in.",
    "My debit card is turned down on the last page of the checkout.",
    "The glass lid was in splinters when I opened the box.",
    "From next month on I don't want the subscription any more.",
    "We move on Friday: from then on our street is Cherry Close 9.",
    "Már egy hete úton van a csomagom, mikor ér ide?",
    "Visszaküldtem a kannát, mikor kapom vissza az árát?",
    "Kérek egy áfás számlát a cégünk nevére.",
    "Nem enged be az oldal, szerinte rossz a jelszavam.",
    "A pénztárnál elutasítja a bankkártyámat a rendszer.",
    "Törött fedővel érkezett meg az üvegkancsó.",
    "A jövő hónaptól nem kérem tovább az előfizetést.",
    "Pénteken költözünk, az új utcánk a Cseresznye köz 9.",
)


async def main() -> int:
    asked = arguments()
    questions = asked.questions or QUESTIONS
    async with HeadraceClient(name="support-desk") as client:
        if asked.loop or asked.until:
            await Traffic(client, questions, asked.until).run()
            return 0
        answered = await asyncio.gather(*(ask(client, question) for question in questions))
    return 0 if all(answered) else 1


class Traffic:
    """Customers who ask without end, or until a version answers everybody."""

    def __init__(self, client: HeadraceClient, questions: Sequence[str], until: str | None) -> None:
        self.client = client
        self.questions = itertools.cycle(questions)
        self.until = until
        self.customers = itertools.count(1)
        self.arms: deque[str] = deque(maxlen=20)
        self.over = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self.ask_on())

    async def ask_on(self) -> None:
        while not self.over:
            # The key is the customer: one customer gets one version as long as a canary runs.
            key = f"customer-{next(self.customers)}"
            answer = await ask(self.client, next(self.questions), key)
            if answer:
                self.arms.append(answer.arm)
                self.over |= answer.arm == "production" and answer.model_version == self.until
            # Many customers while a canary is to be judged, few while a training needs the CPU.
            await asyncio.sleep(BUSY_SECONDS if "canary" in self.arms else QUIET_SECONDS)


async def ask(client: HeadraceClient, question: str, key: str | None = None) -> Answer | None:
    try:
        answer = await client.chat(WORKLOAD, question, key=key, timeout=120)
    except HeadraceError as error:
        print(f"{question[:60]:60}  {type(error).__name__}: {error}", file=sys.stderr)
        return None
    said = " ".join(answer.text.split())
    version = "base" if answer.arm == "base" else f"version {answer.model_version}"
    print(f"{question[:60]:60}  {said[:32]:32}  {version}  trace {answer.trace_id}", flush=True)
    return answer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask the workload support-tickets over Kafka.")
    parser.add_argument("questions", nargs="*", help="without one: a ticket of each topic")
    parser.add_argument("--loop", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--until", metavar="VERSION", help="go on until it answers everybody")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(130)
    except HeadraceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
