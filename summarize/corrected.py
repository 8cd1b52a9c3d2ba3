"""The score that a judge would give if it made no mistakes, from a labelled part: two estimators, with intervals.

Rogan and Gladen turn the judge's rate around with its sensitivity and specificity; prediction-powered inference adds the
mean mistake on labelled cases to the judge's mean on the others. Neither knows more than the labels do: below 50 of them
there is no corrected score.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from summarize.agreement import Confusion, Interval
from summarize.distributions import normal_quantile
from summarize.intervals import Integers, standard_error

LEAST_LABELS = 50


@dataclass(frozen=True, slots=True)
class Corrected:
    """`score` and `interval` lie within the scale of the labels; `se` is the standard error before that."""

    method: str
    score: float
    se: float
    interval: Interval
    labels: int
    judged: int


def rogan_gladen(rate: float, n: int, labelled: Confusion) -> Corrected | None:
    """theta = (p + q0 - 1) / (q1 + q0 - 1) for the judge's rate p over n cases, q1 sensitivity, q0 specificity.

    Var = [p (1 - p) / n + theta^2 q1 (1 - q1) / m1 + (1 - theta)^2 q0 (1 - q0) / m0] / (q1 + q0 - 1)^2, by the delta method.
    None below 50 labels, without right or wrong ones, or where the judge is no better than chance (q1 + q0 <= 1).
    """
    q1, q0 = labelled.sensitivity, labelled.specificity
    if labelled.n < LEAST_LABELS or n == 0 or q1 is None or q0 is None or q1 + q0 <= 1:
        return None
    slope = q1 + q0 - 1
    theta = (rate + q0 - 1) / slope
    right, wrong = labelled.both_right + labelled.reference_only, labelled.both_wrong + labelled.judge_only
    inside = min(1.0, max(0.0, theta))
    variance = rate * (1 - rate) / n + inside**2 * q1 * (1 - q1) / right + (1 - inside) ** 2 * q0 * (1 - q0) / wrong
    return _within("rogan-gladen", theta, math.sqrt(variance) / slope, (0.0, 1.0), (labelled.n, n))


def prediction_powered(
    unlabelled: Sequence[float],
    judge: Sequence[float],
    labels: Sequence[float],
    *,
    questions: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    scale: Interval = (0.0, 1.0),
) -> Corrected | None:
    """Mean judge on unlabelled cases + mean (label - judge) on labelled ones; both parts add their variance.

    `questions` names the question of each unlabelled and each labelled case: several samples of one are one cluster. A
    question in both parts is counted as independent, so label whole questions. None below 50 labels or without others.
    """
    if len(labels) < LEAST_LABELS or not len(unlabelled):
        return None
    others, mistakes = np.asarray(unlabelled, np.float64), np.asarray(labels, np.float64) - np.asarray(judge, np.float64)
    names = questions or (range(len(others)), range(len(mistakes)))
    errors = [standard_error(part, codes(keys)) for part, keys in zip((others, mistakes), names, strict=True)]
    if errors[0] is None or errors[1] is None:
        return None
    score = float(others.mean() + mistakes.mean())
    return _within("prediction-powered", score, math.hypot(errors[0], errors[1]), scale, (len(labels), len(others)))


def codes(names: Iterable[Hashable]) -> Integers:
    """A number for each different name, in order of first appearance."""
    place: dict[Hashable, int] = {}
    return np.array([place.setdefault(name, len(place)) for name in names], np.int64)


def _within(method: str, score: float, se: float, scale: Interval, counts: tuple[int, int]) -> Corrected:
    low, high = scale

    def inside(value: float) -> float:
        return min(high, max(low, value))

    z = normal_quantile(0.975)
    interval = (inside(score - z * se), inside(score + z * se))
    return Corrected(method, inside(score), se, interval, *counts)
