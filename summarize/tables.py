"""The per-question table -> rows of a table: one evaluation mode each, every number a Cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ns_eval.scores import Meta
from summarize.questions import GREEDY, Floats, PerQuestion, Samples, per_question


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with what is known of its error, as fractions. None: not known, or not defined."""

    value: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation mode. `entries` questions stand behind it; `no_answer` is a share of them, or of their samples."""

    label: str
    entries: int
    cells: Mapping[str, Cell]
    no_answer: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """One benchmark, or one subset of it."""

    name: str
    rows: tuple[Row, ...]


def tables(name: str, found: Samples, meta: Meta, ks: Sequence[int] = ()) -> list[Table]:
    """The table of a benchmark; of `<name>-all` and each subset, in order of appearance, where there are several."""
    whole = found
    subsets = list(dict.fromkeys(subset for subset in found.subsets if subset is not None))
    if len(subsets) < 2:
        return [_table(name, whole, ks)]
    parts = [
        _table(f"{name}-{subset}", found.only(np.array([own == subset for own in found.subsets])), ks) for subset in subsets
    ]
    return [_table(f"{name}-all", whole, ks), *parts]


def _table(name: str, found: Samples, ks: Sequence[int]) -> Table:
    greedy = found.where(found.seed == GREEDY)
    seeded = found.where(found.seed != GREEDY)
    rows: list[Row] = []
    scores = list(found.values)
    if len(greedy.question):
        # A run that is only greedy has one sample a question, like one of a single seed.
        label = "greedy" if len(seeded.question) else "pass@1"
        rows.append(_mean_row(label, {score: per_question(greedy, score) for score in scores}))
    if len(seeded.question):
        reduced = {score: per_question(seeded, score) for score in scores}
        most = max(item.passed.shape[1] - 1 for item in reduced.values())
        for k in sorted(set(ks or [most]), reverse=True):
            if 1 < k <= most:
                rows += [_row(f"majority@{k}", k, reduced, "voted"), _row(f"pass@{k}", k, reduced, "passed")]
        rows.append(_mean_row("pass@1" if most == 1 else f"pass@1[{most}]", reduced))
    return Table(name, tuple(rows))


def _row(label: str, k: int, reduced: Mapping[str, PerQuestion], kind: str) -> Row:
    columns: dict[str, Floats] = {score: getattr(item, kind)[:, k] for score, item in reduced.items()}
    first = next(iter(reduced.values()))
    return Row(
        label=label,
        entries=int(np.sum(first.n >= k)),
        cells={score: Cell(_mean(column)) for score, column in columns.items()},
        no_answer=_mean(first.silent[:, k]),
    )


def _mean_row(label: str, reduced: Mapping[str, PerQuestion]) -> Row:
    first = next(iter(reduced.values()))
    with np.errstate(invalid="ignore"):
        share = first.unanswered / first.n
    return Row(
        label=label,
        entries=int(np.sum(first.n > 0)),
        cells={score: Cell(_mean(item.mean)) for score, item in reduced.items()},
        no_answer=_mean(share),
    )


def _mean(values: Floats) -> float | None:
    """The mean over the questions that have a value."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
