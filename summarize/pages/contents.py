"""What a report says, as plain data: headings, tables, charts, sentences, samples. html.py and markdown.py only word it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ns_eval.errors import NsError
from ns_eval.records import Json
from summarize.judged import read_judged
from summarize.pages.insights import Finding, insights
from summarize.pages.runs import Book, Part, Run
from summarize.pages.standings import (
    Standing,
    by_facet,
    comparison,
    distribution,
    facets,
    headline,
    named,
    score_of,
    scores_of,
    shares_scores,
    standings,
)
from summarize.reliability import reliability
from summarize.reliability_text import describe
from summarize.render import amount, notes, rows_of, shown
from summarize.tables import Cell, Table

Grid: TypeAlias = list[list[str]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One value of one run on a chart; ends are None where not estimable."""

    run: str
    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars (one a run) or dots (several runs on each line), all between `least` and `most`; `ends` words these two."""

    title: str
    bars: tuple[Bar, ...]
    least: float
    most: float
    ends: tuple[str, str]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark: who stands where, the charts, the tables of the terminal with their notes."""

    benchmark: str
    standings: Grid
    why_no_ranks: str
    charts: tuple[Chart, ...]
    tables: Grid
    notes: tuple[str, ...]
    ratings: Grid
    reliability: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says beside its samples."""

    title: str
    overview: Grid
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    settings: Grid
    commands: tuple[tuple[str, str], ...]


def report(book: Book) -> Report:
    """The contents of a report on these runs."""
    names = [run.name for run in book.runs]
    title = names[0] if len(names) == 1 else f"{len(names)} runs"
    return Report(
        title=f"{title}: {', '.join(book.benchmarks) or 'no results yet'}",
        overview=overview(book),
        findings=tuple(insights(book)),
        sections=tuple(section(book, benchmark) for benchmark in book.benchmarks),
        settings=settings(book),
        commands=tuple((run.name, str(run.entry.get("command") or "")) for run in book.runs),
    )


def overview(book: Book) -> Grid:
    """One line a run: its state, what it holds, what is missing."""
    lines = [["run", "state", "model", "benchmarks", "graded", "note"]]
    for run in book.runs:
        graded = sum(part.whole.coverage.graded for part in run.parts)
        expected = sum(part.whole.coverage.expected for part in run.parts)
        names = ", ".join(part.name for part in run.parts)
        lines.append([run.name, run.state, run.model, names, f"{graded}/{expected}" if run.parts else "", run.note])
    return lines


def section(book: Book, benchmark: str) -> Section:
    """What is said of one benchmark."""
    ranked = shares_scores(book, benchmark)
    compared = comparison(book, benchmark)
    order = standings(book, benchmark, compared) if ranked else []
    tables = [(run, table) for run, part in book.of(benchmark) for table in part.loaded.tables]
    header, *_ = rows_of([table for _, table in tables])
    lines = [[run.name, *line] for run, table in tables for line in _rows_like(header, table)]
    return Section(
        benchmark=benchmark,
        standings=standing_rows(order),
        why_no_ranks="" if ranked else "the runs have different scores, so there are no ranks",
        charts=tuple(charts(book, benchmark, order)),
        tables=[["run", *header], *lines],
        notes=tuple(f"{run.name}: {note.strip()}" for run, part in book.of(benchmark) for note in notes(part.whole)),
        ratings=rating_rows(book, benchmark),
        reliability=tuple(
            (run.name, tuple(told)) for run, part in book.of(benchmark) if (told := reliability_lines(run, part))
        ),
    )


def standing_rows(order: Sequence[Standing]) -> Grid:
    """Rank, value, interval, share of the best, gap, truncation: one line a run."""
    if not order:
        return []
    rated = any(item.rated for item in order)
    head = ["rank", "run", named(order[0].score), "interval", "of best", "gap", "group", "truncated", "completed only"]
    lines = [head + (["at the top"] if rated else [])]
    for item in order:
        cell, table = item.cell, item.table
        low, high = shown(table, item.score, cell.low), shown(table, item.score, cell.high)
        line = [
            item.rank,
            item.run.name,
            shown(table, item.score, cell.value) + ("" if table.coverage.complete else " *"),
            "n/a" if cell.low is None else f"{low} to {high}",
            "n/a" if item.of_best is None else f"{100 * item.of_best:.1f}%",
            shown(table, item.score, item.gap),
            item.letter,
            f"{100 * item.truncated:.1f}%",
            shown(table, item.score, item.completed),
        ]
        lines.append(line + ([f"{100 * item.ceiling:.1f}%" if item.ceiling is not None else "n/a"] if rated else []))
    return lines


def charts(book: Book, benchmark: str, order: Sequence[Standing]) -> Iterator[Chart]:
    """The headline of every run; then its other scores, and each way in which the questions split."""
    rows = book.of(benchmark)
    if order:
        table, score = order[0].table, order[0].score
        scale = _scale(rows, score)
        bars = [
            _bar(item.run, item.run.name, table, item.score, item.cell, "✂" if item.truncated > 0 else "") for item in order
        ]
        yield Chart(f"{named(score)} with {100 * book.level:g}% intervals", _known(bars), *scale)
    others = scores_of(book, benchmark)[1:]
    if others and order:
        dots = [
            _bar(run, named(name), part.whole, name, headline(part.whole).cells[name])
            for name in others
            if (name in order[0].table.samples.rated) == order[0].rated
            for run, part in rows
            if name in headline(part.whole).cells
        ]
        if _known(dots):
            yield _dotted("by score", dots, _scale(rows, order[0].score))
    for facet in facets(book, benchmark) if order else []:
        dots = [
            _bar(run, value, table, score_of(table), headline(table).cells[score_of(table)])
            for run, value, table in sorted(by_facet(book, benchmark, facet), key=lambda item: item[1])
        ]
        yield _dotted(f"by {facet.replace('_', ' ')}", dots, _scale(rows, order[0].score))


def rating_rows(book: Book, benchmark: str) -> Grid:
    """How often each rating was given, by run and criterion."""
    lines: Grid = []
    for run, part in book.of(benchmark):
        for score in headline(part.whole).cells:
            counts = distribution(part, score)
            if counts and score != "score_overall_score":
                if not lines:
                    lines.append(["run", "criterion", *(str(level) for level in counts), "at the top"])
                total = sum(counts.values())
                top = f"{100 * list(counts.values())[-1] / total:.1f}%" if total else "n/a"
                lines.append([run.name, named(score), *(str(count) for count in counts.values()), top])
    return lines


def reliability_lines(run: Run, part: Part) -> list[str]:
    """What is known of the judges of a part; nothing where no model judged."""
    judges = list(part.lines.rubrics) or (["judge"] if "judge_correct" in part.loaded.samples.values else [])
    lines = []
    for judge in judges:
        with contextlib.suppress(NsError):
            found = reliability(read_judged(part.loaded.found.folder, judge), model=run.model)
            who = f" ({', '.join(sorted(part.lines.judges))})" if part.lines.judges else ""
            lines += [f"{judge}{who}: {line.strip()}" for line in describe(found)]
    return lines


def settings(book: Book) -> Grid:
    """The settings of each run's last command; where there are several runs those first in which they differ."""
    flat = {run.name: dict(_flat("", run.entry.get("config") or {})) for run in book.runs}
    flat = {
        name: values | {f"versions.{key}": str(value) for key, value in (run.entry.get("versions") or {}).items()}
        for (name, values), run in zip(flat.items(), book.runs, strict=True)
    }
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    kept = [
        key
        for key in keys
        if any(values.get(key) not in (None, "None", "", "False", "{}", "[]") for values in flat.values())
    ]
    kept.sort(key=lambda key: (len({values.get(key) for values in flat.values()}) == 1, key))
    return [["setting", *flat], *([key, *(values.get(key, "") for values in flat.values())] for key in kept)] if kept else []


