"""The picture of a ranking: a bar a model, tier and task, coloured by its score; the hatched grey end is what was cut."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ns_eval.errors import UsageError
from ns_eval.files import replacing
from summarize.rankings.scoring import Ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Beyond this many cells the numbers inside would be too small to read, and cost more than the rest.
_MOST_NUMBERS = 600


def figure(width: float, height: float) -> Figure:
    """An empty matplotlib figure, in inches.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("a picture needs matplotlib", hint="pip install 'ns-eval[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(path: Path, drawn: Figure) -> None:
    """Writes a .png or .svg; the same numbers give the same bytes.

    Raises:
        UsageError: another ending.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in ("png", "svg"):
        raise UsageError(f"{path}: a picture's name ends in .png or .svg")
    content = io.BytesIO()
    drawn.savefig(content, format=kind, dpi=110, metadata={"Software": None} if kind == "png" else {"Date": None})
    with replacing(path, durable=False) as file:
        file.write(content.getvalue())


def draw(path: Path, ranked: Sequence[Ranked], tasks: Sequence[str], *, safe: bool = False) -> None:
    """Tiers as blocks, models within in the order given, tasks as columns. `safe`: colours for colour-blind readers."""
    tiers = list(dict.fromkeys(tier for item in ranked for tier in item.tiers))
    rows = [(tier, item) for tier in tiers for item in ranked]
    drawn = figure(3.2 + 1.15 * len(tasks), 1.4 + 0.24 * len(rows) + 0.2 * len(tiers))
    axes = drawn.subplots()
    heights = {(tier, at): block * (len(ranked) + 0.7) + at for block, tier in enumerate(tiers) for at in range(len(ranked))}
    places = [heights[tier, at] for tier in tiers for at in range(len(ranked))]
    _bars(axes, rows, places, tasks, safe=safe)
    labels = [
        f"{item.evaluation.label}  {'—' if (own := item.tiers[tier].score_token) is None else f'{own:.2f}'}"
        for tier, item in rows
    ]
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xticks(
        [at + 0.5 for at in range(len(tasks))], tasks, fontsize=8, rotation=0 if len(tasks) < 6 else 30, ha="center"
    )
    axes.xaxis.tick_top()
    axes.set_xlim(0, len(tasks))
    axes.set_ylim(max(places) + 0.6, -0.6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for block, tier in enumerate(tiers):
        middle = block * (len(ranked) + 0.7) + (len(ranked) - 1) / 2
        axes.text(len(tasks) + 0.08, middle, tier, rotation=270, va="center", fontsize=10, fontweight="bold")
    axes.set_title("score of each task (colour), cut answers (hatched); score/token behind the name", fontsize=9, pad=18)
    save(path, drawn)


def _bars(
    axes: Axes, rows: Sequence[tuple[str, Ranked]], places: Sequence[float], tasks: Sequence[str], *, safe: bool
) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    colours = colormaps["cividis" if safe else "RdYlGn"]
    bars, fills, cuts = [], [], []
    numbers = len(rows) * len(tasks) <= _MOST_NUMBERS
    for (tier, item), place in zip(rows, places, strict=True):
        for at, task in enumerate(tasks):
            own = item.tasks[tier].get(task)
            if own is None:
                continue
            width, top = 0.94 * (1 - own.truncated_ratio), place - 0.42
            bars.append(Rectangle((at + 0.03, top), width, 0.84))
            fills.append(colours(own.center))
            if own.truncated_ratio > 0:
                cuts.append(Rectangle((at + 0.03 + width, top), 0.94 * own.truncated_ratio, 0.84))
            if numbers:
                dark = safe and own.center < 0.5
                shown = f"{own.center:.2f}".removeprefix("0") + ("*" if own.is_incomplete else "")
                axes.text(at + 0.08, place, shown, va="center", fontsize=7, color="white" if dark else "black")
    axes.add_collection(PatchCollection(bars, facecolors=fills, edgecolors="none"))
    axes.add_collection(PatchCollection(cuts, facecolor="#b5b5b5", edgecolor="#5a5a5a", hatch="xxxx", linewidth=0.0))
    scale = ScalarMappable(Normalize(0, 1), colours)
    axes.figure.colorbar(scale, ax=axes, shrink=min(1.0, 8 / max(1, len(rows)) + 0.15), pad=0.06, aspect=30)
