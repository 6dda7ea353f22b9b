"""The hold-back window: however an answer is cut, the same redacted text comes out, unleaked."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_detect import replace
from headrace_events.inference import InferencePartCompleted, InferencePartGenerated
from headrace_guardrails.core.checks.pii import personal
from headrace_guardrails.core.guard import judge, placeholder
from headrace_guardrails.core.policy import DEFAULT, Policy
from headrace_guardrails.core.streams import OpenStreams, give
from headrace_guardrails.core.window import MOST_HELD, release

SECRETS = [
    "jane.doe@example.com",
    "+36 30 123 4567",
    "06 1 234 5678",
    "(212) 736-5000",
    "4111 1111 1111 1111",
    "HU42 1177 3016 1111 1018 0000 0000",
    "GB29 NWBK 6016 1331 9268 19",
    "de89370400440532013000",
    "123 456 788",
    "12892312-2-42",
    "06-30-123-4567",
    "06  30 1234567",
    "06\u00a030\u00a0123\u00a04567",
    "06\u201330\u2013123\u20134567",
    "kata@example.hu-ra",
    "8362361123-es",
    "０６ ３０ １２３ ４５６７",
]
PIECES = st.one_of(
    st.sampled_from(SECRETS),
    st.sampled_from(
        [
            " ",
            "  ",
            "\n",
            ". ",
            ", ",
            "-",
            "+",
            "(",
            "3",
            "06 ",
            "HU",
            "TAJ: ",
            "@",
            " Ft",
            "-ra",
            "\u00a0",
            "–",
        ]
    ),
    st.text(alphabet="abc XYZ123.@+-()\n\u00a0é", max_size=12),
    st.sampled_from(["call ", "me at ", "the value is ", "Árvíztűrő ", "AND SO ON ", "v3.11 "]),
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(TEXTS)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=25).map(sorted))
    bounds = [0, *cuts, len(text)]
    return text, [text[a:b] for a, b in pairwise(bounds)]


def take(
    streams: OpenStreams, part: InferencePartGenerated, policy: Policy = DEFAULT
) -> InferencePartCompleted | None:
    state = streams.grow(part)
    return give("r", state, release(state.text, policy)) if state else None


def stream(parts: list[str], policy: Policy = DEFAULT) -> str:
    streams = OpenStreams()
    out = []
    for index, part in enumerate(parts):
        grown = InferencePartGenerated(request_id="r", index=index, text=part)
        sent = take(streams, grown, policy)
        if sent:
            assert sent.index == len(out)
            out.append(sent.text)
    return "".join(out)


@settings(max_examples=300, deadline=None)
@given(cut_texts())
def test_any_split_gives_a_prefix_of_the_redacted_whole(cut: tuple[str, list[str]]) -> None:
    text, parts = cut
    whole = judge(text, DEFAULT, "output").text
    assert whole.startswith(stream(parts))


@settings(max_examples=300, deadline=None)
@given(cut_texts())
def test_what_was_released_never_changes(cut: tuple[str, list[str]]) -> None:
    _, parts = cut
    grown, before = "", ""
    for part in parts:
        grown += part
        now = release(grown, DEFAULT).text
        assert now.startswith(before) or before.startswith(now)
        before = max(before, now, key=len)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("tail", [" thanks, bye now.", "\nend of it", ""])
def test_no_character_of_a_secret_leaks_token_by_token(secret: str, tail: str) -> None:
    text = f"here it is: {secret}{tail}"
    if not personal(text):
        pytest.skip("not personal data with this tail")
    sent = stream(list(text))
    clean = replace(text, personal(text), placeholder)
    assert clean.startswith(sent)
    assert len(sent) >= len("here it is: ")


def test_plain_words_flow_at_once() -> None:
    assert release("The quick brown fo", DEFAULT).text == "The quick brown "


def test_a_long_row_of_numbers_is_not_held_for_ever() -> None:
    row = "1 22 333 4444 " * 200
    released = release(row, DEFAULT).text
    assert len(row) - len(released) <= MOST_HELD + 20


def test_a_blocking_policy_stops_the_stream() -> None:
    blocking = Policy("w", (), ("pii",), 100, "block")
    assert release("mail a@example.com now, please ", blocking).blocked
    assert stream(["mail a@exam", "ple.com now", ", please "], blocking) == "mail "


def test_too_long_answers_stop() -> None:
    assert release("x" * 101, Policy("w", (), ("length",), 100, "redact")).blocked


def test_repeated_and_orphaned_parts_give_nothing() -> None:
    streams = OpenStreams()
    first = InferencePartGenerated(request_id="r", index=0, text="one two ")
    assert take(streams, first) is not None
    assert take(streams, first) is None
    orphan = InferencePartGenerated(request_id="lost", index=3, text="some text ")
    assert take(streams, orphan) is None
    gap = InferencePartGenerated(request_id="r", index=2, text="four ")
    assert take(streams, gap) is None
