"""`headrace ask` and `headrace chat` before an OpenAI door that is made up here."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from headrace_stack.cli import app
from headrace_stack.commands import ask, chat
from headrace_stack.commands.api import Api, Refused, Unanswered
from headrace_stack.commands.ask import side_by_side
from headrace_stack.errors import StackError

CARDS = [{"id": "support"}, {"id": "summaries"}]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Door:
    """Answers with the version and the number of turns; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx2.Headers] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            name = request.url.path.removeprefix("/v1/models").strip("/")
            if name and name.partition("@")[0] not in ("support", "summaries"):
                return _missing("there is no workload of this name")
            return httpx2.Response(200, json={"data": CARDS})
        body = json.loads(request.content)
        self.asked.append(body)
        self.headers.append(request.headers)
        name, _, version = body["model"].partition("@")
        if name != "support":
            return _missing("there is no workload of this name; known: support, summaries")
        if version == "9":
            return _missing("there is no version 9 of support; it can be asked: support@base")
        question = body["messages"][-1]["content"]
        if question == "attack":
            return _error(400, "the request was refused by check injection", "content_filter")
        text = f"{version or '2'}: \x1b[31m{question}\nturn {len(body['messages'])}"
        headers = {
            "x-headrace-model-version": version or "2",
            "x-headrace-arm": "pinned" if version else "production",
            "x-headrace-trace-id": TRACE,
            "x-headrace-request-id": "r1",
        }
        usage = {"prompt_tokens": 4, "completion_tokens": 3}
        if not body.get("stream"):
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            return httpx2.Response(200, json={"choices": [choice], "usage": usage}, headers=headers)
        chunks: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": piece}}]} for piece in (text[:4], text[4:])
        ]
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": usage})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        if question != "cut":
            lines.append("data: [DONE]\n\n")
        return httpx2.Response(200, text="".join(lines), headers=headers)


def _error(status: int, message: str, code: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message, "code": code}})


def _missing(message: str) -> httpx2.Response:
    return _error(404, message, "model_not_found")


Run = Callable[..., Any]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    found = Door()
    api = Api("http://127.0.0.1:1", transport=httpx2.MockTransport(found))
    for module in (ask, chat):
        monkeypatch.setattr(module, "connect", lambda **_: api)
    return found


def headrace(*arguments: str, typed: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=typed)


def test_an_answer_says_who_gave_it_and_moves_no_cursor(door: Door) -> None:
    done = headrace("ask", "support", "where is it?", "--show-trace", "--max-tokens", "9")
    head, trace, *answer = done.stdout.splitlines()
    assert head.startswith("support@2 (production), ")
    assert head.endswith(" ms, 3 tokens")
    assert trace == f"trace {TRACE}"
    assert answer == ["2: \N{REPLACEMENT CHARACTER}[31mwhere is it?", "turn 1"]
    assert door.asked[0] == {
        "model": "support",
        "messages": [{"role": "user", "content": "where is it?"}],
        "max_tokens": 9,
    }
    assert door.headers[0]["traceparent"].endswith("-01")


def test_one_version_and_several_of_them(door: Door) -> None:
    one = json.loads(headrace("ask", "support", "q", "--version", "1", "-o", "json").stdout)
    assert (one["model"], one["arm"], one["trace_id"]) == ("support@1", "pinned", TRACE)
    assert one["latency_ms"] >= 0
    both = json.loads(
        headrace("ask", "support", "q", "--compare", "1, base,1", "-o", "json").stdout
    )
    assert [reply["version"] for reply in both] == ["1", "base"]
    names = headrace("ask", "support", "q", "--compare", "1,base", "-o", "name").stdout
    assert names.splitlines() == ["support@1", "support@base"]
    plain = headrace("ask", "support", "q", "--compare", "1,base").stdout
    assert plain.index("support@1 (pinned)") < plain.index("\n\nsupport@base (pinned)")


def test_a_question_may_come_from_the_input(door: Door) -> None:
    headrace("ask", "support", "-", typed="line 1\nline 2\n")
    assert door.asked[0]["messages"][0]["content"] == "line 1\nline 2\n"


def test_columns_fit_the_terminal_or_stand_below_each_other() -> None:
    blocks = [["support@1", "a long answer " * 3], ["support@base", "no"]]
    lines = side_by_side(blocks, 60)
    assert lines[0] == "support@1" + " " * 22 + "support@base"
    assert all(len(line) <= 60 for line in lines)
    assert len(lines) > 2
    assert side_by_side(blocks, 40) == [*blocks[0], "", *blocks[1]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("suport", "q"), "No workload is called `suport`. Nearest: `support`"),
        (("support", "q", "--version", "9"), "there is no version 9 of support; it can be asked:"),
        (("support", "attack"), "check injection"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    door: Door, arguments: tuple[str, ...], words: str
) -> None:
    done = headrace("ask", *arguments)
    assert isinstance(done.exception, Refused)
    assert words in str(done.exception)


@pytest.mark.parametrize(
    "arguments", [("q", "--compare", "1"), ("q", "--compare", "1,2", "--version", "1"), (" ",)]
)
def test_wrong_options_are_told(door: Door, arguments: tuple[str, ...]) -> None:
    assert headrace("ask", "support", *arguments).exit_code == 2
    assert not door.asked


def test_a_conversation_on_a_pipe_has_a_history(door: Door) -> None:
    done = headrace("chat", "support", "--version", "1", typed="one\n\nattack\ntwo")
    assert done.exit_code == 2  # a turn was refused
    assert "check injection" in done.stderr
    assert done.stdout.splitlines() == [
        "1: \N{REPLACEMENT CHARACTER}[31mone",
        "turn 1",
        "1: \N{REPLACEMENT CHARACTER}[31mtwo",
        "turn 3",
    ]
    last = door.asked[-1]
    assert [turn["role"] for turn in last["messages"]] == ["user", "assistant", "user"]
    assert (last["model"], last["stream"]) == ("support@1", True)
    assert len({headers["x-headrace-key"] for headers in door.headers}) == 1


def test_a_conversation_ends_with_its_input(door: Door) -> None:
    done = headrace("chat", "support", typed="")
    assert (done.exit_code, done.stdout) == (0, "")


def test_an_answer_that_is_cut_off_is_no_answer(door: Door) -> None:
    done = headrace("chat", "support", typed="cut\n")
    assert isinstance(done.exception, Unanswered)


def test_chat_with_nobody_is_refused_before_anything_is_typed(door: Door) -> None:
    done = headrace("chat", "sumaries", typed="hello\n")
    assert isinstance(done.exception, StackError)
    assert "Nearest: `summaries`" in str(done.exception)
    assert not door.asked
