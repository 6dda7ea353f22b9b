"""`headrace up|down|status|logs`."""

import json
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from headrace_stack import logs, views
from headrace_stack.commands.examples import examples
from headrace_stack.disk import complaint
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.services import BY_NAME, ENGINES, GATEWAY
from headrace_stack.stack import Stack
from headrace_stack.state import Part, State, live_state, read_state

UNWATCHED = 4
"""Exit code of `status` when the supervisor's loop stands still."""
MIB = 1024 * 1024
GIB = 1024 * MIB


def register(app: typer.Typer) -> None:
    """Put the commands into `app`."""
    app.command(epilog=examples("headrace up", "headrace up --detach --port 8080"))(up)
    app.command(epilog=examples("headrace down"))(down)
    app.command(epilog=examples("headrace status", "headrace status --json"))(status)
    app.command("logs", epilog=examples("headrace logs trainer -f", "headrace logs --lines 5"))(
        show_logs
    )


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is ready.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(envvar="HEADRACE_PORT", help="Port of the base URL; else any free one."),
    ] = None,
    kafka_port: Annotated[
        int | None,
        typer.Option(envvar="HEADRACE_KAFKA_PORT", help="Port of Kafka; else any free one."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Only these parts and what they need: `kafka,guardrails`."),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(help="Leave these out although others need them: `ray,mlflow`."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until all must be ready.")] = 300.0,
) -> None:
    """Start the stack and show each part coming up. Ctrl-C stops all of it."""
    console = views.console()
    home = default_home()
    running = live_state(home)
    if running and running.stale_seconds() is not None:
        raise StackError(
            f"The stack in {home} is up, but its supervisor does not move. `headrace down` ends it."
        )
    if running:
        console.print(f"The stack in {home} is already up.", soft_wrap=True)
        _show_end(console, running)
        return
    stack = Stack(
        home,
        port=port,
        kafka_port=kafka_port,
        only=_names(only) or None,
        without=_names(without),
        timeout_seconds=timeout,
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        stack.launch(detached=detach)
        state = _watch_start(console, stack)
        _show_end(console, state)
        if detach:
            console.print("It runs in the background; `headrace down` stops it.")
            return
        console.print("Ctrl-C stops it.")
        stack.wait_end()
        last = read_state(home)
        stack.stop()
        if not last or last.phase != "down":
            reason = last.error if last and last.error else "its supervisor was killed"
            raise StackError(f"The stack went down: {reason}. Nothing of it is left running.")
    except KeyboardInterrupt:
        # From here on, one more Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        console.print("\nStopping ...")
        stack.stop()
        console.print("Stopped. Its data are kept.")
    except BaseException:
        stack.stop()
        raise


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def start_detached(console: Console, home: Path) -> State:
    """Start the whole stack in the background, as `up --detach` does; nothing stays if it fails."""
    stack = Stack(home)
    try:
        stack.launch(detached=True)
        state = _watch_start(console, stack)
    except BaseException:
        stack.stop()
        raise
    _show_end(console, state)
    return state


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch_start(console: Console, stack: Stack) -> State:
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8, transient=True) as live:
            return stack.wait_ready(lambda state: live.update(views.starting(state)))
    shown: dict[str, str] = {}

    def show(state: State) -> None:
        for part in state.parts:
            if shown.get(part.name) != part.state:
                shown[part.name] = part.state
                problem = f" ({part.problem})" if part.state == "restarting" else ""
                console.print(f"{part.name}: {part.state}{problem}", highlight=False)

    return stack.wait_ready(show)


def _show_end(console: Console, state: State) -> None:
    console.print(views.summary(state))
    views.print_addresses(console, state)
    if state.phase == "up" and state.seconds is not None:
        console.print(f"  ready after {state.seconds:.0f} s", highlight=False)


