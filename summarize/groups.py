"""One table for several benchmarks that belong together: `ruler.4k` and `ruler.8k`, or a folder of benchmarks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from summarize.coverage import Coverage
from summarize.distributions import normal_quantile
from summarize.tables import Cell, Row, Table


def group_of(name: str) -> str | None:
    """What stands before the last dot or slash of a benchmark's name."""
    cut = max(name.rfind("."), name.rfind("/"))
    return name[:cut] if cut > 0 else None


def grouped(tables: Sequence[tuple[str, Table]], level: float) -> list[Table]:
    """The mean over the benchmarks of each group of two or more; `tables` are (benchmark, its whole table).

    A row is there where every benchmark of the group has it; each benchmark counts the same, however many questions it has.
    """
    members: dict[str, list[Table]] = {}
    for name, table in tables:
        group = group_of(name)
        if group is not None:
            members.setdefault(group, []).append(table)
    made = [_table(name, own, level) for name, own in members.items() if len(own) > 1]
    return [table for table in made if table.rows]


def _table(name: str, own: Sequence[Table], level: float) -> Table:
    labels = [row.label for row in own[0].rows if all(row.label in {other.label for other in table.rows} for table in own)]
    rows = [_row([next(row for row in table.rows if row.label == label) for table in own], level) for label in labels]
    merged = [table.coverage for table in own]
    sums = {item.name: sum(getattr(one, item.name) for one in merged) for item in dataclasses.fields(Coverage)[:-2]}
    covered = Coverage(**sums | {"samples": merged[0].samples})
    return Table(f"{name} ({len(own)} benchmarks)", tuple(rows), covered, own[0].samples, {})


def _row(rows: Sequence[Row], level: float) -> Row:
    first = rows[0]
    scores = [score for score in first.cells if all(score in row.cells for row in rows)]
    return dataclasses.replace(
        first,
        entries=sum(row.entries for row in rows),
        cells={score: _cell([row.cells[score] for row in rows], level) for score in scores},
        no_answer=_mean([row.no_answer for row in rows]),
        tokens=_mean([row.tokens for row in rows]),
        truncation=None,
    )


def _cell(cells: Sequence[Cell], level: float) -> Cell:
    """Benchmarks are independent: the variance of their mean is the sum of theirs over the square of their number."""
    value = _mean([cell.value for cell in cells])
    errors = [cell.error for cell in cells if cell.error is not None]
    error = math.sqrt(sum(one * one for one in errors)) / len(cells) if len(errors) == len(cells) else None
    half = None if error is None else normal_quantile((1 + level) / 2) * error
    return Cell(
        value,
        sum(cell.questions for cell in cells),
        error,
        low=None if half is None or value is None else max(0.0, value - half),
        high=None if half is None or value is None else min(1.0, value + half),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
