"""Findings as data, with a sentence for each. No finding without its numbers, each says whether it is more than noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from summarize.distributions import normal_quantile, normal_tail
from summarize.pages.runs import Book, Part, Run
from summarize.pages.standings import (
    Standing,
    by_facet,
    ceiling,
    comparison,
    facets,
    headline,
    named,
    score_of,
    scores_of,
    shares_scores,
    standings,
)
from summarize.paired import holm
from summarize.render import amount
from summarize.tables import Cell

# From this share of ratings at the top of the scale on, better answers hardly show any more.
_CEILING = 0.5
_MOST_PARTS = 6
# The kinds that a page shows before the others.
_FIRST = ("best", "tie", "top", "part", "missing", "disagreement")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `kind` is best, gap, tie, top, profile, part, truncation, ceiling, disagreement or missing.

    `value` is a score, a difference or a share, by kind; `interval` is None where it cannot be estimated. `holds`: it
    survives its test, adjusted for all that were made together, at `level`; None where there is nothing to test.
    """

    kind: str
    benchmark: str
    models: tuple[str, ...]
    metric: str
    value: float
    interval: tuple[float, float] | None
    p: float | None
    holds: bool | None
    sentence: str


def insights(book: Book) -> list[Finding]:
    """All findings, benchmark by benchmark."""
    found: list[Finding] = []
    for benchmark in book.benchmarks:
        if shares_scores(book, benchmark):
            found += _ranks(book, benchmark)
            found += _tops(book, benchmark)
        found += _parts(book, benchmark)
        for run, part in book.of(benchmark):
            found += [*_profile(book, benchmark, run, part), *_truncation(benchmark, run, part)]
            found += [*_ceiling(book, benchmark, run, part), *_judges(benchmark, run, part)]
    return found


