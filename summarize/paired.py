"""Two runs on the same questions: their difference, its error, how likely chance makes one as large, what could be seen."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from summarize.distributions import binomial_tail, normal_quantile, t_quantile
from summarize.intervals import standard_error

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
# Up to 2^16 sign patterns are counted out; beyond, 10,000 are drawn.
_COUNTED = 16
_MOST_AS_FLOATS = 2500
_DRAWS = 10_000
_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """a minus b, over questions. `detectable` is the difference that this comparison finds with 80% power.

    `p` is two-sided, by `test`: "McNemar" for one 0/1 sample a question, else "sign flip". None: not estimable.
    """

    value: float
    error: float | None
    low: float | None
    high: float | None
    p: float
    test: str
    wins: int
    ties: int
    losses: int
    correlation: float | None
    detectable: float | None
    questions: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison; `adjusted` is its p after Holm over all pairs of all benchmarks of the call, `rated`: its
    values are ratings, not shares."""

    benchmark: str
    first: int
    second: int
    found: Difference
    adjusted: float
    rated: bool = False


def difference(a: Floats, b: Floats, clusters: Integers | None = None, level: float = 0.95, seed: int = 0) -> Difference:
    """Of two runs' question values, in one order; `clusters` names the cluster of each question."""
    gaps = a - b
    error = standard_error(gaps, clusters)
    groups = len(gaps) if clusters is None else len(np.unique(clusters))
    half = None if error is None else t_quantile((1 + level) / 2, groups - 1) * error
    wins, losses = int(np.sum(gaps > 0)), int(np.sum(gaps < 0))
    binary = bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()) and clusters is None
    value = float(gaps.mean())
    return Difference(
        value=value,
        error=error,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        p=mcnemar(wins, losses) if binary else sign_flip(gaps, clusters, seed),
        test="McNemar" if binary else "sign flip",
        wins=wins,
        ties=len(gaps) - wins - losses,
        losses=losses,
        correlation=_correlation(a, b),
        detectable=None if error is None else detectable(error, level),
        questions=len(gaps),
    )


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p: under the null each discordant question falls either way with probability 1/2."""
    return min(1.0, 2 * binomial_tail(min(wins, losses), wins + losses))


def sign_flip(gaps: Floats, clusters: Integers | None = None, seed: int = 0) -> float:
    """The two-sided p of the mean, if the sign of each question (cluster) were a coin: exact, or (hits+1)/(draws+1)."""
    summed = gaps if clusters is None else np.bincount(np.unique(clusters, return_inverse=True)[1], weights=gaps)
    moving = np.abs(summed[summed != 0])
    observed = abs(float(summed.sum())) - 1e-12 * float(moving.sum())
    if not len(moving):
        return 1.0
    if len(moving) <= _COUNTED:
        patterns = (np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving))) & 1
        return float(np.mean(np.abs((2.0 * patterns - 1) @ moving) >= observed))
    hits = 0
    for signs in np.split(_signs(len(summed), seed), 10):
        hits += int(np.sum(np.abs(signs.astype(np.float64, copy=False) @ summed) >= observed))
    return (hits + 1) / (_DRAWS + 1)


@functools.lru_cache(maxsize=2)
def _signs(count: int, seed: int) -> npt.NDArray[np.int8] | Floats:
    """The draws, shape (draws, count): the same for every pair of runs over the same questions."""
    bits = np.frombuffer(np.random.default_rng(seed).bytes(-(-_DRAWS * count // 8)), np.uint8)
    coins = np.unpackbits(bits)[: _DRAWS * count].astype(np.int8).reshape(_DRAWS, count)
    signs = 2 * coins - 1
    # As floats, ready for every pair, while two such tables stay below 400 MB.
    return signs.astype(np.float64) if count <= _MOST_AS_FLOATS else signs


def detectable(error: float, level: float = 0.95, power: float = _POWER) -> float:
    """The smallest true difference that a two-sided test at 1 - level finds with that power: (z + z) * error."""
    return (normal_quantile((1 + level) / 2) + normal_quantile(power)) * error


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the given order: each is the level at which its own test still rejects."""
    order = sorted(range(len(p)), key=lambda at: p[at])
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[at]))
        adjusted[at] = highest
    return adjusted


def letters(count: int, different: Sequence[tuple[int, int]]) -> list[str]:
    """The compact letter display: two share a letter exactly where no difference was found (Piepho 2004).

    Columns are split at every pair that differs, then those that others contain fall away.
    """
    columns: list[frozenset[int]] = [frozenset(range(count))]
    for first, second in different:
        split = [column - {out} for column in columns if {first, second} <= column for out in (first, second)]
        columns = [column for column in columns if not {first, second} <= column] + split
        columns = [own for own in dict.fromkeys(columns) if not any(own < other for other in columns)]
    ordered = sorted(columns, key=sorted)
    names = [_letter(at) for at in range(len(ordered))]
    return ["".join(name for name, column in zip(names, ordered, strict=True) if item in column) for item in range(count)]


def _letter(at: int) -> str:
    return chr(ord("a") + at) if at < 26 else _letter(at // 26 - 1) + _letter(at % 26)


def _correlation(a: Floats, b: Floats) -> float | None:
    spread = math.sqrt(float(np.var(a)) * float(np.var(b)))
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else None
