"""The judge against what else says how good an answer is: the symbolic verdict, a person's label, a person's rating."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from summarize.agreement import (
    Confusion,
    Interval,
    by_question,
    cohen_kappa,
    confusion,
    contingency,
    gwet_ac1,
    quadratic_kappa,
    question_interval,
)
from summarize.corrected import codes
from summarize.judged import Judged, number


@dataclass(frozen=True, slots=True)
class Agreement:
    """The judge against `reference` (symbolic or label) on samples that have both; `confusion` where it is yes or no."""

    reference: str
    n: int
    agreed: int
    confusion: Confusion | None
    kappa: float | None
    kappa_interval: Interval | None
    ac1: float | None
    ac1_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings against human ones: the share of equal ones, of those at most one apart, kappa with quadratic weights."""

    n: int
    equal: float
    within_one: float
    kappa: float | None
    kappa_interval: Interval | None


def agreement(
    reference: str,
    questions: Sequence[Hashable],
    judge: Sequence[Hashable],
    holds: Sequence[Hashable],
    *,
    seed: int = 0,
) -> Agreement:
    """Agreement on verdicts of any kind: yes or no, or the names of categories. Intervals draw whole questions."""
    tables = by_question(questions, judge, holds)
    whole = tables.sum(axis=0)
    yes_no = all(isinstance(value, bool) for value in (*judge, *holds))
    return Agreement(
        reference,
        int(whole.sum()),
        int(np.trace(whole)),
        confusion([value is True for value in judge], [value is True for value in holds]) if yes_no else None,
        cohen_kappa(whole),
        question_interval(tables, cohen_kappa, seed=seed),
        gwet_ac1(whole),
        question_interval(tables, gwet_ac1, seed=seed),
    )


def agreements(asked: Sequence[Judged], seed: int = 0) -> tuple[Agreement, ...]:
    """Yes or no against the symbolic verdict and against labels, each where a sample has both."""
    references = {
        "symbolic": [(row, row.symbolic) for row in asked if row.symbolic is not None],
        "label": [(row, row.label == 1.0) for row in asked if row.label in (0.0, 1.0)],
    }
    return tuple(
        agreement(
            name,
            [row.question for row, _ in pairs],
            [row.value == 1.0 for row, _ in pairs],
            [truth for _, truth in pairs],
            seed=seed,
        )
        for name, pairs in references.items()
        if pairs
    )


def against_ratings(asked: Sequence[Judged], seed: int = 0) -> Ratings | None:
    """Ratings against labels that are ratings; None without a label."""
    pairs = [(row.question, number(row.value), row.label) for row in asked if row.label is not None]
    if not pairs:
        return None
    gaps = np.array([abs(value - label) for _, value, label in pairs])
    # Every whole place between the ends, so that a rating nobody gave keeps its distance.
    places = [float(place) for place in range(*_span([value for pair in pairs for value in pair[1:]]))]
    whole = all(value in places for pair in pairs for value in pair[1:])
    tables = np.array([contingency([one], [other], places) for _, one, other in pairs]) if whole else None
    group = codes(pair[0] for pair in pairs)
    summed = None if tables is None else np.array([tables[group == code].sum(axis=0) for code in range(group.max() + 1)])
    return Ratings(
        len(pairs),
        float((gaps == 0).mean()),
        float((gaps <= 1).mean()),
        None if tables is None else quadratic_kappa(tables.sum(axis=0)),
        None if summed is None else question_interval(summed, quadratic_kappa, seed=seed),
    )


def _span(values: Sequence[float]) -> tuple[int, int]:
    return int(np.floor(min(values))), int(np.ceil(max(values))) + 1
