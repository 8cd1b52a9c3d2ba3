"""The per-question table -> rows, one evaluation mode each; every number is a Cell with what is known of its error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ns_eval.scores import Meta
from summarize.coverage import Coverage, Extremes, coverage, mean_extremes, pass_extremes, vote_extremes
from summarize.extended import Extended
from summarize.intervals import Interval, interval, standard_error
from summarize.invariants import check
from summarize.jackknife import pass_variances, vote_variances
from summarize.questions import GREEDY, OF_TESTS, Floats, Integers, PerQuestion, Samples, best_curve, reduced


@dataclass(frozen=True, slots=True)
class Cell:
    """One number and its errors, as fractions; None where not known or not defined.

    `error` is the standard error for new questions of this kind, `rerun` that of asking these questions again. `worst` and
    `best` bound it whatever the missing samples are. `questions` stand behind it.
    """

    value: float | None
    questions: int
    error: float | None = None
    rerun: float | None = None
    low: float | None = None
    high: float | None = None
    worst: float | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Truncation:
    """The share of cut samples, and the score among those that were not; bounds if every cut one were wrong, or right; None
    for a graded score."""

    share: float
    among_completed: float | None
    worst: float | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation mode. `kind` is voted, passed or mean; `entries` questions stand behind its first score.

    `no_answer` is the share of questions without any answer among k, for `mean` of samples. `tokens` is a question's mean.
    """

    label: str
    kind: str
    k: int
    entries: int
    cells: Mapping[str, Cell]
    no_answer: float | None
    tokens: float | None
    truncation: Truncation | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One benchmark, or one subset of it. `curves` are the per-question numbers of each score, made of `samples`; `clusters`
    those of the questions, where there are any. `mixed` names questions where a judge contradicts itself on one answer,
    `extended` says what asking truncated samples again has changed.
    """

    name: str
    rows: tuple[Row, ...]
    coverage: Coverage
    samples: Samples
    curves: Mapping[str, PerQuestion]
    clusters: Integers | None = None
    mixed: tuple[str, ...] = ()
    extended: Extended | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What of the numbers can be chosen: which k are printed, and how intervals are made."""

    ks: tuple[int, ...] = ()
    interval: Interval = field(default_factory=Interval)


def tables(name: str, found: Samples, meta: Meta, options: Options) -> list[Table]:
    """The table of a benchmark; of `<name>-all` and each subset, in order of appearance, where there are several.

    Raises:
        DataError: a number that cannot be: see `invariants`.
    """
    subsets = list(dict.fromkeys(subset for subset in found.subsets if subset is not None))
    if len(subsets) < 2:
        return [_table(name, found, coverage(found, meta, whole=True), options)]
    parts = [(subset, found.only(np.array([own == subset for own in found.subsets]))) for subset in subsets]
    return [
        _table(f"{name}-all", found, coverage(found, meta, whole=True), options),
        *(_table(f"{name}-{subset}", part, coverage(part, meta, whole=False), options) for subset, part in parts),
    ]


def part_table(name: str, found: Samples, meta: Meta, options: Options) -> Table:
    """The table of some of a benchmark's questions: `found` holds these only."""
    return _table(name, found, coverage(found, meta, whole=False), options)


def _table(name: str, found: Samples, covered: Coverage, options: Options) -> Table:
    greedy, seeded = found.where(found.seed == GREEDY), found.where(found.seed != GREEDY)
    only_greedy = not len(seeded.question)
    rows: list[Row] = []
    if len(greedy.question):
        # A run that is only greedy has one sample a question, like one of a single seed.
        alone = _Rows(greedy, covered, options, samples=1)
        rows.append(alone.mean("pass@1" if only_greedy else "greedy"))
        if only_greedy:
            return Table(name, tuple(rows), covered, greedy, alone.reduced, alone.clusters)
    drawn = _Rows(seeded, covered, options, samples=covered.samples)
    check(seeded, drawn.reduced)
    for k in drawn.ks():
        rows += [row for row in (drawn.at(k, "voted"), *drawn.best(k), drawn.at(k, "passed")) if row is not None]
    rows.append(drawn.mean("pass@1" if covered.samples == 1 else f"pass@1[{covered.samples}]"))
    conflicts = np.sum([item.mixed for item in drawn.reduced.values()], axis=0)
    mixed = tuple(found.names[at] for at in np.flatnonzero(conflicts))
    return Table(name, tuple(rows), covered, seeded, drawn.reduced, drawn.clusters, mixed)


