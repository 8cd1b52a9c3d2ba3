"""How far two raters agree: tables of counts, coefficients corrected for chance, and intervals that respect questions.

Everything takes and gives plain numbers and numpy arrays. A coefficient that its definition leaves open (a rater who always
says the same, no cases) is None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Table: TypeAlias = npt.NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Confusion:
    """A judge against a reference, as counts."""

    both_right: int
    judge_only: int
    reference_only: int
    both_wrong: int

    @property
    def n(self) -> int:
        return self.both_right + self.judge_only + self.reference_only + self.both_wrong

    @property
    def table(self) -> Table:
        """Rows: the judge says yes, no; columns: the reference does."""
        return np.array([[self.both_right, self.judge_only], [self.reference_only, self.both_wrong]], np.float64)

    @property
    def agreement(self) -> float | None:
        return _ratio(self.both_right + self.both_wrong, self.n)

    @property
    def sensitivity(self) -> float | None:
        """Of what the reference holds right, the share that the judge does."""
        return _ratio(self.both_right, self.both_right + self.reference_only)

    @property
    def specificity(self) -> float | None:
        """Of what the reference holds wrong, the share that the judge does."""
        return _ratio(self.both_wrong, self.both_wrong + self.judge_only)

    @property
    def pabak(self) -> float | None:
        """Kappa with prevalence and bias taken out: 2 p_o - 1."""
        return None if self.agreement is None else 2 * self.agreement - 1

    @property
    def leaning(self) -> float | None:
        """Exact McNemar p-value: could a judge without a leaning split its disagreements as unevenly as this one?"""
        few, both = min(self.judge_only, self.reference_only), self.judge_only + self.reference_only
        return None if both == 0 else min(1.0, 2 * sum(math.comb(both, k) for k in range(few + 1)) / 2**both)


def confusion(judge: Sequence[bool], reference: Sequence[bool]) -> Confusion:
    """Counts of two equally long sequences."""
    says, holds = np.asarray(judge, np.bool_), np.asarray(reference, np.bool_)
    if says.shape != holds.shape:
        raise ValueError(f"{says.size} verdicts against {holds.size} references")
    cells = (says & holds, says & ~holds, ~says & holds, ~says & ~holds)
    return Confusion(*(int(cell.sum()) for cell in cells))


def contingency(first: Sequence[Hashable], second: Sequence[Hashable], categories: Sequence[Hashable]) -> Table:
    """How often each pair of categories was given: rows are the first rater's, columns the second's."""
    place = {category: number for number, category in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)))
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    return table


def cohen_kappa(table: Table) -> float | None:
    """(p_o - p_e) / (1 - p_e), p_e from each rater's own frequencies; None where p_e is 1. Cohen 1960."""
    return _one(_kappa, table)


def gwet_ac1(table: Table) -> float | None:
    """Gwet's AC1: chance agreement from the mean frequencies, stable where nearly all cases are of one kind. Gwet 2008."""
    return _one(_ac1, table)


def quadratic_kappa(table: Table) -> float | None:
    """Kappa for ordered categories: a disagreement weighs as its squared distance in places."""
    return _one(_quadratic, table)


