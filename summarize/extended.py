"""What became of truncated samples that were asked again with more room: how many, and how far that moved the score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns_eval.records import Json, read_jsonl
from ns_eval.seed_file import before_retry
from summarize.questions import GREEDY, Floats, Samples


@dataclass(frozen=True, slots=True)
class Extended:
    """`before` is the mean over questions with the old lines in the place of the new ones, `after` what the table holds."""

    samples: int
    score: str
    before: float | None
    after: float | None


def extended(folder: Path, found: Samples) -> Extended | None:
    """Of the first score of these samples; None where nothing was asked again."""
    score = next(iter(found.values))
    values = found.values[score].copy()
    where = {(found.names[at], int(seed)): number for number, (at, seed) in enumerate(_keys(found))}
    count = 0
    for seed in sorted(set(found.seed.tolist())):
        path = before_retry(folder, None if seed == GREEDY else int(seed))
        for question, line in _old(path):
            place = where.get((question, int(seed)))
            if place is not None:
                count += 1
                values[place] = _value(line, score, graded=score in found.graded)
    return Extended(count, score, _mean(found, values), _mean(found, found.values[score])) if count else None


def _keys(found: Samples) -> Iterator[tuple[int, int]]:
    return zip(found.question.tolist(), found.seed.tolist(), strict=True)


def _old(path: Path) -> Iterator[tuple[str, Mapping[str, Json]]]:
    if path.exists():
        for _, line in read_jsonl(path):
            yield str(line["id"]), line


def _value(line: Mapping[str, Json], score: str, *, graded: bool) -> float:
    """As `questions.samples` reads it: a truncated sample without an answer is wrong, an unrated one is missing."""
    verdicts: Mapping[str, Json] = line.get("verdicts") or {}
    if graded:
        name = score.removeprefix("score_")
        return float(next((own["scores"][name] for own in verdicts.values() if name in (own.get("scores") or {})), np.nan))
    correct = (verdicts.get(score.removesuffix("_correct")) or {}).get("correct")
    return float(correct or 0.0)


def _mean(found: Samples, values: Floats) -> float | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    sums = np.bincount(found.question[known], weights=values[known], minlength=found.count)
    counts = np.bincount(found.question[known], minlength=found.count)
    return float(np.mean(sums[counts > 0] / counts[counts > 0]))