class _Rows:
    """The rows of one set of samples: seeded or greedy."""

    def __init__(self, found: Samples, covered: Coverage, options: Options, samples: int) -> None:
        self._found, self._covered, self._options, self._samples = found, covered, options, samples
        self.reduced = reduced(found, found.values)
        self._first = next(iter(self.reduced.values()))
        self.clusters = _clusters(found)
        self._tokens = _question_means(found, found.tokens)
        self._variances: dict[tuple[str, str], Floats] = {}

    def ks(self) -> list[int]:
        """Largest first: the k asked for, else all samples; where not all questions have them, what every one has too."""
        counts = np.concatenate([item.n[item.n > 0] for item in self.reduced.values()])
        common = int(counts.min()) if len(counts) else 0
        asked = self._options.ks or (self._samples, common)
        return sorted({k for k in asked if 1 < k <= counts.max(initial=0)}, reverse=True)

    def at(self, k: int, kind: str) -> Row | None:
        """majority@k (None where nothing votes) or pass@k."""
        cells = {}
        for score, item in self.reduced.items():
            values = getattr(item, kind)[:, k] if k < item.passed.shape[1] else np.full(len(item.n), np.nan)
            extremes, rerun = self._extremes(item, k, kind, score), self._rerun(item, k, kind, score)
            cells[score] = self._cell(score, values, extremes, rerun)
        cells = {score: cell for score, cell in cells.items() if cell.value is not None}
        if not cells:
            return None
        label = f"{'majority' if kind == 'voted' else 'pass'}@{k}"
        return self._row((label, kind, k), cells, int(np.sum(self._first.n >= k)), _mean(self._first.silent[:, k]))

    def best(self, k: int) -> list[Row]:
        """Best-of-k by each graded score, where there are verdicts too; `rm_best@k` is NeMo-Skills' name of the first."""
        rows = []
        for by in sorted(self._found.graded.difference(OF_TESTS)):
            curves = {score: best_curve(self._found, score, by) for score in self.reduced if score not in self._found.graded}
            cells = {
                score: self._cell(score, curve[:, k]) for score, curve in curves.items() if not np.isnan(curve[:, k]).all()
            }
            if cells:
                label = f"rm_best@{k}" if by == "score_reward_model_score" else f"best@{k}[{by.removeprefix('score_')}]"
                entries = max(cell.questions for cell in cells.values())
                rows.append(self._row((label, "best", k), cells, entries, _mean(self._first.silent[:, k])))
        return rows

    def mean(self, label: str) -> Row:
        cells = {}
        for score, item in self.reduced.items():
            bounds = None if score in self._found.graded else mean_extremes(item.n, item.right, self._samples)
            cells[score] = self._cell(score, item.mean, bounds, rerun_error(item))
        with np.errstate(invalid="ignore"):
            share = self._first.unanswered / self._first.n
        return self._row((label, "mean", 1), cells, int(np.sum(self._first.n > 0)), _mean(share))

    def _row(self, mode: tuple[str, str, int], cells: Mapping[str, Cell], entries: int, silent: float | None) -> Row:
        return Row(*mode, entries, cells, silent, _mean(self._tokens), self._truncation())

    def _rerun(self, item: PerQuestion, k: int, kind: str, score: str) -> float | None:
        """The error of asking the same questions again; None at k = n, and where a question has no more than k samples."""
        asked = item.n > 0
        if score in self._found.graded or not asked.any() or k >= item.n[asked].min():
            return None
        if kind == "voted" and not item.tables:
            return None
        if (score, kind) not in self._variances:
            width = item.passed.shape[1]
            self._variances[score, kind] = (
                vote_variances(item.tables, width)
                if kind == "voted"
                else pass_variances(item.n, item.right.astype(np.int64), width)
            )
        return math.sqrt(float(self._variances[score, kind][asked, k].sum())) / int(asked.sum())

    def _cell(self, score: str, values: Floats, bounds: Extremes | None = None, rerun: float | None = None) -> Cell:
        known = ~np.isnan(values)
        value = _mean(values)
        if value is None:
            return Cell(None, 0)
        groups = None if self.clusters is None else self.clusters[known]
        ends = interval(values[known], self._options.interval, groups, self._found.rated.get(score)) or (None, None)
        worst, best = self._whole(bounds) if bounds is not None else (None, None)
        error = standard_error(values[known], groups)
        return Cell(value, int(known.sum()), error, rerun, ends[0], ends[1], worst, best)

    def _whole(self, bounds: Extremes) -> tuple[float, float]:
        """Over all questions that were expected: those never seen are wrong, or right."""
        unseen = max(0, self._covered.questions - len(bounds.worst))
        total = len(bounds.worst) + unseen
        return float(bounds.worst.sum() / total), float((bounds.best.sum() + unseen) / total)

    def _extremes(self, item: PerQuestion, k: int, kind: str, score: str) -> Extremes | None:
        if score in self._found.graded or (kind == "voted" and not item.tables):
            return None
        if kind == "voted":
            return vote_extremes(item.voted[:, k], item.tables, self._samples, k)
        return pass_extremes(item.n, item.right.astype(np.int64), self._samples, k)

    def _truncation(self) -> Truncation | None:
        """Of the first score."""
        name = next(iter(self.reduced))
        cut = self._found.status == "truncated"
        value = self._found.values[name]
        completed = _mean(_question_means(self._found, np.where(cut, np.nan, value)))
        share = _mean(_question_means(self._found, np.where(np.isnan(value) & ~cut, np.nan, cut.astype(np.float64)))) or 0.0
        if name in self._found.graded:
            return Truncation(share, completed)
        wrong, right = (_mean(_question_means(self._found, np.where(cut, end, value))) or 0.0 for end in (0.0, 1.0))
        return Truncation(share, completed, wrong, right)


def rerun_error(item: PerQuestion) -> float | None:
    """sqrt(sum of w_i/K_i)/Q: the noise of asking the same questions again; None where a question has one sample."""
    asked = item.n > 0
    if not asked.any() or (item.n[asked] < 2).any():
        return None
    return math.sqrt(float(np.sum(item.variance[asked] / item.n[asked]))) / int(asked.sum())


def _question_means(found: Samples, values: Floats) -> Floats:
    known = ~np.isnan(values)
    owner: Integers = found.question[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.bincount(owner, weights=values[known], minlength=found.count)
        means: Floats = sums / np.bincount(owner, minlength=found.count)
    return means


def _mean(values: Floats) -> float | None:
    """The mean over the questions that have a value: never the pooled mean of samples."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _clusters(found: Samples) -> Integers | None:
    """The cluster of each question; None where each is its own."""
    names, place = np.unique(found.clusters, return_inverse=True)
    return None if len(names) == found.count else place
