"""Whether a judge likes long answers: the slope of its score on the length of what it saw, within questions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from summarize.corrected import codes
from summarize.distributions import t_quantile
from summarize.intervals import Floats, Integers


@dataclass(frozen=True, slots=True)
class Slope:
    """Change of the score for an answer twice as long to the same question. `matched`: correctness held equal."""

    per_doubling: float
    se: float
    interval: tuple[float, float]
    questions: int
    matched: bool


def length_slope(
    scores: Sequence[float], lengths: Sequence[int], questions: Sequence[Hashable], correct: Sequence[bool] | None = None
) -> Slope | None:
    """Least squares of score on log2(length) with an effect for each question, and for correctness where it is given.

    Standard errors are clustered by question, G / (G - 1), t with G - 1. Questions whose answers are all of one length say
    nothing; None with fewer than two others, or where length cannot be told from correctness.
    """
    group = codes(questions)
    log = np.log2(np.maximum(np.asarray(lengths, np.float64), 1.0))
    y, x = (_within(np.asarray(values, np.float64), group) for values in (scores, log))
    informative = np.bincount(group, weights=x * x) > 1e-12
    used = int(informative.sum())
    if used < 2:
        return None
    control = None if correct is None else _within(np.asarray(correct, np.float64), group)
    matched = control is not None and float(control @ control) > 1e-12
    if control is not None and matched:
        # Frisch-Waugh: the slope of what correctness leaves unexplained.
        square = float(control @ control)
        x, y = x - control * float(control @ x) / square, y - control * float(control @ y) / square
    spread = float(x @ x)
    if spread < 1e-9:
        return None
    slope = float(x @ y) / spread
    sums = np.bincount(group, weights=x * (y - slope * x))
    se = math.sqrt(used / (used - 1) * float(sums @ sums)) / spread
    half = t_quantile(0.975, used - 1) * se
    return Slope(slope, se, (slope - half, slope + half), used, matched)


def _within(values: Floats, group: Integers) -> Floats:
    means = np.bincount(group, weights=values) / np.bincount(group)
    centred: Floats = values - means[group]
    return centred
