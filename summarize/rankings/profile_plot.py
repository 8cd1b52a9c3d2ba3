"""The picture of a profile: accuracy and endings over length, what became of each part, and how far texts compress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from summarize.rankings.heat import figure, save
from summarize.rankings.profile import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(path: Path, profiles: Sequence[Profile]) -> None:
    """One line of four panels a benchmark."""
    drawn = figure(19, 4.0 * len(profiles))
    for line, item in enumerate(profiles):
        parts, lengths, hazard, loops = (drawn.add_subplot(len(profiles), 4, 4 * line + at + 1) for at in range(4))
        _parts(parts, item)
        _lengths(lengths, item)
        _hazard(hazard, item)
        _loops(loops, item)
    save(path, drawn)


def _parts(axes: Axes, item: Profile) -> None:
    lines = item.parts[::-1]
    for at, line in enumerate(lines):
        left = 0.0
        for share, colour in ((line.right, "#3a7d44"), (line.truncated, "#b5b5b5"), (line.no_answer, "#e0b04a")):
            width = 100 * (share.value or 0.0)
            axes.barh(at, width, left=left, color=colour, hatch="xxx" if colour == "#b5b5b5" else None, edgecolor="white")
            left += width
    axes.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=8)
    axes.set_xlim(0, 100)
    axes.set(title=f"{item.benchmark}: right (green), cut (hatched), none (yellow)", xlabel="% of samples")


def _lengths(axes: Axes, item: Profile) -> None:
    axes.set(
        title="P(right) against tokens used, intervals", xlabel="mean tokens of the part", ylabel="% right", ylim=(0, 100)
    )
    axes.grid(alpha=0.3)
    _say_nothing(axes, bool(item.lengths))
    for line in item.lengths:
        own = line.right
        if own.value is None or line.tokens is None:
            continue
        low, high = own.low if own.low is not None else own.value, own.high if own.high is not None else own.value
        bar = [[max(0.0, 100 * (own.value - low))], [max(0.0, 100 * (high - own.value))]]
        axes.errorbar([line.tokens], [100 * own.value], yerr=bar, marker="o", color="#1b6ca8", capsize=3)


def _hazard(axes: Axes, item: Profile) -> None:
    starts = [one.start for one in item.hazard]
    if starts:
        axes.step(starts, [100 * one.cut for one in item.hazard], where="post", color="#c8553d", label="cut")
        axes.step(starts, [100 * one.ended for one in item.hazard], where="post", color="#3a7d44", label="ended by itself")
        axes.legend(frameon=False, fontsize=8)
    axes.set(title="of those that came so far", xlabel="tokens", ylabel="% until the next step", ylim=(0, 105))
    axes.grid(alpha=0.3)
    _say_nothing(axes, bool(starts))


def _say_nothing(axes: Axes, known: bool) -> None:
    if not known:
        axes.text(0.5, 0.5, "no token counts", ha="center", transform=axes.transAxes)


def _loops(axes: Axes, item: Profile) -> None:
    axes.set(title="compressed length of the text", xlabel="% of its length", ylabel="texts")
    if item.loops is None:
        axes.text(0.5, 0.5, "no text of a thousand characters", ha="center", transform=axes.transAxes)
        return
    axes.hist([100 * ratio for ratio in item.loops.ratios.values()], bins=30, range=(0, 60), color="#8e6c8a")
    axes.axvline(100 * item.loops.below, color="#c8553d", linestyle="--", label="loops are left of it")
    axes.legend(frameon=False, fontsize=8)