def krippendorff_alpha(ratings: Floats, level: str = "nominal") -> float | None:
    """Krippendorff's alpha of units x raters, NaN for a missing rating; `level` nominal, ordinal or interval.

    1 - D_o / D_e over the coincidence matrix. Units with fewer than two ratings say nothing; None where all ratings agree
    on one value, since nothing could have differed.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    coincidences = np.zeros((values.size, values.size))
    for row in ratings:
        given = row[~np.isnan(row)]
        if given.size > 1:
            counts = np.searchsorted(values, given)
            tally = np.bincount(counts, minlength=values.size).astype(np.float64)
            coincidences += (np.outer(tally, tally) - np.diag(tally)) / (given.size - 1)
    totals = coincidences.sum(axis=0)
    n = totals.sum()
    if n < 2:
        return None
    distance = _distance(values, totals, level)
    expected = float((np.outer(totals, totals) * distance).sum()) / (n - 1)
    return None if expected == 0 else float(1 - (coincidences * distance).sum() / expected)


def question_interval(
    tables: npt.NDArray[np.float64], coefficient: Callable[[Table], float | None], *, seed: int = 0, draws: int = DRAWS
) -> Interval | None:
    """95 % percentile bootstrap of a coefficient, drawing whole questions: `tables` has one table a question.

    Draws in which the coefficient is open are left out; None with fewer than two questions, or where most draws are open.
    """
    count = tables.shape[0]
    if count < 2:
        return None
    # Questions with one and the same table are interchangeable: how often a kind is drawn is multinomial over the kinds.
    kinds, sizes = np.unique(tables.reshape(count, -1), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(count, sizes / count, size=draws) @ kinds
    values = _VECTORISED[coefficient](drawn.reshape(-1, *tables.shape[1:]))
    values = values[np.isfinite(values)]
    if values.size < draws / 2:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def by_question(questions: Sequence[Hashable], first: Sequence[Hashable], second: Sequence[Hashable]) -> Table:
    """One table a question, categories sorted as text: what `question_interval` draws from."""
    categories = sorted({*first, *second}, key=lambda value: (value is not True, str(value)))
    members: dict[Hashable, list[int]] = {}
    for number, question in enumerate(questions):
        members.setdefault(question, []).append(number)
    tables = [contingency([first[i] for i in rows], [second[i] for i in rows], categories) for rows in members.values()]
    return np.array(tables).reshape(len(tables), len(categories), len(categories))


def _one(vector: Callable[[npt.NDArray[np.float64]], Floats], table: Table) -> float | None:
    value = float(vector(table[None])[0])
    return value if math.isfinite(value) else None


def _chance_corrected(observed: Floats, expected: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        # 1 - p_e is exactly 0 only in theory: rounding must not make a coefficient out of nothing.
        return np.where(1 - expected > 1e-12, (observed - expected) / (1 - expected), np.nan)


def _shares(tables: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: npt.NDArray[np.float64] = tables / tables.sum(axis=(1, 2), keepdims=True)
    return shares


def _kappa(tables: npt.NDArray[np.float64]) -> Floats:
    p = _shares(tables)
    expected = (p.sum(axis=2) * p.sum(axis=1)).sum(axis=1)
    return _chance_corrected(np.trace(p, axis1=1, axis2=2), expected)


def _ac1(tables: npt.NDArray[np.float64]) -> Floats:
    p = _shares(tables)
    mean = (p.sum(axis=2) + p.sum(axis=1)) / 2
    categories = tables.shape[1]
    if categories < 2:
        return np.full(tables.shape[0], np.nan)
    expected = (mean * (1 - mean)).sum(axis=1) / (categories - 1)
    return _chance_corrected(np.trace(p, axis1=1, axis2=2), expected)


def _quadratic(tables: npt.NDArray[np.float64]) -> Floats:
    p = _shares(tables)
    places = np.arange(tables.shape[1])
    weights = (places[:, None] - places[None, :]) ** 2.0
    observed = (p * weights).sum(axis=(1, 2))
    expected = (np.einsum("bi,bj->bij", p.sum(axis=2), p.sum(axis=1)) * weights).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)


_VECTORISED: dict[Callable[[Table], float | None], Callable[[npt.NDArray[np.float64]], Floats]] = {
    cohen_kappa: _kappa,
    gwet_ac1: _ac1,
    quadratic_kappa: _quadratic,
}


def _distance(values: Floats, totals: Floats, level: str) -> Floats:
    if level == "nominal":
        return 1.0 - np.eye(values.size)
    if level == "interval":
        return np.subtract.outer(values, values) ** 2
    if level != "ordinal":
        raise ValueError(f"level must be nominal, ordinal or interval, found {level!r}")
    # Squared number of ratings between two values, half of each end counted.
    middle = np.cumsum(totals) - totals / 2
    return np.subtract.outer(middle, middle) ** 2


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
