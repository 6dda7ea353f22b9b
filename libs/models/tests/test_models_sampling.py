"""The choice of the next token, whatever a caller asks for."""

import pytest

from headrace_models.sampling import GREEDY, Sampling, next_tokens


@pytest.mark.parametrize("temperature", [1e-3, 1e-7, 1e-38, 1e-45, 1e-320, 5e-324])
@pytest.mark.parametrize("top_p", [1.0, 5e-324])
def test_a_temperature_next_to_nothing_is_the_likeliest_token(
    temperature: float, top_p: float
) -> None:
    """It made infinities of the logits, and failed the whole batch as the version's own fault."""
    import torch

    logits = torch.tensor([[3.0, 90.0, -40.0], [1.0, 2.0, 60.0]])
    samplings = [Sampling(temperature, top_p, seed=1), GREEDY]
    assert next_tokens(logits, samplings, [one.random() for one in samplings]) == [1, 2]


def test_what_a_temperature_makes_likely_is_drawn_as_often() -> None:
    import torch

    logits = torch.tensor([[0.0, 1.0, -1.0]]) + 50.0
    expected = (logits[0] / 0.7).softmax(-1)
    sampling = Sampling(0.7, seed=7)
    random = sampling.random()
    drawn = [next_tokens(logits, [sampling], [random])[0] for _ in range(4000)]
    shares = torch.bincount(torch.tensor(drawn), minlength=3) / len(drawn)
    assert torch.allclose(shares, expected, atol=0.03)


@pytest.mark.parametrize("temperature", [1e-7, 1e-320])
def test_next_to_no_temperature_takes_the_first_of_equals_as_greedy_does(
    temperature: float,
) -> None:
    import torch

    logits = torch.tensor([[0.0, 5.0, 5.0, 5.0]] * 32)
    samplings = [Sampling(temperature, seed=seed) for seed in range(32)]
    randoms = [one.random() for one in samplings]
    assert next_tokens(logits, samplings, randoms) == [1] * 32
