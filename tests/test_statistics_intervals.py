"""Errors and intervals agree with published numbers and with scipy and statsmodels, which only these tests import."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from ns_eval.errors import UsageError
from summarize.distributions import beta_cdf, beta_quantile, binomial_tail, normal_quantile, normal_tail, t_quantile, t_tail
from summarize.intervals import METHODS, Interval, bootstrap, interval, standard_error

HITS = [(24, 30), (20, 30), (149, 256), (1, 10), (0, 30), (30, 30), (3, 3)]


def answers(hits: int, n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([1.0] * hits + [0.0] * (n - hits))


@pytest.mark.parametrize(("hits", "n"), HITS)
@pytest.mark.parametrize(("ours", "theirs"), [("wilson", "wilson"), ("clopper-pearson", "beta")])
def test_one_sample_a_question_gives_the_textbook_interval(hits: int, n: int, ours: str, theirs: str) -> None:
    found = interval(answers(hits, n), Interval(ours))
    assert found == pytest.approx(proportion_confint(hits, n, method=theirs), abs=1e-10)


@pytest.mark.parametrize(("hits", "n"), [(24, 30), (149, 256), (1, 10)])
def test_jeffreys_is_that_of_statsmodels(hits: int, n: int) -> None:
    assert interval(answers(hits, n), Interval("jeffreys")) == pytest.approx(
        proportion_confint(hits, n, method="jeffreys"), abs=1e-10
    )


def test_the_numbers_of_source_003_have_the_published_bounds() -> None:
    rounded = {method: [round(end, 3) for end in interval(answers(24, 30), Interval(method)) or ()] for method in METHODS}
    assert rounded["wilson"] == [0.627, 0.905]
    assert rounded["clopper-pearson"] == [0.614, 0.923]
    assert rounded["jeffreys"] == [0.633, 0.912]


def test_the_effective_n_makes_sure_questions_as_wide_as_single_ones() -> None:
    """64 samples that all agree say no more than one: the interval must not shrink (Wilson with n = Q K would)."""
    means = answers(15, 30)
    assert interval(means, Interval()) == interval(means * 1.0, Interval())
    half = interval(np.full(30, 0.5), Interval())
    assert half is not None and half[1] - half[0] > 0.3


def test_clusters_of_equal_questions_count_once() -> None:
    one = answers(6, 10)
    repeated = np.repeat(one, 4)
    clusters = np.repeat(np.arange(10), 4)
    found = interval(repeated, Interval("t"), clusters)
    assert found == pytest.approx(interval(one, Interval("t")), abs=1e-12)
    assert standard_error(repeated, clusters) == pytest.approx(standard_error(one), abs=1e-12)
    alone = standard_error(repeated)
    assert alone is not None and alone < 0.6 * float(standard_error(one) or 0)


def test_the_clustered_error_is_the_formula() -> None:
    values, clusters = np.array([1, 0, 1, 1, 0, 0.5]), np.array([0, 0, 1, 1, 2, 2])
    gaps = [values[clusters == group].sum() - 2 * values.mean() for group in range(3)]
    assert standard_error(values, clusters) == pytest.approx(np.sqrt(3 / 2 * np.sum(np.square(gaps))) / 6)
    assert standard_error(values) == pytest.approx(values.std(ddof=1) / np.sqrt(6))


def test_one_cluster_has_no_error() -> None:
    assert standard_error(np.array([0.3, 0.4]), np.array([0, 0])) is None
    assert interval(np.array([0.3, 0.4]), Interval(), np.array([0, 0])) is None
    assert standard_error(np.array([])) is None


def test_scores_beyond_one_are_rescaled() -> None:
    ratings = np.array([1.0, 3.0, 4.0, 5.0, 5.0, 2.0])
    found = interval(ratings, Interval())
    assert found is not None and 0 <= found[0] < ratings.mean() < found[1] <= 5


def test_equal_ratings_leave_room_on_both_sides_of_their_scale() -> None:
    low, high = interval(np.full(3, 7.0), Interval(), scale=(1.0, 10.0)) or (0.0, 0.0)
    assert 1 < low < 7 < high < 10
    assert interval(np.full(3, 5.0), Interval(), scale=(1.0, 5.0)) == pytest.approx((1 + 4 * 0.4385, 5.0), abs=1e-3)
    beyond = np.array([-2.0, 2.0, 1.0])
    assert interval(beyond, Interval(), scale=(0.0, 1.0)) == interval(beyond, Interval())


def test_the_bootstrap_is_seeded_and_says_so() -> None:
    values = np.random.default_rng(1).random(40)
    how = Interval("bootstrap", draws=2000, seed=7)
    assert interval(values, how) == interval(values, how)
    assert interval(values, how) != interval(values, Interval("bootstrap", draws=2000, seed=8))
    assert how.described == "95% percentile bootstrap over questions, 2,000 draws, seed 7"
    low, high = interval(values, how) or (0, 0)
    error = standard_error(values) or 0
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_any_statistic_can_be_bootstrapped() -> None:
    values = np.arange(101.0)
    low, high = bootstrap(lambda rows: float(np.median(values[rows])), 101, Interval("bootstrap", draws=1000))
    assert 30 < low < 50 < high < 70


@pytest.mark.parametrize("method", METHODS)
def test_every_method_holds_the_mean(method: str) -> None:
    values = np.random.default_rng(3).beta(2, 3, 50)
    low, high = interval(values, Interval(method)) or (1, 0)
    assert low < values.mean() < high


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean `wilson`"):
        Interval("wilsen")
    with pytest.raises(UsageError, match=r"--level=95"):
        Interval(level=95)


@pytest.mark.parametrize("df", [1, 2, 5, 29, 255, 1000])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.975, 0.9999, 0.025])
def test_t_is_that_of_scipy(p: float, df: int) -> None:
    assert t_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-10, abs=1e-10)
    t = abs(t_quantile(p, df))
    assert t_tail(t, df) == pytest.approx(scipy.stats.t.sf(t, df), rel=1e-10)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 30), (24.5, 6.5), (149, 108), (1000, 3)])
def test_beta_is_that_of_scipy(a: float, b: float) -> None:
    for x in (0.001, 0.3, 0.5, 0.99):
        assert beta_cdf(x, a, b) == pytest.approx(scipy.stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-300)
    for p in (0.025, 0.5, 0.975):
        assert beta_quantile(p, a, b) == pytest.approx(scipy.stats.beta.ppf(p, a, b), rel=1e-10)


def test_the_other_tails_are_those_of_scipy() -> None:
    assert normal_quantile(0.975) == pytest.approx(scipy.stats.norm.ppf(0.975))
    assert normal_tail(1.7) == pytest.approx(scipy.stats.norm.sf(1.7))
    assert binomial_tail(3, 11) == pytest.approx(scipy.stats.binom.cdf(3, 11, 0.5))
