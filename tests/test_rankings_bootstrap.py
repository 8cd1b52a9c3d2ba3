"""The intervals of a ranking: the draws are those of a plain two-stage bootstrap, and hold the truth as said."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rankings_coverage import skills, stack
from summarize.rankings.bootstrap import draws
from summarize.rankings.grid import Stack


def plainly(own: Stack, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(graded, right, truncated) of each draw, one sample after the other."""
    rng = np.random.default_rng(7)
    samples = []
    for graded, right, truncated in zip(own.graded[0], own.right[0], own.truncated[0], strict=True):
        wrong = int(graded - right)
        samples.append([(1, 1, 0)] * int(right) + [(1, 0, 0)] * wrong + [(0, 0, 1)] * int(truncated))
    found = np.zeros((count, 3))
    for at in range(count):
        for question in rng.integers(0, len(samples), len(samples)):
            held = np.array(samples[question])
            found[at] += held[rng.integers(0, len(held), len(held))].sum(axis=0)
    return found


def test_the_draws_are_those_of_questions_then_samples_within() -> None:
    own = stack(np.random.default_rng(3), 0.6, 0.2, 12, 5)
    counts, _ = draws(own, 4000, np.random.default_rng(0))
    fast = np.stack([counts.graded[:, 0], counts.right[:, 0], counts.truncated[:, 0]], axis=1)
    slow = plainly(own, 3000)
    np.testing.assert_allclose(fast.mean(axis=0), slow.mean(axis=0), rtol=0.03)
    np.testing.assert_allclose(np.cov(fast.T), np.cov(slow.T), rtol=0.2, atol=2.0)
    assert (fast[:, 0] + fast[:, 2] == 60).all()


def test_one_sample_a_question_is_the_plain_bootstrap() -> None:
    own = stack(np.random.default_rng(3), 0.6, 0.0, 40, 1)
    counts, _ = draws(own, 3000, np.random.default_rng(0))
    share = own.right[0].mean()
    assert counts.right[:, 0].var() == pytest.approx(40 * share * (1 - share), rel=0.1)


@pytest.mark.parametrize(
    ("chance", "skill", "adjusted"), [(0.5, 0.05, 0.474), (0.5, 0.5, 0.88), (0.25, 0.2, 0.832), (0.0, 0.5, 0.95)]
)
def test_the_transformed_interval_holds_what_it_says_and_the_scores_own_less(
    chance: float, skill: float, adjusted: float
) -> None:
    """The table of stats.md 1.2."""
    own, transformed = skills(chance, skill, 2000)
    assert own == pytest.approx(adjusted, abs=0.03)
    assert 0.93 <= transformed <= 0.97
