"""`ns compare DATA --clusters`: which evaluations cannot be told apart; overall, by tier or by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ns_eval.errors import DataError
from summarize.intervals import Interval, interval
from summarize.paired import Pair, cliques, differences, holm, letters
from summarize.questions import Floats
from summarize.rankings.cells import pipes
from summarize.rankings.evaluations import Evaluation, load
from summarize.rankings.filters import chosen
from summarize.rankings.grid import Choice, Grid, Stack, grid
from summarize.render import grid as layout

if TYPE_CHECKING:
    from summarize.comparing import CompareConfig


@dataclass(frozen=True, slots=True)
class Compared:
    """The accuracies of the evaluations that have all tasks of a place, question by question; cut answers are wrong.

    Each task counts the same: its questions weigh so that `runs[i].mean()` is the mean over tasks.
    """

    place: str
    evaluations: tuple[Evaluation, ...]
    runs: tuple[Floats, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clustered:
    """`clusters` are the largest groups of which no two members are told apart; one evaluation may be in several."""

    compared: Compared
    intervals: tuple[tuple[float, float] | None, ...]
    pairs: tuple[Pair, ...]
    different: tuple[tuple[int, int], ...]
    clusters: tuple[frozenset[int], ...]


def main(config: CompareConfig) -> int:
    """Prints the clusters of each place."""
    dataset = load(config.runs)
    kept = chosen(dataset.evaluations, config.filters)
    found = grid(dataset, Choice(tasks=tuple(config.benchmarks), tier_by=config.tier_by, score=config.score)).only(kept)
    clustered = cluster([_compared(place, found, stacks) for place, stacks in _places(found, config.by)], config)
    if config.format == "json":
        print(msgspec.json.format(msgspec.json.encode([_record(item) for item in clustered]), indent=2).decode())
    else:
        print("".join(_text(item, config) for item in clustered) + "".join(f"{note}\n" for note in found.notes), end="")
    if config.plot is not None:
        _draw(Path(config.plot), clustered)
        print(f"The picture is {config.plot}")
    return 0


def _places(found: Grid, by: str) -> list[tuple[str, list[Stack]]]:
    if by == "overall":
        return [("overall", list(found.cells.values()))]
    names, at = (found.tiers, 0) if by == "tier" else (found.tasks, 1)
    return [(name, [stack for place, stack in found.cells.items() if place[at] == name]) for name in names]


def _compared(place: str, found: Grid, stacks: Sequence[Stack]) -> Compared:
    """On the questions that all of them have, where two or more have every task."""
    has = np.array([[stack.ended[row].any() for stack in stacks] for row in range(len(found.evaluations))])
    rows = np.flatnonzero(has.all(axis=1))
    parts = []
    for stack in stacks:
        ended = stack.ended[rows]
        common = (ended > 0).all(axis=0)
        if len(rows) and not common.any():
            raise DataError(
                f"{place}: the evaluations have no question in common", hint="--benchmarks or --filters choose some"
            )
        parts.append(stack.right[rows][:, common] / ended[:, common])
    total = sum(part.shape[1] for part in parts)
    weighted = [part * (total / (len(parts) * part.shape[1])) for part in parts if part.shape[1]]
    values = np.concatenate(weighted, axis=1) if weighted else np.zeros((len(rows), 0))
    lacking = tuple(item.label for row, item in enumerate(found.evaluations) if row not in rows)
    return Compared(place, tuple(found.evaluations[row] for row in rows), tuple(values), lacking)


def cluster(compared: Sequence[Compared], config: CompareConfig) -> list[Clustered]:
    """All places of the call; Holm over all their pairs."""
    raw = [
        (at, first, second, found)
        for at, item in enumerate(compared)
        for (first, second), found in (differences(item.runs, None, config.level) if len(item.runs) > 1 else {}).items()
    ]
    adjusted = holm([found.p for *_, found in raw])
    clustered = []
    for at, item in enumerate(compared):
        pairs = tuple(
            Pair(item.place, first, second, found, p)
            for (own, first, second, found), p in zip(raw, adjusted, strict=True)
            if own == at
        )
        ends = tuple(interval(values, Interval(level=config.level)) for values in item.runs)
        different = tuple(
            (pair.first, pair.second)
            for pair in pairs
            if (
                _apart(ends[pair.first], ends[pair.second]) if config.edge == "overlap" else pair.adjusted < 1 - config.level
            )
        )
        clustered.append(Clustered(item, ends, pairs, different, tuple(cliques(len(item.runs), different))))
    return clustered


def _apart(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    """Intervals that do not overlap; an unknown one is apart from none."""
    return one is not None and other is not None and (one[1] < other[0] or other[1] < one[0])


def _order(item: Clustered) -> list[int]:
    """Best first."""
    runs = item.compared.runs
    return sorted(range(len(runs)), key=lambda row: (-float(runs[row].mean()), item.compared.evaluations[row].label))


def _text(item: Clustered, config: CompareConfig) -> str:
    own = item.compared
    order = _order(item)
    signs = _letters(item, order)
    questions = len(own.runs[0]) if own.runs else 0
    title = f"{own.place}: {questions} questions in common"
    lines = [["model", "accuracy", f"{100 * config.level:g}% interval", "cluster"]]
    for row in order:
        ends = item.intervals[row]
        shown = "n/a" if ends is None else f"{100 * ends[0]:.2f}% to {100 * min(1.0, ends[1]):.2f}%"
        lines.append([own.evaluations[row].label, f"{100 * float(own.runs[row].mean()):.2f}%", shown, signs[row]])
    rule = "intervals overlap" if config.edge == "overlap" else f"p (Holm) >= {1 - config.level:.2g} in a paired test"
    notes = [f"models that share a letter cannot be told apart ({rule})"]
    if own.lacking:
        notes.append(f"left out, for they lack a task: {', '.join(own.lacking)}")
    if config.format == "markdown":
        return f"**{title}**\n\n{pipes(lines)}\n{' · '.join(notes)}\n\n"
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return layout(title, lines, widths).rstrip("\n") + "\n" + "\n".join(notes) + "\n\n\n"


def _letters(item: Clustered, order: Sequence[int]) -> dict[int, str]:
    """The best one's letters first."""
    place = {row: at for at, row in enumerate(order)}
    different = [tuple(sorted((place[first], place[second]))) for first, second in item.different]
    signs = letters(len(order), [(first, second) for first, second in different])
    return {row: signs[place[row]] for row in order}


