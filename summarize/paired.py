"""Two runs on the same questions: their difference, its error, how likely chance makes one as large, what could be seen."""

from __future__ import annotations

import itertools
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
_DRAWS = 10_000
_BLOCKS = 10
# Of more questions than that, this many draws at a time: each takes 8 bytes a question.
_LONG, _FEW = 10_000, 50
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
    return differences([a, b], clusters, level, seed)[0, 1]


def differences(
    runs: Sequence[Floats], clusters: Integers | None = None, level: float = 0.95, seed: int = 0
) -> dict[tuple[int, int], Difference]:
    """Of every pair of runs, the earlier minus the later one; the signs are drawn once for all pairs."""
    pairs = list(itertools.combinations(range(len(runs)), 2))
    binary = [bool(np.isin(run, (0.0, 1.0)).all()) and clusters is None for run in runs]
    tested = {
        (a, b): ("McNemar", mcnemar(int(np.sum(runs[a] > runs[b])), int(np.sum(runs[a] < runs[b]))))
        for a, b in pairs
        if binary[a] and binary[b]
    }
    flipped = [pair for pair in pairs if pair not in tested]
    if flipped:
        p = sign_flips(np.stack([runs[a] - runs[b] for a, b in flipped]), clusters, seed)
        tested |= {pair: ("sign flip", own) for pair, own in zip(flipped, p, strict=True)}
    return {(a, b): _difference((runs[a], runs[b]), clusters, level, tested[a, b]) for a, b in pairs}


def _difference(
    runs: tuple[Floats, Floats], clusters: Integers | None, level: float, tested: tuple[str, float]
) -> Difference:
    gaps = runs[0] - runs[1]
    error = standard_error(gaps, clusters)
    groups = len(gaps) if clusters is None else len(np.unique(clusters))
    half = None if error is None else t_quantile((1 + level) / 2, groups - 1) * error
    value = float(gaps.mean())
    wins, losses = int(np.sum(gaps > 0)), int(np.sum(gaps < 0))
    return Difference(
        value=value,
        error=error,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        p=tested[1],
        test=tested[0],
        wins=wins,
        ties=len(gaps) - wins - losses,
        losses=losses,
        correlation=_correlation(*runs),
        detectable=None if error is None else detectable(error, level),
        questions=len(gaps),
    )


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p: under the null each discordant question falls either way with probability 1/2."""
    return min(1.0, 2 * binomial_tail(min(wins, losses), wins + losses))


def sign_flip(gaps: Floats, clusters: Integers | None = None, seed: int = 0) -> float:
    """The two-sided p of the mean, if the sign of each question (cluster) were a coin: exact, or (hits+1)/(draws+1)."""
    return sign_flips(gaps[None, :], clusters, seed)[0]


def sign_flips(gaps: Floats, clusters: Integers | None = None, seed: int = 0) -> list[float]:
    """`sign_flip` of each row of gaps, shape (pairs, questions); the rows share their draws."""
    if clusters is not None:
        place = np.unique(clusters, return_inverse=True)[1]
        gaps = np.stack([np.bincount(place, weights=row) for row in gaps])
    few = np.sum(gaps != 0, axis=1) <= _COUNTED
    p = np.empty(len(gaps))
    p[few] = [_counted(row) for row in gaps[few]]
    if not few.all():
        p[~few] = _drawn(gaps[~few], seed)
    found: list[float] = p.tolist()
    return found


def _observed(gaps: Floats) -> Floats:
    """What a draw must reach to count as one as large; a bit less, for floats."""
    observed: Floats = np.abs(gaps.sum(axis=-1)) - 1e-12 * np.abs(gaps).sum(axis=-1)
    return observed


def _counted(gaps: Floats) -> float:
    moving = np.abs(gaps[gaps != 0])
    patterns = (np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving))) & 1
    return float(np.mean(np.abs((2.0 * patterns - 1) @ moving) >= _observed(gaps)))


def _drawn(gaps: Floats, seed: int) -> Floats:
    pairs, count = gaps.shape
    rng = np.random.default_rng(seed)
    hits = np.zeros(pairs)
    blocks = _BLOCKS if count <= _LONG else _DRAWS // _FEW
    block = _DRAWS // blocks
    for _ in range(blocks):
        bits = np.frombuffer(rng.bytes(-(-block * count // 8)), np.uint8)
        signs = 2.0 * np.unpackbits(bits)[: block * count].reshape(block, count) - 1
        hits += np.sum(np.abs(signs @ gaps.T) >= _observed(gaps), axis=0)
    found: Floats = (hits + 1) / (_DRAWS + 1)
    return found


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
    """The compact letter display: two share a letter exactly where no difference was found."""
    ordered = sorted(cliques(count, different), key=sorted)
    names = [_letter(at) for at in range(len(ordered))]
    return ["".join(name for name, column in zip(names, ordered, strict=True) if item in column) for item in range(count)]


def cliques(count: int, different: Sequence[tuple[int, int]]) -> list[frozenset[int]]:
    """The largest sets of which no two differ: split at each pair that does, less what others contain (Piepho 2004)."""
    columns: list[frozenset[int]] = [frozenset(range(count))]
    for first, second in different:
        split = [column - {out} for column in columns if {first, second} <= column for out in (first, second)]
        columns = [column for column in columns if not {first, second} <= column] + split
        columns = [own for own in dict.fromkeys(columns) if not any(own < other for other in columns)]
    return columns


def _letter(at: int) -> str:
    return chr(ord("a") + at) if at < 26 else _letter(at // 26 - 1) + _letter(at % 26)


def _correlation(a: Floats, b: Floats) -> float | None:
    spread = math.sqrt(float(np.var(a)) * float(np.var(b)))
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else None
