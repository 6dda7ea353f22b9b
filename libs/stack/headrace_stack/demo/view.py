"""How the demo looks: the turns live, every event as a line, and the closing tables."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from headrace_client import Answer
from headrace_stack.demo.product import Question, Tally
from headrace_stack.demo.story import Line, Story, Turn, label

_MARKS = {"waiting": "[dim]·[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
_DECISIONS = {"promoted": "[bold green]promoted[/]", "rejected": "[bold yellow]rejected[/]"}


class View:
    """Prints to a terminal, live where there is one, line by line where there is none."""

    def __init__(self, console: Console, story: Story, tally: Tally) -> None:
        self.console = console
        self._story = story
        self._tally = tally
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "View":
        """Begin to show."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what was printed."""
        if self._live.is_started:
            self._live.stop()

    def line(self, line: Line, seconds: float) -> None:
        """Tell an event: when, in which turn, what, and which event caused it."""
        source = line.event.source.rsplit("/", 1)[-1]
        cause = f" [dim]← {line.caused_by}[/]" if line.caused_by else ""
        self.console.print(
            f"[dim]{seconds:6.1f} s[/] [blue]turn {line.turn}[/] [bold]{line.event.type}[/] "
            f"[cyan]{source}[/]{cause}\n         {escape(line.text)}",
            soft_wrap=True,
            highlight=False,
        )

    def say(self, text: str) -> None:
        """Print a line of the demo's own."""
        self.console.print(text, soft_wrap=True, highlight=False)

    def _render(self) -> RenderableType:
        turns = [_turn_table(turn) for turn in self._story.turns[-2:]]
        tally = self._tally
        versions = ", ".join(f"{label(v)} {n}" for v, n in sorted(tally.by_version.items()))
        traffic = Text(
            f"sample product service: {tally.answered}/{tally.asked} answered"
            + (f" ({versions})" if versions else "")
            + f", {tally.corrected} corrected",
            style="dim",
        )
        return Panel(Group(*turns, traffic), title="Headrace: the loop", border_style="blue")


def _turn_table(turn: Turn) -> Table:
    table = Table(title=f"Turn {turn.number}", title_justify="left", box=None, expand=True)
    for name, options in (
        ("", {"width": 2}),
        ("stage", {"width": 13}),
        ("", {"width": 8}),
        ("what", {"ratio": 1, "no_wrap": True, "overflow": "ellipsis"}),
        ("started by", {"width": 24}),
    ):
        table.add_column(name, **options)
    for stage in turn.stages.values():
        mark: RenderableType = (
            Spinner("dots") if stage.state == "running" else Text.from_markup(_MARKS[stage.state])
        )
        took = f"{stage.seconds:6.1f} s" if stage.seconds is not None else ""
        what: RenderableType = Text(stage.detail)
        if stage.state == "running" and stage.progress is not None and stage.name == "trainer":
            bar = Table.grid(padding=(0, 1))
            bar.add_row(ProgressBar(100, 100 * stage.progress, width=24), Text(stage.detail))
            what = bar
        table.add_row(mark, stage.name, took, what, Text(stage.caused_by, style="dim"))
    return table


def results_table(story: Story) -> Table:
    """Base, v1 and v2 with their metrics, the interval of the difference, and the decision."""
    table = Table(title="What the loop decided", title_justify="left")
    metrics = [m.metric for m in next((t.metrics for t in story.turns if t.metrics), ())]
    table.add_column("version")
    for metric in metrics:
        table.add_column(metric, justify="right")
    table.add_column("decision", overflow="fold")
    first = next((t for t in story.turns if t.metrics), None)
    if first:
        table.add_row("base", *(f"{m.incumbent:.3f}" for m in first.metrics), "the first incumbent")
    for turn in story.turns:
        if not turn.metrics:
            continue
        cells = [
            f"{m.candidate:.3f}\n[dim]{m.difference:+.3f} [{m.low:+.3f}, {m.high:+.3f}][/]"
            for m in turn.metrics
        ]
        decision = _DECISIONS.get(turn.decision, "[red]undecided[/]")
        why = f"\n[dim]{escape(turn.reason)}[/]" if turn.reason else ""
        table.add_row(f"v{turn.version}", *cells, decision + why)
    table.caption = (
        "second line: candidate − incumbent on the same holdout rows, with its 95 % interval "
        "(perplexity: relative, lower is better)"
    )
    table.caption_justify = "left"
    return table


def answers_table(
    questions: Sequence[Question], before: Sequence[Answer], after: Sequence[Answer]
) -> Table:
    """Three questions, before and after."""
    table = Table(title="Three questions", title_justify="left", show_lines=True)
    versions = {label(a.model_version) for a in before}, {label(a.model_version) for a in after}
    table.add_column("question", ratio=2)
    table.add_column(f"before ({', '.join(sorted(versions[0]))})", ratio=3)
    table.add_column(f"after ({', '.join(sorted(versions[1]))})", ratio=3)
    table.add_column("the answer", ratio=3)
    for question, old, new in zip(questions, before, after, strict=True):
        texts = (question.prompt, old.text, new.text, question.completion)
        table.add_row(*(escape(text) for text in texts))
    return table
