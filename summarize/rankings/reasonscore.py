"""ReasonScore: chance-corrected accuracy with its margin, less the share of cut answers, as a geometric mean over tasks.

Source 002 (ReasonScape); stats.md 1.1 has every definition and says which are the document's and which were decided here.
Arrays may have any shape: the bootstrap computes all its draws at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from summarize.questions import Floats

# ReasonScape's own quantile, not 1.95996.
Z = 1.96
FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over the samples of one task: `graded`, of them `right`, the chances of guessing those right, and those cut."""

    graded: Floats
    right: Floats
    guesses: Floats
    truncated: Floats

    @property
    def truncated_ratio(self) -> Floats:
        total = self.graded + self.truncated
        return ratio(self.truncated, total)


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN over nothing."""
    found: Floats = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > 0)
    return found


def wilson_pair(successes: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """(center, margin) of the 95% Wilson interval; of no trials (0.5, 0.5), which is all of [0, 1]."""
    n = np.asarray(trials, dtype=np.float64)
    none = n <= 0
    n = np.where(none, 1.0, n)
    p = np.where(none, 0.5, np.asarray(successes, dtype=np.float64) / n)
    scale = 1 + Z * Z / n
    center = (p + Z * Z / (2 * n)) / scale
    margin = Z * np.sqrt(np.clip(p * (1 - p), 0, None) / n + Z * Z / (4 * n * n)) / scale
    return np.where(none, 0.5, center), np.where(none, 0.5, margin)


def center_margin(counts: Counts) -> tuple[Floats, Floats]:
    """Of the excess accuracy: 0 is guessing, 1 perfect; the successes and trials of guessing are taken off both."""
    return wilson_pair(np.clip(counts.right - counts.guesses, 0, None), counts.graded - counts.guesses)


def adjusted_score(counts: Counts, bound: str = "upper") -> Floats:
    """The bound of the interval less the truncated share, within [0.01, 1]; NaN without any sample."""
    center, margin = center_margin(counts)
    end = center + {"upper": 1.0, "center": 0.0, "lower": -1.0}[bound] * margin
    return np.clip(end - counts.truncated_ratio, FLOOR, 1.0)


def joint_score(counts: Counts) -> Floats:
    """Version 2: a cut answer is a wrong one that had no chance; (right - guesses)/(all - guesses), within [0.01, 1]."""
    total = counts.graded + counts.truncated - counts.guesses
    return np.clip(ratio(counts.right - counts.guesses, total), FLOOR, 1.0)


def geometric_mean(values: Floats, axis: int = -1) -> Floats:
    """Over those that are not NaN; NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, np.log(np.where(known, values, 1.0)), 0.0).sum(axis=axis)
    return np.where(count > 0, np.exp(total / np.maximum(count, 1)), np.nan)


def skill_interval(right: float, trials: float, chance: float) -> tuple[float, float]:
    """Wilson's interval of the raw accuracy, carried over to the skill (p - g)/(1 - g): it holds what it says."""
    center, margin = wilson_pair(np.asarray(right), np.asarray(trials))
    ends = [(float(end) - chance) / (1 - chance) for end in (center - margin, center + margin)]
    return max(0.0, ends[0]), min(1.0, max(0.0, ends[1]))


def plain(value: float) -> float | None:
    """For records and JSON: NaN is not known."""
    return None if math.isnan(value) else float(value)