def _flat(before: str, values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{before}{key}.", value)
        else:
            yield f"{before}{key}", str(value)


def _rows_like(header: Sequence[str], table: Table) -> Grid:
    """The table's rows under the columns of all tables of its benchmark."""
    own, *lines = rows_of([table])
    return [[dict(zip(own, line, strict=True)).get(name, "") for name in header] for line in lines]


def _scale(rows: Sequence[tuple[Run, Part]], score: str) -> tuple[float, float, tuple[str, str]]:
    if score not in rows[0][1].loaded.samples.rated:
        return 0.0, 1.0, ("0%", "100%")
    scale = next((part.lines.scale for _, part in rows if part.lines.scale), None)
    if scale is None:
        every = [cell.value or 0.0 for _, part in rows for cell in headline(part.whole).cells.values()]
        scale = (min(0.0, *every), max(1.0, *every))
    return scale[0], scale[1], (f"{scale[0]:g}", f"{scale[1]:g}")


def _dotted(title: str, dots: Sequence[Bar | None], whole: tuple[float, float, tuple[str, str]]) -> Chart:
    """Dots need no common zero: the axis starts where the lowest interval does, at a round value."""
    least, most, ends = whole
    known = _known(dots)
    lowest = min((bar.value if bar.low is None else bar.low for bar in known), default=least)
    step = (most - least) / 10
    start = least + math.floor((lowest - least) / step + 1e-9) * step
    shown = f"{100 * start:.0f}%" if ends[0].endswith("%") else f"{start:.1f}"
    return Chart(title, known, max(least, start), most, (shown, ends[1]), dots=True)


def _bar(run: Run, label: str, table: Table, score: str, cell: Cell, mark: str = "") -> Bar | None:
    if cell.value is None:
        return None
    text = amount(cell.value, rated=score in table.samples.rated)
    return Bar(run.name, label, cell.value, cell.low, cell.high, text, mark)


def _known(bars: Sequence[Bar | None]) -> tuple[Bar, ...]:
    return tuple(bar for bar in bars if bar is not None)
