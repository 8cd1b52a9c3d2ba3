"""What answers cost: tokens, seconds, parameters, beside how good they are. A table and its Pareto front, not one number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from summarize.questions import Floats


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run. `accuracy` is over guessing; tokens are the mean of an answer, seconds the quantiles of a request; sizes
    are billions of parameters, None where not known."""

    label: str
    accuracy: float | None
    tokens: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    tokens_per_s: float | None
    parameters: float | None
    active_parameters: float | None

    @classmethod
    def of(cls, label: str, seconds: Floats, tokens: Floats, parameters: float | None, active: float | None) -> Cost:
        """Out of the seconds and tokens of each request; NaN where not known."""
        known_s, known_t = seconds[~np.isnan(seconds)], tokens[~np.isnan(tokens)]
        p50, p95, p99 = np.quantile(known_s, (0.5, 0.95, 0.99)).tolist() if len(known_s) else (None, None, None)
        both = ~np.isnan(seconds) & ~np.isnan(tokens) & (seconds > 0)
        speed = float(np.median(tokens[both] / seconds[both])) if both.any() else None
        mean = float(known_t.mean()) if len(known_t) else None
        return cls(label, None, mean, p50, p95, p99, speed, parameters, active or parameters)

    def with_accuracy(self, accuracy: float | None) -> Cost:
        return dataclasses.replace(self, accuracy=accuracy)

    @property
    def per_parameter(self) -> float | None:
        """Accuracy by billions of parameters; it favours the smallest model, so nothing is ranked by it."""
        return None if self.accuracy is None or not self.parameters else self.accuracy / self.parameters


def front(costs: Sequence[Cost]) -> list[bool]:
    """Which runs no other one beats: at least as good in all that both know, better in something."""
    return [not any(_beats(other, one) for other in costs if other is not one) for one in costs]


def _beats(one: Cost, other: Cost) -> bool:
    pairs = [
        (-one.accuracy if one.accuracy is not None else None, -other.accuracy if other.accuracy is not None else None),
        (one.tokens, other.tokens),
        (one.p50_s, other.p50_s),
        (one.active_parameters, other.active_parameters),
    ]
    known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
    return bool(known) and all(mine <= theirs for mine, theirs in known) and any(mine < theirs for mine, theirs in known)


_HEAD = ("run", "over guessing", "tokens", "p50 s", "p95 s", "p99 s", "tokens/s", "B params", "active", "per B", "front")


def pareto_lines(costs: Sequence[Cost]) -> list[str]:
    """The table: what no other run beats is marked."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for cost, is_front in zip(costs, front(costs), strict=True):
        accuracy = None if cost.accuracy is None else 100 * cost.accuracy
        share = None if cost.per_parameter is None else 100 * cost.per_parameter
        numbers = (
            (accuracy, ".1f"),
            (cost.tokens, ".0f"),
            (cost.p50_s, ".2f"),
            (cost.p95_s, ".2f"),
            (cost.p99_s, ".2f"),
            (cost.tokens_per_s, ".0f"),
            (cost.parameters, ".3g"),
            (cost.active_parameters, ".3g"),
            (share, ".2f"),
        )
        cells = ("?" if value is None else format(value, form) for value, form in numbers)
        rows.append((cost.label, *cells, "yes" if is_front else "no"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = "seconds hold the wait in the engine's queue; front: no other is as good in accuracy, tokens, p50 and size"
    return ["", "what the answers cost", *lines, note]
