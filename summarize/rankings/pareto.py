"""Accuracy against what it costs: tokens, latency, price, parameters; who is beaten by nobody in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from summarize.rankings.heat import figure, save
from summarize.rankings.scoring import Ranked


@dataclass(frozen=True, slots=True)
class Placed:
    """One evaluation: accuracy (cut answers wrong) with its interval, a cost, and whether it is on the front."""

    label: str
    accuracy: float
    interval: tuple[float, float] | None
    cost: float
    front: bool


COSTS = {
    "tokens": "mean generated tokens",
    "latency": "mean seconds of an answer",
    "price": "US dollars for a thousand answers",
    "parameters": "billions of parameters",
}


def placed(ranked: Sequence[Ranked], cost: str) -> list[Placed]:
    """Of known accuracy and cost, cheapest first. On the front: nobody is cheaper and as good, or as cheap and better."""
    known = []
    for item in ranked:
        value = _cost(item, cost)
        if value is not None and item.overall.accuracy is not None:
            known.append((value, -item.overall.accuracy, item.evaluation.label, item))
    found = []
    best = 0.0
    before: float | None = None
    for value, negative, label, item in sorted(known, key=lambda one: one[:3]):
        accuracy = -negative
        # Equal in both: both are on the front.
        front = accuracy > best or (accuracy == best and value == before)
        if front:
            best, before = accuracy, value
        found.append(Placed(label, accuracy, item.overall.accuracy_interval, value, front))
    return found


def _cost(item: Ranked, cost: str) -> float | None:
    tasks = [task for own in item.tasks.values() for task in own.values()]
    if cost == "parameters":
        return item.evaluation.parameters
    if cost == "latency":
        seconds = [task.seconds_mean for task in tasks]
        known = [value for value in seconds if value is not None]
        return sum(known) / len(known) if known and len(known) == len(seconds) else None
    tokens = item.overall.avg_tokens
    if cost == "tokens" or tokens is None:
        return tokens
    price = item.evaluation.price.output
    # Prompts are the same for all; what differs is what the model writes.
    return None if price is None else price * tokens / 1000


def lines(ranked: Sequence[Ranked], cost: str) -> list[list[str]]:
    """Header and lines of one cost; empty where no evaluation tells it."""
    found = placed(ranked, cost)
    if not found:
        return []
    table = [["Model", COSTS[cost], "Accuracy", "interval", "front"]]
    for item in found:
        ends = "—" if item.interval is None else f"{100 * item.interval[0]:.2f}% - {100 * item.interval[1]:.2f}%"
        table.append([item.label, f"{item.cost:.4g}", f"{100 * item.accuracy:.2f}%", ends, "*" if item.front else ""])
    return table


def draw(path: Path, ranked: Sequence[Ranked]) -> None:
    """A panel for each cost that is known of some evaluation."""
    costs = [cost for cost in COSTS if placed(ranked, cost)]
    drawn = figure(6.2 * max(1, len(costs)), 4.6)
    for at, cost in enumerate(costs):
        axes = drawn.add_subplot(1, len(costs), at + 1)
        found = placed(ranked, cost)
        for item in found:
            low, high = item.interval or (item.accuracy, item.accuracy)
            bar = [[max(0.0, 100 * (item.accuracy - low))], [max(0.0, 100 * (high - item.accuracy))]]
            colour = "#1b6ca8" if item.front else "#9a9a9a"
            axes.errorbar(
                [item.cost], [100 * item.accuracy], yerr=bar, marker="o" if item.front else "s", color=colour, capsize=3
            )
            axes.annotate(
                item.label, (item.cost, 100 * item.accuracy), xytext=(5, 4), textcoords="offset points", fontsize=8
            )
        front = [item for item in found if item.front]
        steps = [item.cost for item in front], [100 * item.accuracy for item in front]
        axes.step(*steps, where="post", color="#1b6ca8", linewidth=1, linestyle="--", zorder=0)
        axes.set(title=f"accuracy against {cost}", xlabel=COSTS[cost], ylabel="accuracy, %")
        axes.margins(x=0.25, y=0.15)
        axes.grid(alpha=0.3)
    save(path, drawn)
