"""Pictures of a summary: scaling with k, accuracy against length, what became of the samples."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ns_eval.errors import UsageError
from ns_eval.files import replacing
from summarize.intervals import Interval, interval
from summarize.pages.colours import colours
from summarize.tables import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"pass@k": "#1b6ca8", "majority@k": "#c8553d", "length": "#3a7d44"}
_FATES = {
    "answered": "#3a7d44",
    "no answer": "#e0b04a",
    "truncated": "#c8553d",
    "not judged": "#8e6c8a",
    "failed": "#444444",
    "not run": "#d9d9d9",
}
_BINS = 8


def draw(path: Path, tables: Sequence[Table]) -> None:
    """One line of three panels for each table, into a .png, .svg or .html file.

    Raises:
        UsageError: another ending, or matplotlib is not installed.
    """
    if path.suffix not in (".png", ".svg", ".html"):
        raise UsageError(f"--plot={path}: expected a name that ends in .png, .svg or .html")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot needs matplotlib", hint="pip install 'ns-eval[plots]'") from error
    figure = Figure(figsize=(14, 3.9 * len(tables)), layout="constrained")
    lines = figure.subfigures(len(tables), 1, squeeze=False)[:, 0]
    for line, table in zip(lines, tables, strict=True):
        score = next(iter(table.curves))
        line.suptitle(f"{table.name}: {score}, {table.samples.count} questions, {table.coverage.samples} samples each")
        scaling, lengths, fates = line.subplots(1, 3)
        _scaling(scaling, table)
        _lengths(lengths, table)
        _fates(fates, table)
    _write(path, figure)


def _scaling(axes: Axes, table: Table) -> None:
    item = next(iter(table.curves.values()))
    for name, values in {"pass@k": item.passed, "majority@k": item.voted}.items():
        # A point of fewer questions than its neighbour would show which questions are missing, not what k does.
        whole = np.sum(~np.isnan(values), axis=0) == np.sum(item.n > 0)
        points = [(k, *_point(table, values[:, k])) for k in range(1, values.shape[1]) if whole[k]]
        if not points:
            continue
        k, mean, low, high = np.array(points).T
        axes.plot(k, 100 * mean, marker="o", markersize=3, color=_COLOURS[name], label=name)
        axes.fill_between(k, 100 * low, 100 * high, color=_COLOURS[name], alpha=0.15, linewidth=0)
    most = item.passed.shape[1] - 1
    if most > 1:
        axes.set_xscale("log", base=2)
    ticks = [2**power for power in range(most.bit_length()) if 2**power <= most]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(0, 100)
    axes.set(title="scaling, 95% bands", xlabel="k", ylabel="%")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)


def _point(table: Table, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float, float]:
    known = ~np.isnan(values)
    groups = None if table.clusters is None else table.clusters[known]
    mean = float(values[known].mean())
    low, high = interval(values[known], Interval(), groups) or (mean, mean)
    return mean, low, high


def _lengths(axes: Axes, table: Table) -> None:
    """Accuracy in bins of equal numbers of samples. Samples of one question are not independent: clustered by it."""
    score = next(iter(table.curves))
    tokens, value = table.samples.tokens, table.samples.values[score]
    known = ~np.isnan(tokens) & ~np.isnan(value)
    axes.set(title="accuracy by length, 95% intervals", xlabel="generated tokens", ylabel="%")
    if known.sum() < 2 * _BINS:
        axes.text(
            0.5, 0.5, "no token counts" if not known.any() else "too few samples", ha="center", transform=axes.transAxes
        )
        return
    tokens, value, question = tokens[known], value[known], table.samples.question[known]
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, _BINS + 1)))
    place = np.clip(np.searchsorted(edges, tokens, side="right") - 1, 0, max(0, len(edges) - 2))
    points = []
    for at in np.unique(place):
        own = place == at
        mean = float(value[own].mean())
        low, high = interval(value[own], Interval(), question[own]) or (mean, mean)
        points.append((float(np.median(tokens[own])), mean, low, high))
    middle, mean, low, high = np.array(points).T
    errors = 100 * np.clip(np.stack([mean - low, high - mean]), 0, None)
    axes.errorbar(middle, 100 * mean, yerr=errors, marker="o", capsize=3, color=_COLOURS["length"])
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)


def _fates(axes: Axes, table: Table) -> None:
    covered = table.coverage
    status = table.samples.status
    judged = ~np.isnan(next(iter(table.samples.values.values())))
    cut = int(((status == "truncated") & judged).sum())
    silent = int((table.samples.silent & judged & (status != "truncated")).sum())
    counts = {
        "answered": covered.graded - cut - silent,
        "no answer": silent,
        "truncated": cut,
        "not judged": covered.judge_missing,
        "failed": covered.errored,
        "not run": covered.not_run,
    }
    total = max(1, covered.expected)
    for height, (name, count) in enumerate(reversed(counts.items())):
        axes.barh(height, 100 * count / total, color=_FATES[name])
        axes.text(100 * count / total + 1, height, f"{count} ({100 * count / total:.1f}%)", va="center", fontsize=9)
    axes.set_yticks(range(len(counts)), list(reversed(counts)))
    axes.set_xlim(0, 140)
    axes.set_xticks(range(0, 101, 20))
    axes.set(title=f"what became of {covered.expected} samples", xlabel="%")


def _write(path: Path, figure: Figure) -> None:
    drawn = io.BytesIO()
    kind = "png" if path.suffix == ".png" else "svg"
    # Without a date the same numbers give the same bytes.
    figure.savefig(drawn, format=kind, dpi=120, metadata={"Software": None} if kind == "png" else {"Date": None})
    content = drawn.getvalue()
    if path.suffix == ".html":
        svg = content[content.index(b"<svg") :]
        title = html.escape(path.stem).encode()
        content = b"<!doctype html><meta charset='utf-8'><title>" + title + b"</title>" + svg
    with replacing(path, durable=False) as file:
        file.write(content)


def per_model(path: Path, bars: Sequence[tuple[str, Sequence[tuple[str, Cell, bool]]]], colour: Mapping[str, int]) -> None:
    """One panel a benchmark: (run, headline, rated) as bars with their intervals; a run's colour is its number's.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("a plot needs matplotlib", hint="pip install 'ns-eval[plots]'") from error
    height = sum(1.2 + 0.42 * len(rows) for _, rows in bars)
    figure = Figure(figsize=(9, max(2.0, height)), layout="constrained")
    panels = figure.subplots(max(1, len(bars)), 1, squeeze=False)[:, 0]
    for panel, (title, rows) in zip(panels, bars, strict=False):
        _bars(panel, title, rows, colour)
    _write(path, figure)


def _bars(axes: Axes, title: str, rows: Sequence[tuple[str, Cell, bool]], colour: Mapping[str, int]) -> None:
    rated = any(own for *_, own in rows)
    scale = 1.0 if rated else 100.0
    shades = colours(len(colour))
    for height, (run, cell, _) in enumerate(reversed(rows)):
        value = scale * (cell.value or 0.0)
        axes.barh(height, value, color=shades[colour[run]])
        if cell.low is not None and cell.high is not None:
            axes.plot([scale * cell.low, scale * cell.high], [height, height], color="black", linewidth=1.6)
        axes.annotate(
            f" {value:.3f}" if rated else f" {value:.1f}%", (scale * (cell.high or cell.value or 0.0), height), va="center"
        )
    axes.set_yticks(range(len(rows)), [run for run, *_ in reversed(rows)])
    if not rated:
        axes.set_xlim(0, 110)
    axes.margins(x=0.12)
    axes.set(title=title)
