"""The process that owns a stack: `python -m headrace_stack.supervisor --home HOME`.

It starts everything that does not depend on another at once, keeps it running, writes `state.json`
and a heartbeat, and stops all of it in order on SIGTERM or SIGINT. It serves nothing itself.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import psutil

from headrace_kit.delta import refuse_root
from headrace_stack import logs, mlflow_server, ray_head, services, watchdog
from headrace_stack.disk import START_BYTES, complaint, in_words
from headrace_stack.errors import StackError
from headrace_stack.gateway.nginx import IN_USE
from headrace_stack.kafka import KafkaNode
from headrace_stack.kafka.topics import create_topics_async
from headrace_stack.locks import lock
from headrace_stack.paths import stack_id
from headrace_stack.plan import Options, Plan, Planned, make_plan, traces_url
from headrace_stack.ports import check_free
from headrace_stack.processes import allow_many_files, sweep
from headrace_stack.runner import Runner, http_ok
from headrace_stack.state import Part, State

HOW_TO_CHOOSE = "choose another with --port or HEADRACE_PORT"
LOG_CHECK_SECONDS = 10.0
AGAIN_SECONDS = 1.0
PROGRESS_SECONDS = 0.2


class Supervisor:
    """One stack while it runs."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.home = options.home
        self.stack = stack_id(options.home)
        me = psutil.Process()
        self.state = State(
            stack_id=self.stack,
            home=str(self.home),
            supervisor_pid=me.pid,
            supervisor_created=me.create_time(),
        )
        self._node = KafkaNode(self.home, options.kafka_port)
        self._kafka_command: list[str] = []
        self._topics_made = False
        self._runners: dict[str, Runner] = {}
        self._session: aiohttp.ClientSession | None = None
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Run until a signal; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        began = time.monotonic()
        watchdog.forget(self.home)  # of an earlier life
        self.state.write()
        tasks: list[asyncio.Task[None]] = []
        try:
            plan = await self._prepare()
            self._session = aiohttp.ClientSession()
            tasks = self._start_all(plan)
            tasks += [
                asyncio.create_task(self._again(work), name=work.__name__)
                for work in (self._bound_logs, self._beat)
            ]
            if await self._wait_ready():
                self.state.phase = "up"
                self.state.seconds = round(time.monotonic() - began, 1)
                self.state.write()
                await self._stop.wait()
        except StackError as error:
            self.state.error = str(error)
        except OSError as error:
            logs.note(traceback.format_exc())
            self.state.error = in_words(error)
        except Exception:  # noqa: BLE001 - whatever it was, nothing may be left running
            logs.note(traceback.format_exc())
            self.state.error = (
                f"The supervisor failed; see {logs.log_file(self.home, 'supervisor')}"
            )
        finally:
            await self._shut_down(tasks)
        return 1 if self.state.error else 0

    async def _prepare(self) -> Plan:
        """Everything that can be refused is refused here, before anything runs."""
        if reason := complaint(self.home, START_BYTES) or refuse_root(str(self.home)):
            raise StackError(f"{reason}.")
        await asyncio.to_thread(sweep, self.stack, self._ray_words())
        engines, _ = services.choose(self.options.only, self.options.without)
        if self.options.port is not None:
            check_free(self.options.port, "the base URL", HOW_TO_CHOOSE)
        if services.KAFKA in engines:
            self._kafka_command = await asyncio.to_thread(self._node.prepare)
        taken = {self._node.port}
        plan = make_plan(self.options, self._node.bootstrap, taken)
        self.state.base_url = plan.base_url
        self.state.kafka = self._node.bootstrap if services.KAFKA in engines else ""
        if services.MLFLOW in plan.ports:
            self.state.mlflow = f"http://127.0.0.1:{plan.ports[services.MLFLOW]}"
            self.state.traces = traces_url(self.home, self.state.mlflow)
        if services.RAY in plan.ports:
            self.state.ray = f"127.0.0.1:{plan.ports[services.RAY]}"
        self.state.parts = [
            Part(name=p.name, kind=p.kind, url=p.url, log=str(logs.log_file(self.home, p.name)))
            for p in plan.parts
        ]
        for planned in plan.parts:
            if planned.kind == "service":
                (self.home / "services" / planned.name).mkdir(parents=True, exist_ok=True)
        (self.home / "storage").mkdir(exist_ok=True)
        self.state.write()
        return plan

    def _start_all(self, plan: Plan) -> list[asyncio.Task[None]]:
        for planned in plan.parts:
            self._runners[planned.name] = Runner(
                planned,
                self.state.part(planned.name),
                changed=self._changed,
                ready=self._probe(planned),
                command=self._command(planned),
                stable_seconds=self.options.stable_seconds,
            )
        return [
            asyncio.create_task(self._again(self._life(runner)), name=runner.planned.name)
            for runner in self._runners.values()
        ]

    def _life(self, runner: Runner) -> Callable[[], Awaitable[None]]:
        async def life() -> None:
            if runner.part.pid is not None:
                await runner.stop()  # of a life that an error cut short
            await runner.run([self._runners[name] for name in runner.planned.waits_for])

        return life

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` to its end; an error is logged and it begins again: nothing ends unseen."""
        while True:
            try:
                return await work()
            except Exception:  # noqa: BLE001 - a full disk, say: later it may go well
                logs.note(traceback.format_exc())
                await asyncio.sleep(AGAIN_SECONDS)

    def _command(self, planned: Planned) -> Callable[[], Awaitable[list[str]]]:
        async def command() -> list[str]:
            return list(planned.command) or self._kafka_command

        return command

    def _probe(self, planned: Planned) -> Callable[[], Awaitable[bool]]:
        if planned.probe == "kafka":
            return self._kafka_ready
        if planned.probe == "file":

            async def appeared() -> bool:
                return await asyncio.to_thread(os.path.exists, planned.target)

            return appeared

        async def answers() -> bool:
            assert self._session is not None  # noqa: S101 - made before the runners
            ok = await http_ok(self._session, planned.target)
            part = self.state.part(planned.name)
            if ok and planned.kind == "service" and not part.version:
                part.version = await self._version(planned.url)
            return ok

        return answers

    async def _kafka_ready(self) -> bool:
        if not await asyncio.to_thread(self._node.answers):
            return False
        if not self._topics_made:
            await create_topics_async(self._node.bootstrap)
            self._topics_made = True
        return True

    async def _version(self, url: str) -> str:
        assert self._session is not None  # noqa: S101 - made before the runners
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with self._session.get(
                f"{url}/version", timeout=aiohttp.ClientTimeout(total=2)
            ) as answer:
                return str((await answer.json()).get("version", ""))
        return ""

    def _changed(self) -> None:
        self.state.write()

    async def _wait_ready(self) -> bool:
        """True when all is ready, False when told to stop; StackError when it will not be."""
        deadline = time.monotonic() + self.options.timeout_seconds
        while not self._stop.is_set():
            for runner in self._runners.values():
                if runner.part.state == "failed":
                    raise StackError(self._explain(runner.part))
            if all(runner.ready.is_set() for runner in self._runners.values()):
                self._check_traces()
                return True
            if time.monotonic() > deadline:
                late = ", ".join(
                    r.part.name for r in self._runners.values() if not r.ready.is_set()
                )
                raise StackError(
                    f"Not ready after {self.options.timeout_seconds:.0f} s: {late}. The logs in "
                    f"{self.home / 'logs'} say why; --timeout gives a slow machine more time."
                )
            await asyncio.sleep(PROGRESS_SECONDS)
        return False

    def _explain(self, part: Part) -> str:
        last = "\n".join(logs.tail(Path(part.log), 15))
        if part.name == services.GATEWAY and IN_USE in last:
            port = self.state.base_url.rpartition(":")[2]
            return (
                f"Port {port} for the base URL is in use by another program. Stop that program, or "
                f"{HOW_TO_CHOOSE}."
            )
        return f"{part.name} {part.problem} at every start. Its log {part.log} ends with:\n{last}"

    def _check_traces(self) -> None:
        """The services were told the experiment's id before MLflow had made it."""
        if self.state.mlflow and self.state.traces != traces_url(self.home, self.state.mlflow):
            raise StackError(
                f"MLflow gave the experiment {mlflow_server.TRACES_EXPERIMENT} an unexpected id. "
                "It is noted now: start the stack again."
            )

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_SECONDS)
            for path in (self.home / "logs").glob("*.log"):
                logs.bound(path)

    async def _beat(self) -> None:
        while True:
            watchdog.arm()
            watchdog.write_beat(self.home)
            await asyncio.sleep(watchdog.BEAT_SECONDS)

    async def _shut_down(self, tasks: list[asyncio.Task[None]]) -> None:
        self.state.phase = "stopping"
        self.state.write()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        watchdog.disarm()  # stopping may take its time
        # Services first: they finish what they handle, while the engines still answer.
        for kind in ("service", "engine"):
            await asyncio.gather(
                *(r.stop() for r in self._runners.values() if r.planned.kind == kind)
            )
        if self._session:
            await self._session.close()
        await asyncio.to_thread(sweep, self.stack, self._ray_words())
        shutil.rmtree(ray_head.temporary_folder(self.stack), ignore_errors=True)
        self.state.phase = "failed" if self.state.error else "down"
        self.state.write()

    def _ray_words(self) -> tuple[str, ...]:
        return (f"{ray_head.temporary_folder(self.stack)}/",)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="The supervisor of one embedded stack.")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args().home
    held = lock(home)
    if held is None:
        sys.exit(f"Another supervisor runs the stack at {home}.")
    with held:
        allow_many_files()
        sys.exit(asyncio.run(Supervisor(Options.read(home)).run()))


if __name__ == "__main__":
    main()
