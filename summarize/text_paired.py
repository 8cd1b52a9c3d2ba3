"""Means and corpus scores over pairs of texts: their bootstrap intervals, and the paired test of two models.

Every metric is a function of sums over questions: a mean of one sum, corpus BLEU of ten, perplexity of two. So one resample
of the questions, as a vector of how often each is drawn, gives all metrics at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from summarize.paired import sign_flip

Floats: TypeAlias = npt.NDArray[np.float64]
# Numbers of one block of draws: some 80 MB.
_BLOCK = 10_000_000
_SWAPS = 10_000


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one model. `parts`, shape (questions, parts), is what is summed; `of` makes of sums, shape
    (draws, parts), and the number of questions the metric's value. `values` are the questions' own scores."""

    name: str
    values: Floats
    parts: Floats
    of: Callable[[Floats, int], Floats]
    higher_is_better: bool | None = True
    scale: float = 1.0

    @property
    def is_mean(self) -> bool:
        return self.of is mean_of

    @property
    def value(self) -> float:
        return float(self.of(self.parts.sum(axis=0)[None, :], len(self.parts))[0])


def mean_of(sums: Floats, questions: int) -> Floats:
    return sums[:, 0] / questions


def mean_metric(name: str, values: Floats, *, higher_is_better: bool | None = True, scale: float = 1.0) -> Metric:
    return Metric(name, values, values[:, None], mean_of, higher_is_better, scale)


def corpus_bleu(sums: Floats, questions: int = 0) -> Floats:
    """sacrebleu's BLEU, 0 to 100, of summed counts in the order of `Measured.counts`: exponential smoothing, all four orders
    (compute_bleu of sacrebleu/metrics/bleu.py at 2.6.0)."""
    length, wanted = sums[:, 0], sums[:, 1]
    right, total = sums[:, 2:6], sums[:, 6:10]
    smooth = np.cumprod(np.where((right == 0) & (total > 0), 2.0, 1.0), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(right > 0, right / total, 1.0 / (smooth * total))
        brevity = np.where(length >= wanted, 1.0, np.exp(1 - wanted / length))
        score = 100 * brevity * np.exp(np.log(precision).mean(axis=1))
    return np.where((right.sum(axis=1) == 0) | (total == 0).any(axis=1), 0.0, score)


def corpus_chrf(sums: Floats, questions: int = 0) -> Floats:
    """sacrebleu's chrF, 0 to 100, of summed counts in the order of `Measured.counts`: precision and recall are means over
    the orders that both texts have (_compute_f_score of sacrebleu/metrics/chrf.py at 2.6.0)."""
    ours, theirs, both = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    used = (ours > 0) & (theirs > 0)
    orders = np.maximum(used.sum(axis=1), 1)
    precision = (both / np.where(used, ours, np.inf)).sum(axis=1) / orders
    recall = (both / np.where(used, theirs, np.inf)).sum(axis=1) / orders
    below = 4 * precision + recall
    return np.asarray(100 * 5 * precision * recall / np.where(below > 0, below, 1.0))


def perplexity_of(sums: Floats, questions: int = 0) -> Floats:
    """exp(-sum of log p / number of tokens): tokens are pooled, not texts."""
    return np.asarray(np.exp(-sums[:, 0] / sums[:, 1]))


def resampled(metrics: list[Metric], draws: int, seed: int) -> Iterator[list[Floats]]:
    """Blocks of draws: the value of every metric on resampled questions, the same questions for all of them."""
    questions = len(metrics[0].parts)
    joined = np.hstack([metric.parts for metric in metrics])
    edges = np.cumsum([0, *(metric.parts.shape[1] for metric in metrics)])
    rng = np.random.default_rng(seed)
    left = draws
    while left:
        rows = min(left, max(1, _BLOCK // questions))
        left -= rows
        drawn = rng.integers(0, questions, (rows, questions)) + np.arange(rows)[:, None] * questions
        times = np.bincount(drawn.ravel(), minlength=rows * questions).reshape(rows, questions)
        sums = times.astype(np.float64) @ joined
        yield [
            metric.of(sums[:, start:end], questions) for metric, start, end in zip(metrics, edges, edges[1:], strict=False)
        ]


def intervals(metrics: list[Metric], level: float, draws: int, seed: int) -> list[tuple[float, float] | None]:
    """Percentile bootstrap over questions; None for a single question."""
    return _percentiles(metrics, [(at,) for at in range(len(metrics))], level, draws, seed)


def gap_intervals(
    base: list[Metric], peft: list[Metric], level: float, draws: int, seed: int
) -> list[tuple[float, float] | None]:
    """The same of peft minus base, both on the same resampled questions."""
    return _percentiles([*base, *peft], [(at + len(base), at) for at in range(len(base))], level, draws, seed)


def _percentiles(
    metrics: list[Metric], chosen: list[tuple[int, ...]], level: float, draws: int, seed: int
) -> list[tuple[float, float] | None]:
    if not metrics or len(metrics[0].parts) < 2:
        return [None] * len(chosen)
    blocks = list(resampled(metrics, draws, seed))
    found: list[tuple[float, float] | None] = []
    for first, *others in chosen:
        drawn = np.concatenate([block[first] - sum((block[other] for other in others), np.zeros(())) for block in blocks])
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        found.append((float(low), float(high)))
    return found


def swap_test(base: Metric, peft: Metric, seed: int = 0) -> float:
    """Two-sided p if it were a coin whose answer to a question is whose: of a mean that is the sign-flip test."""
    if base.is_mean:
        return sign_flip(peft.values - base.values, seed=seed)
    gap = peft.parts - base.parts
    if not gap.any():
        return 1.0
    whole, questions = base.parts.sum(axis=0) + peft.parts.sum(axis=0), len(gap)
    observed = abs(peft.value - base.value) * (1 - 1e-12)
    rng = np.random.default_rng(seed)
    hits, left = 0, _SWAPS
    while left:
        rows = min(left, max(1, _BLOCK // questions))
        left -= rows
        swapped = rng.integers(0, 2, (rows, questions)).astype(np.float64)
        sums = base.parts.sum(axis=0) + swapped @ gap
        hits += int(np.sum(np.abs(base.of(whole - sums, questions) - base.of(sums, questions)) >= observed))
    return (hits + 1) / (_SWAPS + 1)
