"""Tables as text: source 003's layout byte for byte. Percent exists only here."""

from __future__ import annotations

from collections.abc import Sequence

from summarize.tables import Table


def classic(table: Table) -> str:
    """Title centred over the columns, cells left-justified, trailing spaces kept, two blank lines behind (4.5).

    A column is as wide as its header or its widest value without the percent sign: so NeMo-Skills printed at commit
    d291474b, and so source 003 reads.
    """
    scores = [name for name in table.rows[0].cells if not name.startswith("score_")] or list(table.rows[0].cells)
    lines = [["evaluation_mode", "num_entries", *scores, "no_answer"]]
    for row in table.rows:
        values = [percent(row.cells[name].value) for name in scores]
        lines.append([row.label, str(row.entries), *values, percent(row.no_answer)])
    return grid(table.name, lines)


def grid(title: str, lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell.removesuffix("%")) for cell in column) for column in zip(*lines, strict=True)]
    total = sum(widths) + 3 * (len(widths) - 1)
    body = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([f" {title} ".center(total, "-"), *body]) + "\n\n\n"


def percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f}%"
