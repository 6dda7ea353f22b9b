"""Metrics against reference values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from headrace_evaluator.core.comparison import NotMeasured, compare
from headrace_evaluator.core.rouge import rouge_l, words
from headrace_evaluator.core.scores import RowScore, RowScores
from headrace_evaluator.core.text import exact_match, normalise


class UnicodeTokenizer:
    """Our words, in the shape that rouge-score expects."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("Card arrival", "card  arrival\n", 1.0),
        ("STRASSE", "straße", 1.0),
        ("ko\u0308ru\u0308l", "körül", 1.0),  # decomposed and composed
        ("card", "card arrival", 0.0),
        ("card-arrival", "card arrival", 0.0),
        ("", "card", 0.0),
    ],
)
def test_exact_match(answer: str, reference: str, expected: float) -> None:
    assert exact_match(answer, reference) == expected


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence "the cat on mat" (4) of 5 and 6 words: 2 * 4 / 11.
    assert rouge_l("the cat on a mat", "the cat sat on the mat") == pytest.approx(8 / 11)
    assert rouge_l("", "a") == rouge_l("a", "") == rouge_l("x", "y") == 0.0
    assert rouge_l("a b", "A  B!") == 1.0


def test_accented_words_stay_whole() -> None:
    assert words("Zárolták a bankkártyám, így nem fizethetek.") == [
        "zárolták",
        "a",
        "bankkártyám",
        "így",
        "nem",
        "fizethetek",
    ]
    torn = RougeScorer(["rougeL"]).score("őrült", "érült")["rougeL"].fmeasure
    assert torn == 1.0  # what rouge-score does by itself: both are "r lt"
    assert rouge_l("érült", "őrült") == 0.0


ASCII = st.text(alphabet="abcAB 0_-.,!\n", max_size=60)
HUNGARIAN = st.text(alphabet="aáéőű bcÁŐ \u0301.", max_size=60)


@settings(max_examples=200, deadline=None)
@given(ASCII, ASCII)
def test_on_ascii_rouge_l_is_that_of_rouge_score(answer: str, reference: str) -> None:
    expected = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert rouge_l(answer, reference) == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(HUNGARIAN, HUNGARIAN)
def test_with_our_words_rouge_l_is_that_of_rouge_score(answer: str, reference: str) -> None:
    scorer = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())
    expected = scorer.score(reference, answer)["rougeL"].fmeasure
    assert rouge_l(answer, reference) == pytest.approx(expected)
    assert normalise(answer) == normalise(normalise(answer))


def rows(losses: list[float], tokens: list[int]) -> RowScores:
    pairs = zip(losses, tokens, strict=True)
    return {f"r{i}": RowScore(loss=loss, tokens=n) for i, (loss, n) in enumerate(pairs)}


def test_perplexity_is_over_tokens_and_its_difference_relative() -> None:
    tokens = [2, 4] * 5
    ours, theirs = rows([2.0, 4.0] * 5, tokens), rows([4.0, 8.0] * 5, tokens)
    found = compare("perplexity", ours, theirs)
    assert found.candidate == pytest.approx(math.exp(1.0))
    assert found.other == pytest.approx(math.exp(2.0))
    assert found.difference == pytest.approx(math.exp(-1.0) - 1)
    # All rows agree on the ratio, so every resample gives it.
    result = found.result(0.95)
    assert result.low == pytest.approx(result.high) == pytest.approx(found.difference)
    assert found.improvement_bound(0.95) == pytest.approx(1 - math.exp(-1.0))


def test_means_and_difference_are_paired() -> None:
    ours = {f"r{i}": RowScore(exact_match=v) for i, v in enumerate([1, 1, 0, 1])}
    theirs = {f"r{i}": RowScore(exact_match=v) for i, v in enumerate([0, 1, 0, 0])}
    found = compare("exact_match", ours, theirs)
    assert (found.candidate, found.other, found.difference) == (0.75, 0.25, 0.5)
    assert found.rows == 4
    np.testing.assert_array_equal(found.samples[0], [1, 0, 0, 1])


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({}, {}, "0 holdout rows"),
        ({"a": RowScore(exact_match=1.0)}, {"a": RowScore(exact_match=0.0)}, "1 holdout rows"),
        ({"a": RowScore(exact_match=1.0)}, {"b": RowScore(exact_match=1.0)}, "different rows"),
        ({"a": RowScore(), "b": RowScore()}, {"a": RowScore(), "b": RowScore()}, "no finite"),
    ],
)
def test_what_cannot_be_compared_is_not_measured(
    ours: RowScores, theirs: RowScores, said: str
) -> None:
    with pytest.raises(NotMeasured, match=said):
        compare("exact_match", ours, theirs)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1e9])
def test_perplexity_that_is_no_number_is_not_measured(broken: float) -> None:
    with pytest.raises(NotMeasured):
        compare("perplexity", rows([1.0, broken], [1, 1]), rows([1.0, 1.0], [1, 1]))


def test_perplexity_over_different_tokens_is_not_compared() -> None:
    with pytest.raises(NotMeasured, match="different tokens"):
        compare("perplexity", rows([1.0, 1.0], [1, 2]), rows([1.0, 1.0], [1, 1]))
