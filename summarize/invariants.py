"""What must hold whatever the data; checked before anything is printed, for a table that breaks it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ns_eval.errors import DataError
from summarize.questions import JOINT, Flags, PerQuestion, Samples

# Sums of up to a thousand products of floats.
_SLACK = 1e-9


def check(found: Samples, reduced: Mapping[str, PerQuestion]) -> None:
    """Raises DataError, naming the question, where one number of a table contradicts another.

    pass@k rises with k; majority@k <= pass@k at k = n, and below it where no answer has verdicts of both kinds; both is at
    most, any at least what every judge says, sample by sample and in every mode but majority.
    """
    for score, item in reduced.items():
        if score in found.graded:
            continue
        falls = np.any(np.diff(item.passed, axis=1) < -_SLACK, axis=1)
        _refuse(found, falls, f"pass@k of {score} falls with k")
        over = item.voted > item.passed + _SLACK
        full = over[np.arange(len(item.n)), item.n]
        _refuse(
            found, np.logical_or(full, over.any(axis=1) & (item.mixed == 0)), f"majority@k of {score} exceeds its pass@k"
        )
    judges = [name for name in reduced if name.endswith("_correct") and name not in JOINT]
    if "both_correct" in reduced:
        for judge in judges:
            _check_order(found, reduced, "both_correct", judge)
            _check_order(found, reduced, judge, "any_correct")


def _check_order(found: Samples, reduced: Mapping[str, PerQuestion], lower: str, upper: str) -> None:
    fault = f"{lower} exceeds {upper}"
    # NaN compares false: a missing verdict contradicts nothing.
    samples = found.values[lower] > found.values[upper]
    _refuse(found, np.bincount(found.question[samples], minlength=found.count) > 0, fault)
    small, large = reduced[lower], reduced[upper]
    alike = small.n == large.n
    above = (small.passed > large.passed + _SLACK).any(axis=1) | (small.mean > large.mean + _SLACK)
    _refuse(found, alike & above, fault)


def check_subsets(whole: int, parts: Sequence[int], name: str) -> None:
    """Raises DataError where the questions of the subsets are not those of the benchmark."""
    if sum(parts) != whole:
        raise DataError(f"{name}: its subsets have {sum(parts)} questions together, the benchmark {whole}")


def _refuse(found: Samples, wrong: Flags, fault: str) -> None:
    places = np.flatnonzero(wrong)
    if len(places):
        raise DataError(
            f"question `{found.names[places[0]]}`: {fault}, which cannot be ({len(places)} of {found.count} questions)",
            hint="remove scores.parquet beside the output files, so that it is made again; if this comes back, it is a bug",
        )
