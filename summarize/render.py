"""Tables as text. Percent exists only here; the classic table is source 003's layout byte for byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from summarize.coverage import Coverage
from summarize.questions import FAILURES, HEADLINES, JOINT
from summarize.tables import Cell, Row, Table

_NONE = "n/a"


def score_columns(table: Table, chosen: Sequence[str] = ()) -> list[str]:
    """The scores of a table that get a column: those chosen, else the verdicts and what stands for a judge's ratings, else
    the graded scores."""
    known = list(dict.fromkeys(score for row in table.rows for score in row.cells))
    if chosen:
        return [name for name in chosen if name in known]
    verdicts = [name for name in known if not name.startswith("score_")]
    return [*verdicts, *(name for name in HEADLINES if name in known)] if verdicts else known


def classic(table: Table, chosen: Sequence[str] = ()) -> str:
    """Title centred over the columns, cells left-justified, trailing spaces kept, two blank lines behind.

    A column is as wide as its header or its widest value without the percent sign: so NeMo-Skills printed at commit
    d291474b (nemo-skills.md 4.5), and so source 003 reads.
    """
    scores = score_columns(table, chosen)
    ends = ["no_answer"] if not chosen or "no_answer" in chosen else []
    lines = [["evaluation_mode", "num_entries", *scores, *ends]]
    for row in table.rows:
        values = [shown(table, name, row.cells[name].value if name in row.cells else None) for name in scores]
        lines.append([row.label, entries(row, table.coverage), *values, *([percent(row.no_answer)] if ends else [])])
    return grid(
        table.name, lines, [max(len(cell.removesuffix("%")) for cell in column) for column in zip(*lines, strict=True)]
    )


def detail(table: Table, level: float, chosen: Sequence[str] = ()) -> str:
    """The second table: the same rows with what is known of their error, lengths and coverage."""
    lines = [_detail_header(table, level, chosen)]
    lines += [_detail_line(row, table, score_columns(table, chosen)) for row in table.rows]
    body = grid(f"{table.name}: errors and coverage", lines, [max(map(len, column)) for column in zip(*lines, strict=True)])
    return body.rstrip("\n") + "\n" + "".join(f"{line}\n" for line in notes(table)) + "\n\n"


def _detail_header(table: Table, level: float, chosen: Sequence[str]) -> list[str]:
    names = score_columns(table, chosen)
    columns = [f"{name} {100 * level:g}%" for name in names] + [f"{names[0]} se", "se_rerun"]
    return ["evaluation_mode", *columns, "avg_tokens", "truncated", "coverage"]


def _detail_line(row: Row, table: Table, scores: Sequence[str]) -> list[str]:
    first = row.cells.get(scores[0], Cell(None, 0))
    cut = None if row.truncation is None else row.truncation.share
    return [
        row.label,
        *(between(table, name, row.cells.get(name, Cell(None, 0))) for name in scores),
        shown(table, scores[0], first.error),
        shown(table, scores[0], first.rerun),
        _NONE if row.tokens is None else f"{row.tokens:.0f}",
        percent(cut),
        percent(table.coverage.share) if table.coverage.complete else f"{table.coverage.graded}/{table.coverage.expected}",
    ]


def grid(title: str, lines: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    total = sum(widths) + 3 * (len(widths) - 1)
    body = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([f" {title} ".center(total, "-"), *body]) + "\n\n\n"


def entries(row: Row, covered: Coverage) -> str:
    """The questions behind a row; with an asterisk and (graded/expected samples) where something is missing."""
    short = "" if covered.complete else f"* ({covered.graded}/{covered.expected})"
    upstream = covered.upstream_questions
    part = "" if upstream is None or upstream == covered.questions else f" ({covered.questions} of {upstream})"
    return f"{row.entries}{short}{part}"


def notes(table: Table) -> list[str]:
    """What a reader must know beside the numbers: what is missing, what it could change, what was cut."""
    covered, found = table.coverage, list[str]()
    headline = table.rows[-1]
    score, cell = next(iter(headline.cells.items()))
    if not covered.complete:
        parts = {"failed": covered.errored, "not judged": covered.judge_missing, "not run": covered.not_run}
        missing = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
        found.append(f"* {covered.graded} of {covered.expected} samples are graded: {missing}")
        found += [
            f"  {row.label} {name}: {percent(own.worst)} to {percent(own.best)} over all {covered.questions} questions"
            for row in table.rows
            for name, own in row.cells.items()
            if name not in JOINT and own.worst is not None and own.worst != own.best
        ]
    failed = {name: headline.cells[name].value for name in FAILURES if name in headline.cells}
    if failed:
        shares = (f"{name.removeprefix('score_').replace('_', ' ')} {percent(share)}" for name, share in failed.items())
        found.append(f"of all samples, failed by {', '.join(shares)}")
    cut = headline.truncation
    if cut is not None and cut.share > 0:
        ends = f", between {percent(cut.worst)} and {percent(cut.best)} whatever the truncated ones would have become"
        found.append(
            f"truncated {percent(cut.share)}: {headline.label} {score} is {shown(table, score, cell.value)} as graded, "
            f"{shown(table, score, cut.among_completed)} among completed samples{'' if cut.worst is None else ends}"
        )
    if table.extended is not None:
        again, name = table.extended, table.extended.score
        found.append(
            f"{again.samples} truncated samples were asked again with more tokens: {headline.label} {name} was "
            f"{shown(table, name, again.before)} before, is {shown(table, name, again.after)}"
        )
    if table.mixed:
        named = ", ".join(table.mixed[:3]) + (", …" if len(table.mixed) > 3 else "")
        several = "s" * (len(table.mixed) != 1)
        found.append(f"equal answers with verdicts of both kinds in {len(table.mixed)} question{several} ({named})")
    return found


def percent(value: float | None) -> str:
    return amount(value, rated=False)


def amount(value: float | None, *, rated: bool) -> str:
    """A share as percent, a rating on its own scale as it is."""
    return _NONE if value is None else f"{value:.3f}" if rated else f"{100 * value:.2f}%"


def shown(table: Table, score: str, value: float | None) -> str:
    """A value of one score of the table."""
    return amount(value, rated=score in table.samples.rated)


def between(table: Table, score: str, cell: Cell) -> str:
    if cell.low is None or cell.high is None:
        return _NONE
    return f"{shown(table, score, cell.low)} to {shown(table, score, cell.high)}"


def rows_of(tables: Sequence[Table], chosen: Sequence[str] = ()) -> list[list[str]]:
    """Header and lines of all tables as one: value and interval of each score, then the rest."""
    scores = list(dict.fromkeys(name for table in tables for name in score_columns(table, chosen)))
    columns = [column for name in scores for column in (name, f"{name} interval")]
    lines = [["benchmark", "evaluation_mode", "num_entries", *columns, "no_answer", "avg_tokens", "truncated", "coverage"]]
    for table in tables:
        for row in table.rows:
            cells = {name: row.cells.get(name, Cell(None, 0)) for name in scores}
            values = [
                text for name, cell in cells.items() for text in (shown(table, name, cell.value), between(table, name, cell))
            ]
            rest = _detail_line(row, table, scores)[-3:]
            lines.append([table.name, row.label, entries(row, table.coverage), *values, percent(row.no_answer), *rest])
    return lines


def markdown(tables: Sequence[Table], chosen: Sequence[str] = ()) -> str:
    """One pipe table, columns aligned for reading it as text too."""
    lines = rows_of(tables, chosen)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in (lines[0], rule, *lines[1:])
    )


def latex(tables: Sequence[Table], chosen: Sequence[str] = ()) -> str:
    """A booktabs tabular."""
    lines = [[_escaped(cell) for cell in line] for line in rows_of(tables, chosen)]
    body = [" & ".join(line) + r" \\" for line in lines]
    opening = r"\begin{tabular}{ll" + "r" * (len(lines[0]) - 2) + "}"
    return "\n".join([opening, r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    return "".join(
        f"\\{letter}" if letter in "%_&#$" else r"\textasciicircum{}" if letter == "^" else letter for letter in text
    )


def as_csv(tables: Sequence[Table], chosen: Sequence[str] = ()) -> str:
    """One line a row, fractions, empty where nothing is known."""
    scores = list(dict.fromkeys(name for table in tables for name in score_columns(table, chosen)))
    fields = ("value", "questions", "error", "rerun", "low", "high", "worst", "best")
    named = [f"{name}{'' if item == 'value' else f'_{item}'}" for name in scores for item in fields]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["benchmark", "evaluation_mode", "num_entries", *named, "no_answer", "avg_tokens", "truncated", "graded", "expected"]
    )
    for table in tables:
        for row in table.rows:
            cells = [row.cells.get(name, Cell(None, 0)) for name in scores]
            values = [getattr(cell, item) for cell in cells for item in fields]
            cut = None if row.truncation is None else row.truncation.share
            rest = [row.no_answer, row.tokens, cut, table.coverage.graded, table.coverage.expected]
            writer.writerow([table.name, row.label, row.entries, *values, *rest])
    return text.getvalue()