def parted(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Those to show first, and the rest: gaps, profiles, truncation, ceilings."""
    first = [item for item in findings if item.kind in _FIRST]
    return first, [item for item in findings if item.kind not in _FIRST]


def _ranks(book: Book, benchmark: str) -> Iterator[Finding]:
    compared = comparison(book, benchmark)
    order = standings(book, benchmark, compared)
    if not order or order[0].cell.value is None:
        return
    score, rated = order[0].score, order[0].rated
    alpha = 1 - book.level
    first = order[0]
    place = {run.path: at for at, run in enumerate(compared.runs)}
    pairs = {(pair.first, pair.second): pair for pair in compared.pairs}

    def between(one: Standing, other: Standing) -> tuple[float, tuple[float, float] | None, float] | None:
        a, b = place.get(one.run.path), place.get(other.run.path)
        pair = None if a is None or b is None else pairs.get((min(a, b), max(a, b)))
        if pair is None or a is None or b is None:
            return None
        sign = 1 if a < b else -1
        low, high = pair.found.low, pair.found.high
        ends = None if low is None or high is None else (low, high) if sign > 0 else (-high, -low)
        return sign * pair.found.value, ends, pair.adjusted

    yield _best(book, benchmark, order, between(first, order[1]) if len(order) > 1 else None)
    for item in order[1:]:
        told = between(first, item)
        if told is None:
            continue
        gap, ends, p = told
        gap = gap if compared.left_out or item.gap is None else item.gap
        beyond = "beyond noise" if p < alpha else "within noise"
        share = f", {100 * item.of_best:.1f}% of it" if item.of_best is not None and rated else ""
        text = f"{item.run.name} is {_points(gap, rated)} below {first.run.name}{share}: {beyond} (p = {p:.4f}, adjusted)."
        yield Finding("gap", benchmark, (item.run.name, first.run.name), score, gap, ends, p, p < alpha, text)
    for one, other in itertools.pairwise(order):
        told = between(one, other)
        if told is not None and told[2] >= alpha:
            gap, ends, p = told
            text = (
                f"{one.run.name} and {other.run.name} cannot be told apart: {_points(gap, rated)} between them, p = {p:.4f}."
            )
            yield Finding("tie", benchmark, (one.run.name, other.run.name), score, gap, ends, p, False, text)


def _best(
    book: Book, benchmark: str, order: Sequence[Standing], told: tuple[float, tuple[float, float] | None, float] | None
) -> Finding:
    first = order[0]
    value = first.cell.value or 0.0
    text = f"{first.run.name} has the highest {named(first.score)} on {benchmark}: {amount(value, rated=first.rated)}"
    holds = None if told is None else told[2] < 1 - book.level
    if told is not None:
        text += ", ahead of the next beyond noise" if holds else f", but not beyond noise ahead of {order[1].run.name}"
    return Finding(
        "best",
        benchmark,
        (first.run.name,),
        first.score,
        value,
        _ends(first.cell),
        told[2] if told else None,
        holds,
        text + ".",
    )


def _tops(book: Book, benchmark: str) -> Iterator[Finding]:
    """Which run leads each criterion, where there are several and several runs."""
    others = [name for name in scores_of(book, benchmark) if name.startswith("score_")][1:]
    if len(book.of(benchmark)) < 2:
        return
    for score in others:
        compared = comparison(book, benchmark, score)
        order = standings(book, benchmark, compared, score)
        if len(order) < 2 or order[0].cell.value is None:
            continue
        first = order[0]
        alone = first.last == 1
        tied = [item.run.name for item in order[1:] if item.first == 1]
        text = f"{first.run.name} leads in {named(score)}: {amount(first.cell.value, rated=first.rated)}"
        text += "." if alone else f", not beyond noise ahead of {_listed(tied)}."
        yield Finding(
            "top", benchmark, (first.run.name,), score, first.cell.value or 0.0, _ends(first.cell), None, alone, text
        )


def _profile(book: Book, benchmark: str, run: Run, part: Part) -> Iterator[Finding]:
    """The strongest and the weakest criterion of a run against the best of each."""
    cells = headline(part.whole).cells
    criteria = [name for name in cells if name in part.loaded.samples.rated and name != score_of(part.whole)]
    if len(criteria) < 2 or len(book.of(benchmark)) < 2:
        return
    shares = {}
    for name in criteria:
        rivals = [headline(own.whole).cells.get(name) for _, own in book.of(benchmark)]
        best = max((cell.value for cell in rivals if cell is not None and cell.value is not None), default=0.0)
        value = cells[name].value
        if value is not None and best > 0:
            shares[name] = value / best
    if len(shares) < 2 or max(shares.values()) == min(shares.values()):
        return
    for word, name in (
        ("strongest", max(shares, key=lambda own: shares[own])),
        ("weakest", min(shares, key=lambda own: shares[own])),
    ):
        cell = cells[name]
        text = (
            f"{named(name)} is {run.name}'s {word} criterion: {amount(cell.value, rated=True)}, "
            f"{100 * shares[name]:.1f}% of the best."
        )
        yield Finding("profile", benchmark, (run.name,), name, cell.value or 0.0, _ends(cell), None, None, text)


def _parts(book: Book, benchmark: str) -> Iterator[Finding]:
    """Parts (domains, task types) in which a run is better or worse than in the rest, beyond noise."""
    tested = []
    for facet in facets(book, benchmark):
        rows = by_facet(book, benchmark, facet)
        for run, _ in book.of(benchmark):
            own = [(value, headline(table).cells[score_of(table)]) for other, value, table in rows if other is run]
            for value, cell in own:
                rest = [(item.value, item.error, item.questions) for name, item in own if name != value]
                told = _against(cell, rest)
                if told is not None:
                    tested.append((facet, run, value, cell, *told))
    adjusted = holm([item[-1] for item in tested]) if tested else []
    kept = [(item, p) for item, p in zip(tested, adjusted, strict=True) if p < 1 - book.level]
    for (facet, run, value, cell, gap, error, _), p in sorted(kept, key=lambda item: item[1])[:_MOST_PARTS]:
        half = normal_quantile((1 + book.level) / 2) * error
        rated = score_of(book.of(benchmark)[0][1].whole).startswith("score_") and cell.value is not None and cell.value > 1
        text = (
            f"{run.name} is {'better' if gap > 0 else 'worse'} in {facet.replace('_', ' ')} {value} than in the rest: "
            f"{amount(cell.value, rated=rated)}, {_points(abs(gap), rated)} {'more' if gap > 0 else 'less'} "
            f"(p = {p:.4f}, adjusted)."
        )
        yield Finding("part", benchmark, (run.name,), f"{facet}={value}", gap, (gap - half, gap + half), p, True, text)


def _against(cell: Cell, rest: Sequence[tuple[float | None, float | None, int]]) -> tuple[float, float, float] | None:
    """Difference of one part from the pooled rest, its error, two-sided p; None where it cannot be estimated."""
    known = [(value, error, count) for value, error, count in rest if value is not None and error is not None]
    total = sum(count for *_, count in known)
    if cell.value is None or cell.error is None or len(known) != len(rest) or not total:
        return None
    mean = sum(value * count for value, _, count in known) / total
    spread = sum((error * count) ** 2 for _, error, count in known) / total**2
    error = math.sqrt(cell.error**2 + spread)
    if error == 0:
        return None
    gap = cell.value - mean
    return gap, error, 2 * normal_tail(abs(gap) / error)


def _truncation(benchmark: str, run: Run, part: Part) -> Iterator[Finding]:
    row = headline(part.whole)
    cut, score = row.truncation, score_of(part.whole)
    if cut is None or not cut.share:
        return
    rated = score in part.loaded.samples.rated
    text = f"{100 * cut.share:.1f}% of {run.name}'s answers were cut at the token limit"
    if cut.among_completed is not None:
        before, after = amount(row.cells[score].value, rated=rated), amount(cut.among_completed, rated=rated)
        text += f"; {named(score)} is {before} with them and {after} among the others"
    yield Finding("truncation", benchmark, (run.name,), score, cut.share, None, None, None, text + ".")


def _ceiling(book: Book, benchmark: str, run: Run, part: Part) -> Iterator[Finding]:
    score = score_of(part.whole)
    share = ceiling(part, score)
    if share is not None and share >= _CEILING:
        text = (
            f"{100 * share:.1f}% of {run.name}'s ratings are at the top of the scale: better answers hardly show any more."
        )
        yield Finding("ceiling", benchmark, (run.name,), score, share, None, None, None, text)


def _judges(benchmark: str, run: Run, part: Part) -> Iterator[Finding]:
    cells = headline(part.whole).cells
    covered = part.whole.coverage
    if "both_correct" in cells and cells["any_correct"].value is not None and cells["both_correct"].value is not None:
        share = cells["any_correct"].value - cells["both_correct"].value
        text = f"The judges of {run.name} disagree on {100 * share:.1f}% of its samples on {benchmark}."
        yield Finding("disagreement", benchmark, (run.name,), "any_correct - both_correct", share, None, None, None, text)
    if not covered.complete:
        share = 1 - covered.share
        text = (
            f"{covered.graded} of {covered.expected} samples of {run.name} are graded: {covered.errored} failed, "
            f"{covered.judge_missing} not judged, {covered.not_run} not run."
        )
        yield Finding("missing", benchmark, (run.name,), "coverage", share, None, None, None, text)


def _ends(cell: Cell) -> tuple[float, float] | None:
    return None if cell.low is None or cell.high is None else (cell.low, cell.high)


def _points(value: float, rated: bool) -> str:
    return f"{value:.3f}" if rated else f"{100 * value:.2f} points"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "the others"
