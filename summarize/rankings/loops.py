"""Texts that repeat themselves: how far the reasoning of an answer compresses. Prose comes to a third, a loop to nothing."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from ns_eval.scores import find_outputs
from summarize.questions import GREEDY, Floats, Samples

# Shorter texts do not compress for want of length, whatever they say.
_SHORTEST = 1000
_LOOPING = 0.1


class _Text(msgspec.Struct):
    id: str | int | None = None
    generation: str | None = None
    reasoning_content: str | None = None


@dataclass(frozen=True, slots=True)
class Loops:
    """`ratios` holds compressed over plain length of each (question, seed) that was read; `below` it a text loops."""

    read: int
    looping: int
    below: float
    right_looping: float | None
    right_others: float | None
    quantiles: tuple[float, ...]
    ratios: Mapping[str, float]


def key(question: str, seed: int) -> str:
    return f"{question}\0{seed}"


def loops(folder: Path, found: Samples, right: Floats, most: int) -> Loops | None:
    """Reads up to `most` texts, the first of each seed in turn; None where there are none of a thousand characters."""
    outputs = find_outputs(folder)
    ratios: dict[str, float] = {}
    for output in outputs:
        ratios |= _of_seed(output.paths[-1], GREEDY if output.seed is None else output.seed, -(-most // len(outputs)))
    verdicts = {
        key(found.names[question], seed): own
        for question, seed, own in zip(found.question.tolist(), found.seed.tolist(), right.tolist(), strict=True)
    }
    ratios = {name: ratio for name, ratio in ratios.items() if name in verdicts}
    if not ratios:
        return None
    values = np.array(list(ratios.values()))
    own = np.array([verdicts[name] for name in ratios])
    low = values < _LOOPING
    return Loops(
        read=len(values),
        looping=int(low.sum()),
        below=_LOOPING,
        right_looping=float(own[low].mean()) if low.any() else None,
        right_others=float(own[~low].mean()) if (~low).any() else None,
        quantiles=tuple(np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()),
        ratios=ratios,
    )


def _of_seed(path: Path, seed: int, most: int) -> dict[str, float]:
    decode = msgspec.json.Decoder(_Text).decode
    ratios: dict[str, float] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if len(ratios) >= most or not line.endswith(b"\n"):
                break
            item = decode(line)
            text = (item.reasoning_content or item.generation or "").encode()
            if len(text) >= _SHORTEST:
                # The name of a question without an id is its line, as in the scores table.
                name = f"#{number:06d}" if item.id is None else str(item.id)
                ratios[key(name, seed)] = len(zlib.compress(text, 1)) / len(text)
    return ratios
