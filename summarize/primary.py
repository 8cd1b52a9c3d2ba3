"""The primary metric of a benchmark: one number with its interval, and the same with guessing taken out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ns_eval.catalogue import entries
from ns_eval.catalogue.schema import MetricConfig
from ns_eval.config import BenchmarkConfig
from summarize.questions import Floats, Samples
from summarize.tables import Table

COUNTS = ("score_true_positives", "score_false_positives", "score_false_negatives")
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Value:
    """A metric of one benchmark. `low` and `high` are the ends of its 95 % interval, None where there is none.

    `missing` says why there is no value.
    """

    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str | None = None


def primary(table: Table, benchmark: BenchmarkConfig) -> Value:
    """The primary metric of a benchmark, of its whole table."""
    if not benchmark.metric and not any(column.endswith("_correct") for column in table.rows[-1].cells):
        return Value("", missing="nothing in its results is right or wrong, and its YAML names no `metric`")
    return value_of(table, benchmark, entries.primary_metric(benchmark))


def value_of(table: Table, benchmark: BenchmarkConfig, metric: MetricConfig, k: int = 1) -> Value:
    """A metric of one benchmark: the mean of a column, pass@k of its verdicts, or F1 over counts."""
    if metric.status == "refused" or metric.statistic in ("none", "table"):
        return Value(metric.name, missing=metric.reason or "printed beside the scores")
    if metric.statistic == "micro_f1":
        return _micro_f1(metric.name, table.samples)
    if metric.statistic == "gap":
        return _gap(metric.name, table.samples)
    row = next((row for row in table.rows if row.label == f"pass@{k}"), None) if k > 1 else table.rows[-1]
    if row is None:
        return Value(metric.name, missing=f"needs {k} samples a question, {benchmark.name} has {table.coverage.samples}")
    column = benchmark.likelihood_score if "likelihood_correct" in row.cells else metric.column
    cell = row.cells.get(column) if column else next(iter(row.cells.values()), None)
    if cell is None or cell.value is None:
        return Value(metric.name, missing=metric.reason or f"no column {metric.column} in its results")
    return Value(metric.name, cell.value, cell.low, cell.high)


def corrected(found: Value, metric: MetricConfig, chance: float | None) -> Value:
    """(x - chance)/(max - chance), not clipped: 0 is guessing, 1 the best there is. Where nothing can be guessed, chance is
    the smallest value."""
    low = metric.low if chance is None else chance
    if found.value is None or metric.high is None:
        return found

    def scaled(value: float | None) -> float | None:
        return None if value is None or metric.high is None else (value - low) / (metric.high - low)

    return Value(found.metric, scaled(found.value), scaled(found.low), scaled(found.high))


def macro(values: list[Value]) -> Value:
    """The mean over benchmarks, each counting the same. The interval adds the squared half-widths of theirs, each side by
    itself (Zou and Donner, 2008): three right of three leave room below and none above."""
    known = [item for item in values if item.value is not None]
    if not known:
        return Value("macro mean", missing="no benchmark has a value")
    mean = math.fsum(item.value or 0.0 for item in known) / len(known)
    if any(item.low is None or item.high is None for item in known):
        return Value("macro mean", mean)
    below = math.sqrt(math.fsum(((item.value or 0.0) - (item.low or 0.0)) ** 2 for item in known)) / len(known)
    above = math.sqrt(math.fsum(((item.high or 0.0) - (item.value or 0.0)) ** 2 for item in known)) / len(known)
    return Value("macro mean", mean, mean - below, mean + above)


def _micro_f1(name: str, found: Samples) -> Value:
    if any(column not in found.values for column in COUNTS):
        return Value(name, missing="its judge gave no counts of spans")
    counts = np.stack([_sums(found, column) for column in COUNTS])
    if not counts.any():
        return Value(name, missing="neither a span nor a claim of one")
    draws = _resampled(counts, _f1)
    return Value(name, float(_f1(counts.sum(axis=1))), *draws)


def _gap(name: str, found: Samples) -> Value:
    """Twice the share of biased ones among the answers that name a group, less one."""
    if any(column not in found.values for column in ("score_biased", "score_names_group")):
        return Value(name, missing="its judge did not look for a bias")
    counts = np.stack([_sums(found, "score_biased"), _sums(found, "score_names_group")])
    if not counts[1].any():
        return Value(name, missing="no answer names a group")
    return Value(name, float(_bias(counts.sum(axis=1))), *_resampled(counts, _bias))


def _sums(found: Samples, column: str) -> Floats:
    """Of each question, the sum over its samples."""
    known = np.nan_to_num(found.values[column])
    return np.bincount(found.question, weights=known, minlength=found.count).astype(np.float64)


def _f1(sums: Floats) -> Floats:
    right, spurious, missed = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 2 * right / (2 * right + spurious + missed)
    return found


def _bias(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 2 * sums[0] / sums[1] - 1
    return found


def _resampled(counts: Floats, statistic: Callable[[Floats], Floats]) -> tuple[float | None, float | None]:
    """The 95 % interval over questions drawn again, seeded; none of a single question."""
    size = counts.shape[1]
    if size < 2:
        return None, None
    rng = np.random.default_rng(0)
    weights = rng.multinomial(size, np.full(size, 1 / size), size=_DRAWS)
    values = statistic(counts @ weights.T)
    low, high = np.nanquantile(values, (0.025, 0.975)).tolist()
    # Questions that are all alike say nothing about what others would be like.
    return (low, high) if low < high else (None, None)
