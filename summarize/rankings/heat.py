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


def figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """An empty matplotlib figure, in inches; `arranged` finds the room for labels, which costs as much as drawing.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("a picture needs matplotlib", hint="pip install 'ns-eval[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained" if arranged else None)


def save(path: Path, drawn: Figure) -> None:
    """Writes a .png or .svg; the same numbers give the same bytes.

    Raises:
        UsageError: another ending.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in ("png", "svg"):
        raise UsageError(f"{path}: a picture's name ends in .png or .svg")
    content = io.BytesIO()
    if kind == "png":
        # The areas are plain: a quick compression finds nearly what a thorough one does.
        drawn.savefig(content, format=kind, dpi=110, metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    else:
        drawn.savefig(content, format=kind, metadata={"Date": None})
    with replacing(path, durable=False) as file:
        file.write(content.getvalue())


def draw(path: Path, ranked: Sequence[Ranked], tasks: Sequence[str], *, safe: bool = False) -> None:
    """Tiers as blocks, models within in the order given, tasks as columns. `safe`: colours for colour-blind readers."""
    tiers = list(dict.fromkeys(tier for item in ranked for tier in item.tiers))
    rows = [(tier, item) for tier in tiers for item in ranked]
    block = len(ranked) + 0.7
    places = [number * block + at for number in range(len(tiers)) for at in range(len(ranked))]
    labels = [_label(item, tier) for tier, item in rows]
    # Room in inches, by the letters of the longest names.
    left, top = 0.3 + 0.068 * max(map(len, labels)), 0.75 + 0.03 * max(map(len, tasks))
    width, height = 1.1 * len(tasks), (0.24 if len(rows) <= 100 else 0.18) * (len(tiers) * block)
    drawn = figure(left + width + 1.5, top + height + 0.3, arranged=False)
    across, along = drawn.get_size_inches()
    axes = drawn.add_axes((left / across, 0.3 / along, width / across, height / along))
    _bars(axes, rows, places, tasks, safe=safe)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xticks(
        [at + 0.5 for at in range(len(tasks))], tasks, fontsize=8, rotation=0 if len(tasks) < 6 else 20, ha="center"
    )
    axes.xaxis.tick_top()
    axes.set(xlim=(0, len(tasks)), ylim=(len(tiers) * block - 0.7 - 0.4, -0.6))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for number, tier in enumerate(tiers):
        middle = number * block + (len(ranked) - 1) / 2
        axes.text(len(tasks) + 0.06, middle, tier, rotation=270, va="center", fontsize=10, fontweight="bold")
    drawn.text(
        left / across,
        1 - 0.2 / along,
        "colour: score of the task; hatched: cut answers; *: questions missing; blank: no answers; "
        "behind the name: score/token",
        fontsize=9,
    )
    bar = drawn.add_axes(((left + width + 0.75) / across, 0.3 / along, 0.15 / across, min(height, 3.0) / along))
    _scale(bar, safe=safe)
    save(path, drawn)


def _label(item: Ranked, tier: str) -> str:
    own = item.tiers[tier].score_token
    return f"{item.evaluation.label}  {'—' if own is None else f'{own:.2f}'}"


def _scale(axes: Axes, *, safe: bool) -> None:
    """What a colour means."""
    axes.imshow(
        [[1 - at / 50] for at in range(51)], cmap=_colours(safe=safe), aspect="auto", extent=(0, 1, 0, 1), vmin=0, vmax=1
    )
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=8)


def _colours(*, safe: bool) -> str:
    return "viridis" if safe else "RdYlGn"


def _bars(
    axes: Axes, rows: Sequence[tuple[str, Ranked]], places: Sequence[float], tasks: Sequence[str], *, safe: bool
) -> None:
    from matplotlib import colormaps
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    colours = colormaps[_colours(safe=safe)]
    bars, fills, cuts = [], [], []
    numbers = len(rows) * len(tasks) <= _MOST_NUMBERS
    for (tier, item), place in zip(rows, places, strict=True):
        for at, task in enumerate(tasks):
            own = item.tasks[tier].get(task)
            if own is None:
                continue
            start, width = at + 0.03, 0.94 * (1 - own.truncated_ratio)
            colour = colours(own.center)
            bars.append(_box(start, start + width, place))
            fills.append(colour)
            if own.truncated_ratio > 0:
                cuts.append(_box(start + width, at + 0.97, place))
            if numbers or own.is_incomplete:
                shown = f"{own.center:.2f}".removeprefix("0") if numbers else ""
                star = "*" if own.is_incomplete else ""
                axes.text(at + 0.08, place, shown + star, va="center", fontsize=7, color=_ink(colour))
    axes.add_collection(PolyCollection(bars, facecolors=fills, edgecolors="none"))
    if cuts:
        # One outline for all: a hatch is drawn anew for each.
        outline = Outline.make_compound_path(*(Outline([*box, box[0]], closed=True) for box in cuts))
        axes.add_patch(PathPatch(outline, facecolor="#b5b5b5", edgecolor="#5a5a5a", hatch="xxxx", linewidth=0.0))


def _box(left: float, right: float, place: float) -> list[tuple[float, float]]:
    top, bottom = place - 0.42, place + 0.42
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _ink(colour: tuple[float, ...]) -> str:
    """What can be read on a colour, by its luminance."""
    red, green, blue = colour[:3]
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.45 else "black"
