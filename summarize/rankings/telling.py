"""The samples that say most about a model: loops, cut answers to easy questions, slips, and lucky ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from summarize.questions import Floats, Samples
from summarize.rankings.loops import Loops, key


@dataclass(frozen=True, slots=True)
class Telling:
    """One sample, and in words why it is worth reading."""

    question: str
    seed: int
    why: str


def telling(found: Samples, right: Floats, loops: Loops | None, most: int) -> list[Telling]:
    """Up to `most`, a quarter of each kind where there are as many; the clearest first, none twice.

    A sample of a question that has others is held against them; alone it is told by its length.
    """
    n = np.bincount(found.question, minlength=found.count)
    sums = np.bincount(found.question, weights=right, minlength=found.count)
    many = n[found.question] > 1
    rest = np.where(many, (sums[found.question] - right) / np.maximum(n[found.question] - 1, 1), np.nan)
    cut = found.status == "truncated"
    tokens = np.where(np.isnan(found.tokens), 0.0, found.tokens)
    longest = max(1.0, float(tokens.max(initial=0.0)))
    held = np.where(np.isnan(rest), 0.0, rest)
    ratio = np.array([np.nan if loops is None else loops.ratios.get(name, np.nan) for name in _keys(found)])
    kinds: list[tuple[Floats, Callable[[int], str]]] = [
        (np.where(ratio < 0.1, 1.0 - ratio, -1.0), lambda at: f"its reasoning compresses to {100 * ratio[at]:.1f}%: a loop"),
        (
            np.where(cut, held + tokens / longest * 1e-3, -1.0),
            lambda at: (
                ("cut" + (f" at {tokens[at]:.0f} tokens" if tokens[at] else ""))
                + (f", others right {100 * rest[at]:.0f}%" if many[at] else "")
            ),
        ),
        (
            np.where((right == 0) & ~cut & many & (held >= 0.5), held, -1.0),
            lambda at: f"wrong, where the other samples are right {100 * rest[at]:.0f}%",
        ),
        (
            np.where((right == 1) & many & (held < 0.5), 1.0 - held, -1.0),
            lambda at: f"right, where the other samples are right {100 * rest[at]:.0f}%",
        ),
        (
            np.where((right == 0) & ~cut & ~many, tokens / longest, -1.0),
            lambda at: f"wrong after {tokens[at]:.0f} tokens" if tokens[at] else "wrong",
        ),
    ]
    chosen: dict[int, str] = {}
    for weights, why in kinds:
        order = np.argsort(-weights, kind="stable")
        for at in [int(at) for at in order if weights[at] >= 0 and at not in chosen][: -(-most // 4)]:
            chosen[at] = why(at)
    return [Telling(found.names[found.question[at]], int(found.seed[at]), why) for at, why in chosen.items()][:most]


def _keys(found: Samples) -> list[str]:
    return [
        key(found.names[question], seed) for question, seed in zip(found.question.tolist(), found.seed.tolist(), strict=True)
    ]