def down() -> None:
    """Stop the stack, and whatever a crash left of it. Its data are kept."""
    console = views.console()
    home = default_home()
    with console.status("Stopping ..."):
        stopped = Stack(home).stop()
    if stopped:
        console.print(f"Stopped. The data in {home} are kept.", soft_wrap=True)
    else:
        console.print(f"No stack runs in {home}.", soft_wrap=True)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every part: where it is, how it is, and its memory.

    Exit code 3 when none runs, 4 when nobody watches over them: the supervisor does not move.
    """
    home = default_home()
    state = live_state(home)
    console = views.console()
    if state is None:
        last = read_state(home)
        phase = "down" if last is None or last.phase in ("down", "failed") else "crashed"
        if as_json:
            _print_json({"state": phase, "home": str(home), "base_url": "", "services": []})
        else:
            console.print(f"No stack runs in {home} ({phase}). `headrace up` starts it.")
        raise typer.Exit(3)
    stale = state.stale_seconds()
    if stale is not None:
        for part in state.parts:
            part.state = "unknown"
    memory = {part.name: part.rss_bytes() for part in state.parts}
    supervisor = _own_memory(state)
    total = sum(memory.values()) + supervisor
    if as_json:
        report = _report(state, memory, total)
        _print_json(report if stale is None else {**report, "state": "hung"})
        raise typer.Exit(0 if stale is None else UNWATCHED)
    console.print(views.status(state, memory))
    views.print_problems(console, state)
    if reason := complaint(home):
        console.print(f"[bold red]{escape(reason)}.[/]", soft_wrap=True)
    views.print_addresses(console, state)
    console.print(
        f"  memory    {total / GIB:.2f} GiB resident in all, "
        f"{supervisor / MIB:.0f} MiB of it the supervisor",
        highlight=False,
    )
    if stale is not None:
        console.print(
            f"The supervisor has not moved for {stale:.0f} s: how the parts are is not known, and "
            "what dies is not started again. `headrace logs supervisor` may say why; "
            "`headrace down` and `headrace up` begin anew.",
            style="bold red",
            soft_wrap=True,
        )
        raise typer.Exit(UNWATCHED)


def _own_memory(state: State) -> int:
    """The supervisor without its children, which count as parts."""
    supervisor = state.supervisor()
    return supervisor.memory_info().rss if supervisor else 0


def _report(state: State, memory: dict[str, int], total: int) -> dict[str, Any]:
    def describe(part: Part) -> dict[str, Any]:
        return {
            "name": part.name,
            "url": part.url,
            "state": part.state,
            "pid": part.pid,
            "rss_bytes": memory[part.name],
            "version": part.version,
            "restarts": part.restarts,
            "problem": part.problem,
            "ready_seconds": part.seconds,
            "log": part.log,
        }

    return {
        "state": state.phase,
        "problem": complaint(Path(state.home)),
        "home": state.home,
        "base_url": state.base_url,
        "kafka": state.kafka,
        "mlflow": state.mlflow,
        "traces": state.traces,
        "ray": state.ray,
        "ready_seconds": state.seconds,
        "supervisor_pid": state.supervisor_pid,
        "total_rss_bytes": total,
        "services": [describe(part) for part in state.parts if part.kind == "service"],
        "engines": [describe(part) for part in state.parts if part.kind == "engine"],
    }


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2))


def show_logs(
    name: Annotated[
        str | None,
        typer.Argument(help="A service, `kafka`, `mlflow`, `ray`, `gateway` or `supervisor`."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Old lines of each log.")] = 20,
) -> None:
    """Show the logs of one part, or of all with the name before each line."""
    home = default_home()
    known = (*BY_NAME, *ENGINES, GATEWAY, "supervisor")
    if name is not None and name not in known:
        raise StackError(f"There is no log of `{name}`. Logs: {', '.join(known)}.")
    paths = {one: logs.log_file(home, one) for one in ([name] if name else known)}
    if not any(path.exists() for path in paths.values()):
        raise StackError(f"No logs in {home / 'logs'}: nothing ran there. Try `headrace up`.")
    width = max(len(one) for one in paths)
    for one, path in paths.items():
        for line in logs.tail(path, lines):
            typer.echo(line if name else f"{one:{width}} | {line}")
    if follow:
        for one, line in logs.follow(paths):
            typer.echo(line if name else f"{one:{width}} | {line}")