def _record(item: Clustered) -> Mapping[str, Any]:
    own = item.compared
    labels = [one.label for one in own.evaluations]
    order = _order(item)
    return {
        "place": own.place,
        "questions": len(own.runs[0]) if own.runs else 0,
        "models": [
            {"eval_id": own.evaluations[row].eval_id, "model": labels[row], "accuracy": float(own.runs[row].mean())}
            | {"interval": item.intervals[row]}
            for row in order
        ],
        "clusters": [[labels[row] for row in order if row in members] for members in item.clusters],
        "lacking": list(own.lacking),
        "pairs": [
            {"first": labels[pair.first], "second": labels[pair.second], "p_holm": pair.adjusted} | asdict(pair.found)
            for pair in item.pairs
        ],
    }


def _draw(path: Path, clustered: Sequence[Clustered]) -> None:
    """A panel a place: accuracies with their intervals, and a bar along the members of each cluster."""
    from summarize.rankings.heat import figure, save

    most = max(len(item.compared.runs) for item in clustered)
    drawn = figure(6.4 * len(clustered), 1.6 + 0.3 * most)
    for at, item in enumerate(clustered):
        axes = drawn.add_subplot(1, len(clustered), at + 1)
        order = _order(item)
        for height, row in enumerate(order):
            mean = float(item.compared.runs[row].mean())
            low, high = item.intervals[row] or (mean, mean)
            bar = [[max(0.0, 100 * (mean - low))], [max(0.0, 100 * (min(1.0, high) - mean))]]
            axes.errorbar([100 * mean], [height], xerr=bar, marker="o", color="#1b6ca8", capsize=3)
        place = {row: height for height, row in enumerate(order)}
        bars = sorted(sorted(place[row] for row in members) for members in item.clusters if len(members) > 1)
        for number, members in enumerate(bars):
            x = 103 + 2.5 * number
            axes.plot([x, x], [members[0] - 0.3, members[-1] + 0.3], color="#c8553d", linewidth=3, solid_capstyle="butt")
            axes.plot([x] * len(members), members, marker=".", linestyle="", color="black", markersize=4)
        axes.set_yticks(range(len(order)), [item.compared.evaluations[row].label for row in order], fontsize=8)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlim(0, 104 + 2.5 * max(1, len(bars)))
        axes.set_xticks(range(0, 101, 20))
        axes.set(title=f"{item.compared.place}: bars join what cannot be told apart", xlabel="accuracy, %")
        axes.grid(axis="x", alpha=0.3)
    save(path, drawn)
