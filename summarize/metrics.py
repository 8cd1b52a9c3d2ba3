"""metrics.json: {table: {evaluation mode: {metric: number}}} for every k, as fractions; `ns_eval` says what they mean."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

import numpy as np

from summarize.at_k import g_pass_at_k, mean_g_pass_at_k, pass_hat_k
from summarize.coverage import Coverage
from summarize.definitions import DEFINITIONS
from summarize.intervals import standard_error
from summarize.questions import Floats, Integers, PerQuestion
from summarize.tables import Cell, Row, Table

Number: TypeAlias = float | int | None
Metrics: TypeAlias = dict[str, object]
_THRESHOLDS = (0.25, 0.5, 0.75)


def metrics(tables: Sequence[Table], settings: Mapping[str, object]) -> Metrics:
    """All of the printed rows' numbers, and those of every other k."""
    found: Metrics = {table.name: _every_k(table) | {row.label: _row(row, table) for row in table.rows} for table in tables}
    definitions = {name: {"version": item.version, "text": item.text} for name, item in DEFINITIONS.items()}
    return found | {"ns_eval": {"format": 1, "unit": "fraction", "settings": settings, "definitions": definitions}}


def _row(row: Row, table: Table) -> Metrics:
    found: Metrics = {"num_entries": row.entries}
    for score, cell in row.cells.items():
        found |= {f"{score}{suffix}": value for suffix, value in _cell(cell, table.coverage).items()}
    found |= {"no_answer": row.no_answer, "avg_tokens": row.tokens}
    if table.extended is not None and row.kind == "mean":
        found["extended"] = asdict(table.extended)
    if row.truncation is not None:
        cut = row.truncation
        found["truncated"] = cut.share
        if row.kind == "mean":
            ends = {} if cut.worst is None else {"truncated_wrong": cut.worst, "truncated_right": cut.best}
            found |= {"among_completed": cut.among_completed, **ends}
    return found | {"coverage": coverage_numbers(table.coverage)}


def _cell(cell: Cell, covered: Coverage) -> dict[str, object]:
    found: dict[str, object] = {"": cell.value, "_questions": cell.questions, "_se": cell.error}
    if cell.rerun is not None:
        found["_se_rerun"] = cell.rerun
    if cell.low is not None:
        found["_interval"] = [cell.low, cell.high]
    if cell.worst is not None and not covered.complete:
        found["_bounds"] = [cell.worst, cell.best]
    return found


def coverage_numbers(covered: Coverage) -> dict[str, Number]:
    """The counts of a Coverage by their names."""
    names = ("expected", "graded", "errored", "judge_missing", "not_run", "truncated", "no_answer", "questions", "samples")
    return {name: getattr(covered, name) for name in names} | {"share": covered.share}


def _every_k(table: Table) -> Metrics:
    """Each mode at each k: value and standard error of each score."""
    found: dict[str, Metrics] = {}
    for score, item in table.curves.items():
        for mode, values in _curves(score, item).items():
            first = 2 if mode == "majority@{}" else 1
            columns = enumerate(zip(*_columns(values, table.clusters), strict=True))
            for k, (count, mean, error) in itertools.islice(columns, first, None):
                numbers = {"num_entries": int(count), score: float(mean), f"{score}_se": None if np.isnan(error) else error}
                found.setdefault(mode.format(k), {}).update(numbers if count else {})
    return {mode: numbers for mode, numbers in found.items() if numbers}


def _curves(score: str, item: PerQuestion) -> dict[str, Floats]:
    curves = {"pass@{}": item.passed}
    if item.tables:
        curves["majority@{}"] = item.voted
    return curves if score.startswith("score_") else curves | _graded_passes(item)


def _columns(values: Floats, clusters: Integers | None) -> tuple[Integers, Floats, list[float]]:
    """Of each k: how many questions have a value, their mean, its standard error (NaN: not estimable)."""
    counts = np.sum(~np.isnan(values), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(values, axis=0) / counts
        gaps = np.nansum((values - means) ** 2, axis=0)
        errors = np.where(counts > 1, np.sqrt(gaps / (counts - 1) / counts), np.nan).tolist()
    if clusters is not None:
        for k in range(values.shape[1]):
            known = ~np.isnan(values[:, k])
            error = standard_error(values[known, k], clusters[known])
            errors[k] = np.nan if error is None else error
    return counts, means, errors


def _graded_passes(item: PerQuestion) -> dict[str, Floats]:
    """pass^k, G-Pass@k and mG-Pass@k of every question; equal (n, c) are computed once."""
    names = ["pass^{}", *(f"g-pass@{{}}_{threshold:g}" for threshold in _THRESHOLDS), "mg-pass@{}"]
    values = {name: np.full_like(item.passed, np.nan) for name in names}
    right = item.right.astype(np.int64)
    pairs, place = np.unique(np.stack([item.n, right], axis=1), axis=0, return_inverse=True)
    place = place.reshape(-1)
    for at, (n, c) in enumerate(pairs.tolist()):
        rows = np.flatnonzero(place == at)
        curves = [pass_hat_k(n, c), *(g_pass_at_k(n, c, t) for t in _THRESHOLDS), mean_g_pass_at_k(n, c)]
        for name, curve in zip(names, curves, strict=True):
            values[name][rows, : n + 1] = curve
    return values
