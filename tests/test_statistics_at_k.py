"""Estimators over k of n samples equal the mean over every subset, and chance where there are too many subsets."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from summarize.at_k import (
    MOST_SAMPLES,
    Votes,
    best_of_k,
    g_pass_at_k,
    majority_at_k,
    mean_g_pass_at_k,
    none_of_k,
    pass_at_k,
    pass_hat_k,
)


def over_subsets(n: int, k: int, value: Callable[[tuple[int, ...]], Fraction]) -> float:
    subsets = list(itertools.combinations(range(n), k))
    return float(sum((value(subset) for subset in subsets), Fraction(0)) / len(subsets))


def vote(answers: Sequence[int | None], right: dict[int, bool], subset: Sequence[int]) -> Fraction:
    counts = Counter(answers[at] for at in subset if answers[at] is not None)
    tops = [answer for answer, count in counts.items() if count == max(counts.values())]
    return Fraction(sum(right[answer] for answer in tops if answer is not None), len(tops)) if tops else Fraction(0)


def votes_of(answers: Sequence[int | None], right: dict[int, bool]) -> Votes:
    counts = Counter(answer for answer in answers if answer is not None)
    sizes = tuple(counts.values())
    return Votes(sizes, tuple(right[answer] for answer in counts), len(answers) - sum(sizes))


@pytest.mark.parametrize("n", range(1, 9))
def test_every_pass_is_the_mean_over_all_subsets(n: int) -> None:
    for c in range(n + 1):
        right = [at < c for at in range(n)]
        for k in range(1, n + 1):
            hits = [sum(right[at] for at in subset) for subset in itertools.combinations(range(n), k)]
            assert pass_at_k(n, c)[k] == pytest.approx(np.mean([hit > 0 for hit in hits]), abs=1e-14)
            assert pass_hat_k(n, c)[k] == pytest.approx(np.mean([hit == k for hit in hits]), abs=1e-14)
            for threshold in (0.25, 0.5, 0.7, 0.75, 1.0):
                need = max(math.ceil(Fraction(str(threshold)) * k), 1)
                wanted = np.mean([hit >= need for hit in hits])
                assert g_pass_at_k(n, c, threshold)[k] == pytest.approx(wanted, abs=1e-14)
            steps = range(math.ceil(k / 2) + 1, k + 1)
            graded = 2 / k * sum(np.mean([hit >= need for hit in hits]) for need in steps)
            assert mean_g_pass_at_k(n, c)[k] == pytest.approx(graded, abs=1e-14)


@settings(deadline=None, max_examples=150)
@given(
    answers=st.lists(st.sampled_from([None, 0, 1, 2, 3, 4]), min_size=1, max_size=8),
    right=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_the_expected_vote_is_the_mean_over_all_subsets(answers: list[int | None], right: list[bool]) -> None:
    verdicts = dict(enumerate(right))
    found = majority_at_k([votes_of(answers, verdicts)])[0]
    for k in range(1, len(answers) + 1):
        exact = over_subsets(len(answers), k, lambda subset: vote(answers, verdicts, subset))
        assert found[k] == pytest.approx(exact, abs=1e-14)


@settings(deadline=None, max_examples=100)
@given(
    samples=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans()), min_size=1, max_size=7),
)
def test_the_best_of_k_by_a_score_is_the_mean_over_all_subsets(samples: list[tuple[float, bool]]) -> None:
    scores, right = [score for score, _ in samples], [float(verdict) for _, verdict in samples]
    found = best_of_k(scores, right)

    def best(subset: tuple[int, ...]) -> Fraction:
        top = max(scores[at] for at in subset)
        tied = [at for at in subset if scores[at] == top]
        return Fraction(sum(int(right[at]) for at in tied), len(tied))

    for k in range(1, len(samples) + 1):
        assert found[k] == pytest.approx(over_subsets(len(samples), k, best), abs=1e-13)
    assert best_of_k(scores, scores)[len(samples)] == pytest.approx(max(scores))


def test_the_worked_example_by_hand() -> None:
    found = majority_at_k([Votes((4, 3, 1), (True, False, False))])[0]
    assert [found[k] for k in (1, 2, 3, 8)] == pytest.approx([4 / 8, 1 / 2, 4 / 7, 1.0])


def test_the_worked_pass_example_by_hand() -> None:
    curve = pass_at_k(8, np.array([1, 4, 8, 3, 0])).mean(axis=0)
    assert [curve[k] for k in (1, 2, 4, 8)] == pytest.approx([0.40, 15 / 28, 239 / 350, 0.80])


def test_a_vote_of_one_or_two_is_one_sample_where_all_answer() -> None:
    found = majority_at_k([Votes((30, 20, 14), (False, True, False))])[0]
    assert found[1] == pytest.approx(20 / 64)
    assert found[2] == pytest.approx(20 / 64)


@pytest.mark.parametrize("k", [3, 8, 16, 33, 63])
def test_the_expected_vote_of_64_agrees_with_a_simulation(k: int) -> None:
    rng = np.random.default_rng(k)
    sizes, right = (19, 17, 9, 6, 4, 3, 2, 1), (False, True, False, False, True, False, False, False)
    classes = np.repeat(np.arange(9), [*sizes, 3])
    draws = 20_000
    counts = np.zeros((draws, 9), np.int64)
    for at in range(draws):
        counts[at] = np.bincount(rng.permutation(classes)[:k], minlength=9)
    counts = counts[:, :8]
    tops = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    simulated = (tops[:, list(right)].sum(axis=1) / np.maximum(tops.sum(axis=1), 1)).mean()
    exact = majority_at_k([Votes(sizes, right, 3)])[0][k]
    assert exact == pytest.approx(simulated, abs=5 * math.sqrt(0.25 / draws))


def test_questions_are_computed_together_as_they_are_alone() -> None:
    rng = np.random.default_rng(0)
    votes = []
    for _ in range(60):
        *sizes, silent = rng.multinomial(40, rng.dirichlet(np.ones(7)))
        votes.append(Votes(tuple(map(int, sizes)), tuple(bool(flag) for flag in rng.integers(0, 2, 6)), int(silent)))
    together = majority_at_k(votes)
    alone = np.concatenate([majority_at_k([item]) for item in votes])
    np.testing.assert_allclose(together, alone, atol=1e-14)


def test_no_k_is_beyond_n_and_none_is_zero() -> None:
    assert none_of_k(4, 1).shape == (5,)
    assert np.isnan(pass_at_k(4, 1)[0])
    assert np.isnan(majority_at_k([Votes((4,), (True,))])[0, 0])


def test_samples_without_any_answer_score_zero() -> None:
    assert majority_at_k([Votes((), (), 5)])[0][1:] == pytest.approx(np.zeros(5))


def test_pass_at_k_of_thousands_of_samples_neither_overflows_nor_cancels() -> None:
    curve = pass_at_k(5000, 1)
    assert curve[2500] == pytest.approx(0.5, rel=1e-12)
    assert curve[1] == pytest.approx(1 / 5000, rel=1e-10)


def test_too_many_samples_leave_the_plain_vote() -> None:
    n = MOST_SAMPLES + 2
    found = majority_at_k([Votes((n // 2, n // 2), (True, False))])[0]
    assert found[n] == 0.5
    assert np.isnan(found[1:n]).all()
