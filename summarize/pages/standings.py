"""The numbers of a page: who stands where, by which score, in which part, and which differences are more than noise."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ns_eval.errors import NsError
from summarize.comparing import CompareConfig, Values, aligned, compared
from summarize.intervals import Interval
from summarize.pages.runs import Book, Part, Run
from summarize.paired import Pair, letters
from summarize.tables import Cell, Options, Row, Table, part_table


@dataclass(frozen=True, slots=True)
class Standing:
    """One run on one benchmark, best first. `of_best` and `gap` are of unrounded values.

    `first` to `last` are the ranks it may have: those above differ from it beyond noise (paired by question, Holm).
    `ceiling` is the share of ratings at the top of the scale; None where nothing is rated.
    """

    run: Run
    table: Table
    score: str
    cell: Cell
    of_best: float | None
    gap: float | None
    first: int
    last: int
    letter: str
    truncated: float
    completed: float | None
    ceiling: float | None

    @property
    def rank(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"

    @property
    def rated(self) -> bool:
        return self.score in self.table.samples.rated


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs of runs on one benchmark and score; `why` says why there is none."""

    runs: tuple[Run, ...]
    pairs: tuple[Pair, ...]
    left_out: int = 0
    why: str = ""


def headline(table: Table) -> Row:
    """The row that a page shows of a table: the mean over all samples."""
    return table.rows[-1]


def score_of(table: Table) -> str:
    return next(iter(headline(table).cells))


def scores_of(book: Book, benchmark: str) -> list[str]:
    """Every score that some run has of a benchmark, the headline first."""
    return list(dict.fromkeys(name for _, part in book.of(benchmark) for name in headline(part.whole).cells))


@functools.lru_cache(maxsize=64)
def comparison(book: Book, benchmark: str, score: str | None = None) -> Comparison:
    """The paired differences of one score, on the questions that all runs have a value for."""
    rows = [(run, part) for run, part in book.of(benchmark) if _value(part, score) is not None]
    runs = tuple(run for run, _ in rows)
    if len(rows) < 2:
        return Comparison(runs, (), why="one run alone has nothing to be compared with")
    config = CompareConfig(runs=[run.name for run in runs], score=score, common=True, level=book.level)
    try:
        values: Values = aligned(benchmark, [part.loaded.samples for _, part in rows], config.runs, config)
    except NsError as error:
        return Comparison(runs, (), why=error.message)
    return Comparison(runs, tuple(compared([values], book.level)), values.left_out)


def standings(book: Book, benchmark: str, found: Comparison, score: str | None = None) -> list[Standing]:
    """The runs on one benchmark by a score (by default the headline), best first."""
    rows = [(run, part.whole, score or score_of(part.whole), part) for run, part in book.of(benchmark)]
    rows = [row for row in rows if row[2] in headline(row[1]).cells]
    rows.sort(key=lambda row: -_number(headline(row[1]).cells[row[2]].value))
    best = _number(headline(rows[0][1]).cells[rows[0][2]].value) if rows else 0.0
    beyond = [(pair.first, pair.second, pair.found.value) for pair in found.pairs if pair.adjusted < 1 - book.level]
    place = {run.path: at for at, run in enumerate(found.runs)}
    order = [place[row[0].path] for row in rows if row[0].path in place]
    where = {own: at for at, own in enumerate(order)}
    signs = letters(len(order), [(where[first], where[second]) for first, second, _ in beyond]) if found.pairs else []
    made = []
    for run, table, name, part in rows:
        cell = headline(table).cells[name]
        own = place.get(run.path)
        above = sum((second == own and gap > 0) or (first == own and gap < 0) for first, second, gap in beyond)
        below = sum((first == own and gap > 0) or (second == own and gap < 0) for first, second, gap in beyond)
        cut = headline(table).truncation
        made.append(
            Standing(
                run=run,
                table=table,
                score=name,
                cell=cell,
                of_best=None if cell.value is None or best <= 0 else cell.value / best,
                gap=None if cell.value is None else best - cell.value,
                first=1 + above,
                last=len(rows) - below,
                letter=signs[where[own]] if own is not None and signs else "",
                truncated=0.0 if cut is None else cut.share,
                completed=None if cut is None or score not in (None, score_of(table)) else cut.among_completed,
                ceiling=ceiling(part, name),
            )
        )
    return made


def ceiling(part: Part, score: str) -> float | None:
    """The share of ratings at the top of the scale: of one criterion, or of all for an overall score."""
    samples, scale = part.loaded.samples, part.lines.scale
    if score not in samples.rated or scale is None:
        return None
    criteria = (
        [name for name in samples.rated if name != "score_overall_score"] if score == "score_overall_score" else [score]
    )
    ratings = np.concatenate([samples.values[name] for name in criteria] or [samples.values[score]])
    known = ratings[~np.isnan(ratings)]
    return float(np.mean(known >= scale[1])) if len(known) else None


def distribution(part: Part, score: str) -> dict[int, int]:
    """How many samples got each rating of the scale; empty where nothing is rated."""
    scale = part.lines.scale
    if scale is None or score not in part.loaded.samples.rated:
        return {}
    known = part.loaded.samples.values[score]
    return {level: int(np.sum(known == level)) for level in range(int(scale[0]), int(scale[1]) + 1)}


def facets(book: Book, benchmark: str) -> list[str]:
    """The ways in which all runs split the questions of a benchmark."""
    every = [list(part.lines.parts()) for _, part in book.of(benchmark)]
    return [name for name in every[0] if all(name in own for own in every)] if every else []


def by_facet(book: Book, benchmark: str, facet: str) -> list[tuple[Run, str, Table]]:
    """(run, value, table of those questions), values in order of appearance."""
    options = Options(interval=Interval(level=book.level))
    made = []
    for run, part in book.of(benchmark):
        values = part.lines.parts()[facet]
        samples = part.loaded.samples
        for value in sorted(set(values.values())):
            chosen = np.array([values.get(name) == value for name in samples.names])
            if chosen.any():
                made.append((run, value, part_table(value, samples.only(chosen), part.loaded.scores.meta, options)))
    return made


def _value(part: Part, score: str | None) -> float | None:
    cell = headline(part.whole).cells.get(score or score_of(part.whole))
    return None if cell is None else cell.value


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


def shares_scores(book: Book, benchmark: str) -> bool:
    """Whether all runs have the same headline score: others cannot stand in one table of ranks."""
    return len({score_of(part.whole) for _, part in book.of(benchmark)}) == 1


def named(score: str) -> str:
    """A column's name for people: score_hallucination_safety -> hallucination safety."""
    return score.removeprefix("score_").replace("_", " ")
