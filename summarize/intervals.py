"""Standard errors and intervals for the mean of question values. One unit is one question, or one cluster of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ns_eval.errors import UsageError, suggest
from summarize.distributions import beta_quantile, normal_quantile, t_quantile

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
# Resamples made at once.
_BLOCK = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """How intervals are made. `draws` and `seed` are the bootstrap's."""

    method: str = "wilson"
    level: float = 0.95
    draws: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"--interval={self.method}: {suggest(self.method, METHODS)}")
        if not 0.0 < self.level < 1.0:
            raise UsageError(f"--level={self.level}: expected a share between 0 and 1, such as 0.95")

    @property
    def described(self) -> str:
        drawn = f", {self.draws:,} draws, seed {self.seed}" if self.method == "bootstrap" else ""
        return f"{100 * self.level:g}% {_NAMES[self.method]}{drawn}"


@dataclass(frozen=True, slots=True)
class _Sums:
    """What a mean's error is made of: deviations summed in each cluster, its size, whether every question is a cluster."""

    values: Floats
    deviations: Floats
    sizes: Floats
    separate: bool

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def clusters(self) -> int:
        return len(self.deviations)

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0.0, 1.0)).all())

    @property
    def squares(self) -> float:
        """sum e_g^2. Not by `@`: of many values that wakes the threads of a BLAS, which costs more than the sum."""
        return float(np.square(self.deviations).sum())

    @property
    def standard_error(self) -> float | None:
        """sqrt(G/(G-1) * sum e_g^2)/N; of single questions that is sd/sqrt(N). None for one cluster: not estimable."""
        if self.clusters < 2:
            return None
        spread = self.squares * self.clusters / (self.clusters - 1)
        return math.sqrt(spread) / len(self.values)

    @property
    def effective_n(self) -> float:
        """The number of independent 0/1 questions that would vary like these: m(1-m) N^2 / sum e_g^2."""
        spread = self.squares
        if spread <= 1e-18:
            return float(self.clusters)
        return max(self.mean * (1 - self.mean), 0.0) * len(self.values) ** 2 / spread

    def critical(self, level: float) -> float | None:
        if self.binary and self.separate:
            return normal_quantile((1 + level) / 2)
        return t_quantile((1 + level) / 2, self.clusters - 1) if self.clusters > 1 else None


def standard_error(values: Floats, clusters: Integers | None = None) -> float | None:
    """Of the mean, for new questions of this kind (Miller 2024, arXiv:2411.00640, with inspect_ai's factor G/(G-1))."""
    return _sums(values, clusters).standard_error if len(values) else None


