"""Coefficients of agreement, corrections and slopes equal published examples and other people's code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.inter_rater import cohens_kappa

from summarize.agreement import (
    Confusion,
    by_question,
    cohen_kappa,
    confusion,
    gwet_ac1,
    krippendorff_alpha,
    quadratic_kappa,
    question_interval,
)
from summarize.corrected import prediction_powered, rogan_gladen
from summarize.lengths import length_slope

nan = float("nan")
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": four observers, twelve units.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
).T


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_classic_example_is_the_published_one(level: str, published: float) -> None:
    assert krippendorff_alpha(KRIPPENDORFF, level) == pytest.approx(published, abs=5e-4)


def test_alpha_is_open_where_nothing_varies_or_nothing_was_repeated() -> None:
    assert krippendorff_alpha(np.full((5, 3), 4.0)) is None
    assert krippendorff_alpha(np.array([[1.0, nan], [nan, 2.0]])) is None
    with pytest.raises(ValueError, match="ordinal"):
        krippendorff_alpha(KRIPPENDORFF, "ratio")


@pytest.mark.parametrize("seed", range(5))
def test_kappas_equal_statsmodels(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 30, (4, 4)).astype(float)
    assert cohen_kappa(table) == pytest.approx(cohens_kappa(table).kappa, abs=1e-12)
    assert quadratic_kappa(table) == pytest.approx(cohens_kappa(table, wt="quadratic").kappa, abs=1e-12)


def test_ac1_stays_where_kappa_collapses() -> None:
    # Both raters say yes to nearly all, and agree on 118 of 125: p_e is 0.945 for kappa, 0.054 for AC1.
    table = np.array([[118.0, 5.0], [2.0, 0.0]])
    kappa, ac1 = cohen_kappa(table), gwet_ac1(table)
    assert kappa is not None and ac1 is not None
    assert kappa == pytest.approx(-0.0234, abs=1e-3)
    assert ac1 == pytest.approx(0.9408, abs=1e-3)


def test_coefficients_are_open_where_chance_agreement_is_certain() -> None:
    assert cohen_kappa(np.array([[10.0, 0.0], [0.0, 0.0]])) is None
    assert cohen_kappa(np.zeros((2, 2))) is None
    assert gwet_ac1(np.array([[7.0]])) is None


def test_the_four_cells_and_what_follows_from_them() -> None:
    counts = confusion([True] * 5 + [False] * 5, [True, True, True, True, False, True, False, False, False, False])
    assert counts == Confusion(both_right=4, judge_only=1, reference_only=1, both_wrong=4)
    assert (counts.agreement, counts.sensitivity, counts.specificity) == (0.8, 0.8, 0.8)
    assert counts.pabak == pytest.approx(0.6)
    assert Confusion(0, 0, 0, 3).sensitivity is None and Confusion(0, 0, 0, 0).agreement is None
    with pytest.raises(ValueError, match="2 verdicts against 1"):
        confusion([True, False], [True])


@pytest.mark.parametrize(("judge", "reference"), [(8, 20), (0, 5), (7, 7), (1, 0)])
def test_the_leaning_is_mcnemar_s_exact_test(judge: int, reference: int) -> None:
    assert Confusion(50, judge, reference, 50).leaning == pytest.approx(binomtest(judge, judge + reference).pvalue)


def test_an_interval_draws_questions_not_samples() -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(60) < 0.6
    says = np.where(rng.random(60) < 0.85, truth, ~truth)
    questions = [f"q{number}" for number in range(60)]
    single = by_question(questions, list(map(bool, says)), list(map(bool, truth)))
    eight = by_question(questions * 8, list(map(bool, says)) * 8, list(map(bool, truth)) * 8)
    assert question_interval(single, cohen_kappa) == pytest.approx(question_interval(eight, cohen_kappa), abs=1e-12)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits, runs = np.random.default_rng(11), 0, 200
    p = np.array([0.5, 0.08, 0.12, 0.3])
    true = cohen_kappa(p.reshape(2, 2))
    assert true is not None
    for seed in range(runs):
        kinds = np.eye(4)[rng.choice(4, 150, p=p)].reshape(-1, 2, 2)
        bounds = question_interval(kinds, cohen_kappa, seed=seed, draws=1_000)
        assert bounds is not None
        hits += bounds[0] <= true <= bounds[1]
    assert 0.90 <= hits / runs <= 0.99


def test_one_question_has_no_interval() -> None:
    assert question_interval(np.array([[[3.0, 1.0], [1.0, 3.0]]]), cohen_kappa) is None


def test_rogan_gladen_undoes_a_known_judge_and_its_error_is_honest() -> None:
    rng, estimates, hits = np.random.default_rng(3), [], 0
    true, q1, q0, n, labels = 0.4, 0.9, 0.8, 2_000, 300
    for _ in range(400):
        right = rng.random(n) < true
        says = np.where(right, rng.random(n) < q1, rng.random(n) >= q0)
        counts = confusion([bool(x) for x in says[:labels]], [bool(x) for x in right[:labels]])
        found = rogan_gladen(float(says.mean()), n, counts)
        assert found is not None
        estimates.append(found.score)
        hits += found.interval[0] <= true <= found.interval[1]
        error = found.se
    assert np.mean(estimates) == pytest.approx(true, abs=0.005)
    assert np.std(estimates) == pytest.approx(error, rel=0.2)
    assert 0.92 <= hits / 400 <= 0.99


def test_prediction_powered_covers_whatever_the_judge_does() -> None:
    rng, hits = np.random.default_rng(4), 0
    for _ in range(400):
        right = rng.random(800) < 0.7
        says = np.where(right, rng.random(800) < 0.75, rng.random(800) < 0.4).astype(float)
        found = prediction_powered(list(says[100:]), list(says[:100]), list(right[:100].astype(float)))
        assert found is not None
        hits += found.interval[0] <= 0.7 <= found.interval[1]
    assert 0.91 <= hits / 400 <= 0.98


def test_no_correction_without_enough_labels_or_by_a_judge_no_better_than_chance() -> None:
    assert rogan_gladen(0.5, 100, Confusion(20, 5, 5, 19)) is None
    assert rogan_gladen(0.5, 100, Confusion(25, 25, 25, 25)) is None
    assert rogan_gladen(0.5, 100, Confusion(60, 0, 0, 0)) is None
    assert prediction_powered([1.0, 0.0], [1.0] * 49, [1.0] * 49) is None
    assert prediction_powered([], [1.0] * 50, [1.0] * 50) is None


def test_a_corrected_score_stays_on_its_scale() -> None:
    found = rogan_gladen(0.01, 1_000, Confusion(40, 5, 10, 45))
    assert found is not None and found.score == 0.0 == found.interval[0]


def test_samples_of_one_question_are_one_cluster_of_a_corrected_score() -> None:
    rng = np.random.default_rng(5)
    judge, labels = np.repeat(rng.random(30) < 0.5, 4).astype(float), np.repeat(rng.random(30) < 0.5, 4).astype(float)
    names = [f"q{number // 4}" for number in range(120)]
    alone = prediction_powered(list(judge), list(judge), list(labels))
    clustered = prediction_powered(list(judge), list(judge), list(labels), questions=(names, names))
    assert alone is not None and clustered is not None
    assert clustered.score == alone.score
    assert clustered.se == pytest.approx(2 * alone.se, rel=0.03)


def test_a_slope_is_found_within_questions_only() -> None:
    # Hard questions have long answers: across questions length and score are tied, within them they are not.
    rng, scores, lengths, questions = np.random.default_rng(6), [], [], []
    for number in range(40):
        for _ in range(8):
            length = int(2 ** (8 + number / 10 + rng.normal()))
            lengths.append(length)
            scores.append(1 - number / 40 + 0.05 * math.log2(length) + rng.normal() * 0.05)
            questions.append(number)
    found = length_slope(scores, lengths, questions)
    assert found is not None and not found.matched
    assert found.interval[0] < 0.05 < found.interval[1] and found.se < 0.01


def test_at_equal_correctness_a_judge_of_correctness_has_no_slope() -> None:
    rng = np.random.default_rng(8)
    right = rng.random(400) < 0.5
    lengths = [int(2 ** (9 + 2 * flag + rng.normal())) for flag in right]
    questions = [number // 4 for number in range(400)]
    plain = length_slope(list(right.astype(float)), lengths, questions)
    matched = length_slope(list(right.astype(float)), lengths, questions, [bool(flag) for flag in right])
    assert plain is not None and matched is not None
    assert plain.per_doubling > 0.1 and matched.matched
    assert matched.per_doubling == pytest.approx(0.0, abs=1e-9)


def test_a_slope_is_open_where_lengths_do_not_vary_within_questions() -> None:
    assert length_slope([1.0, 0.0, 1.0], [10, 20, 30], ["a", "b", "c"]) is None
    assert length_slope([1.0, 0.0], [10, 20], ["a", "a"]) is None
    assert length_slope([], [], []) is None
