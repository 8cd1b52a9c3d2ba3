"""The row `genselect@k`: what the answers that a model chose among k score, beside majority@k and pass@k."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ns_eval.records import Json, loads
from summarize.discover import Found
from summarize.tables import Row, Table

FOLDER = "eval-results-genselect"


def selection_of(item: Found) -> Path | None:
    """The folder in which the run chose among this benchmark's samples, where it did."""
    if item.run is None:
        return None
    folder = item.run / FOLDER / item.folder.name
    return folder if (folder / "judging.json").exists() else None


def is_selection(folder: Path) -> bool:
    """Whether a folder holds chosen samples only."""
    path = folder / "judging.json"
    return path.exists() and "largest_group" in _judging(folder)


def with_row(table: Table, row: Row) -> Table:
    """The table with one more row, above the last one, which is the mean."""
    return dataclasses.replace(table, rows=(*table.rows[:-1], row, *table.rows[-1:]))


def joined(tables: Sequence[Table], chosen: Sequence[Table], folder: Path) -> tuple[Table, ...]:
    """Each table with the row of the same questions' chosen samples."""
    by_name = {table.name: selected(table, folder).rows[0] for table in chosen}
    return tuple(with_row(table, by_name[table.name]) if table.name in by_name else table for table in tables)


def selected(table: Table, folder: Path) -> Table:
    """The table of a folder of chosen samples; its one row is named after the largest number that was chosen from."""
    k = int(_judging(folder)["largest_group"])
    first, *rest = table.rows
    return dataclasses.replace(table, rows=(dataclasses.replace(first, label=f"genselect@{k}", kind="selected", k=k), *rest))


def described(folder: Path) -> str:
    """How the samples were chosen, in one sentence: those that fell back are counted in it."""
    return f"genselect: {_judging(folder)['said']}"


def _judging(folder: Path) -> dict[str, Json]:
    return loads((folder / "judging.json").read_bytes())