def interval(
    values: Floats, how: Interval, clusters: Integers | None = None, scale: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Bounds of the mean of values in [0, 1], or of ratings on a `scale`. None where it cannot be estimated.

    Values beyond these are rescaled by their range, which makes of the largest one seen the largest there can be.
    `clusters` names for each value the cluster it belongs to; without it each is its own.
    """
    if not len(values):
        return None
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    if scale is not None and scale[0] <= values.min() and values.max() <= scale[1]:
        low, high = scale
    bounds = METHODS[how.method](_sums((values - low) / (high - low), clusters), how)
    return None if bounds is None else (low + bounds[0] * (high - low), low + bounds[1] * (high - low))


def _sums(values: Floats, clusters: Integers | None) -> _Sums:
    gaps = values - values.mean()
    if clusters is None:
        return _Sums(values, gaps, np.ones(len(values)), separate=True)
    _, place = np.unique(clusters, return_inverse=True)
    summed = np.bincount(place, weights=gaps).astype(np.float64)
    return _Sums(values, summed, np.bincount(place).astype(np.float64), separate=len(summed) == len(values))


def _wilson(sums: _Sums, how: Interval) -> tuple[float, float] | None:
    """stats.md 2.5: Wilson's formula with the effective n; for 0/1 scores of single questions it is Wilson's own."""
    z = sums.critical(how.level)
    return None if z is None else wilson(sums.mean, sums.effective_n, z)


def wilson(mean: float, n: float, z: float) -> tuple[float, float]:
    """Wilson 1927: the means whose own normal interval just reaches this one."""
    center = (mean + z * z / (2 * n)) / (1 + z * z / n)
    margin = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At 0 and 1 the formula meets the end exactly; floats miss it by a bit.
    return (0.0 if mean == 0.0 else max(0.0, center - margin)), (1.0 if mean == 1.0 else min(1.0, center + margin))


def _clopper_pearson(sums: _Sums, how: Interval) -> tuple[float, float]:
    n, tail = sums.effective_n, (1 - how.level) / 2
    hits = sums.mean * n
    low = 0.0 if hits <= 0 else beta_quantile(tail, hits, n - hits + 1)
    return low, 1.0 if hits >= n else beta_quantile(1 - tail, hits + 1, n - hits)


def _jeffreys(sums: _Sums, how: Interval) -> tuple[float, float]:
    n, tail = sums.effective_n, (1 - how.level) / 2
    hits = sums.mean * n
    low = 0.0 if hits <= 0 else beta_quantile(tail, hits + 0.5, n - hits + 0.5)
    return low, 1.0 if hits >= n else beta_quantile(1 - tail, hits + 0.5, n - hits + 0.5)


def _uniform(sums: _Sums, how: Interval) -> tuple[float, float]:
    n, tail = sums.effective_n, (1 - how.level) / 2
    hits = sums.mean * n
    return beta_quantile(tail, hits + 1, n - hits + 1), beta_quantile(1 - tail, hits + 1, n - hits + 1)


def _normal(sums: _Sums, how: Interval) -> tuple[float, float] | None:
    return _around(sums, normal_quantile((1 + how.level) / 2))


def _t(sums: _Sums, how: Interval) -> tuple[float, float] | None:
    return _around(sums, t_quantile((1 + how.level) / 2, sums.clusters - 1)) if sums.clusters > 1 else None


def _around(sums: _Sums, critical: float) -> tuple[float, float] | None:
    error = sums.standard_error
    return None if error is None else (sums.mean - critical * error, sums.mean + critical * error)


def _bootstrap(sums: _Sums, how: Interval) -> tuple[float, float] | None:
    if sums.clusters < 2:
        return None
    # A resample is a vector of multiplicities; the mean moves by the deviations it holds over the questions it holds.
    rng = np.random.default_rng(how.seed)
    means = []
    for start in range(0, how.draws, _BLOCK):
        size = min(_BLOCK, how.draws - start)
        drawn = rng.integers(0, sums.clusters, (size, sums.clusters)) + sums.clusters * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * sums.clusters).reshape(size, sums.clusters)
        means.append(sums.mean + (times @ sums.deviations) / (times @ sums.sizes))
    low, high = np.quantile(np.concatenate(means), [(1 - how.level) / 2, (1 + how.level) / 2])
    return float(low), float(high)


def bootstrap(statistic: Callable[[Integers], float], questions: int, how: Interval) -> tuple[float, float]:
    """Percentile bounds of any statistic of resampled question numbers: for medians and ratios, which have no formula."""
    rng = np.random.default_rng(how.seed)
    drawn = np.array([statistic(rng.integers(0, questions, questions)) for _ in range(how.draws)])
    low, high = np.quantile(drawn, [(1 - how.level) / 2, (1 + how.level) / 2])
    return float(low), float(high)


METHODS: dict[str, Callable[[_Sums, Interval], tuple[float, float] | None]] = {
    "wilson": _wilson,
    "t": _t,
    "normal": _normal,
    "clopper-pearson": _clopper_pearson,
    "jeffreys": _jeffreys,
    "uniform": _uniform,
    "bootstrap": _bootstrap,
}
_NAMES = {
    "wilson": "Wilson interval with effective n",
    "t": "t interval",
    "normal": "normal interval",
    "clopper-pearson": "Clopper-Pearson interval with effective n",
    "jeffreys": "Jeffreys interval with effective n",
    "uniform": "Beta(1,1) interval with effective n",
    "bootstrap": "percentile bootstrap over questions",
}
