"""How far a judge can be trusted, computed from what it said: printed beside every judged score.

    rows = labelled(read_judged(folder), labels)
    for line in describe(reliability(rows, model="qwen2.5-7b")): print(line)

Agreement, repeats and corrected scores use the samples that the judge decided itself; what was settled without a call (equal
strings, no answer, proved equal) would only flatter it. Definitions: docs/judges.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from summarize.agreement import Interval, confusion, krippendorff_alpha
from summarize.corrected import Corrected, codes, prediction_powered, rogan_gladen
from summarize.distributions import normal_quantile
from summarize.families import families
from summarize.intervals import Floats, interval, wilson
from summarize.intervals import Interval as How
from summarize.judged import Judged, number
from summarize.lengths import Slope, length_slope
from summarize.references import Agreement, Ratings, against_ratings, agreements

# A headline with more than this share of unreadable judgements is no result of the model.
MOST_MISSING = 0.02
# A judge that gave one verdict this often or more, without exception, is suspected of giving no other.
_SUSPICIOUS = 20


@dataclass(frozen=True, slots=True)
class Flips:
    """Repeated calls: how many gave different values, and alpha over their replies."""

    calls: int
    flipped: int
    interval: Interval
    alpha: float | None

    @property
    def rate(self) -> float:
        return self.flipped / self.calls


@dataclass(frozen=True, slots=True)
class Swap:
    """Pairs judged in both orders. `first` and `second`: inconsistent pairs that prefer the answer in that place."""

    pairs: int
    consistent: int
    interval: Interval
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """`score` is the mean over questions of all samples with a value; `bounds` the mean over samples with every missing one
    at one end of the scale, then at the other."""

    samples: int
    sources: dict[str, int]
    missing: int
    reasons: dict[str, int]
    score: float | None
    interval: Interval | None
    bounds: Interval | None
    agreements: tuple[Agreement, ...]
    ratings: Ratings | None
    flips: Flips | None
    swap: Swap | None
    length: Slope | None
    corrected: tuple[Corrected, ...]
    warnings: tuple[str, ...]

    @property
    def headline(self) -> bool:
        """Whether few enough judgements are missing for the score to stand alone."""
        return self.samples > 0 and self.missing / self.samples <= MOST_MISSING


def reliability(rows: Sequence[Judged], *, model: str = "", scale: Interval | None = None, seed: int = 0) -> Reliability:
    """Everything that can be said of these samples. `model` is the judged one; `scale` that of ratings where no row has it.

    A part for which the data is missing is None: no repeats, no pairs, no reference.
    """
    scale = next((row.scale for row in rows if row.scale is not None), scale)
    known = [row for row in rows if row.value is not None]
    asked = [row for row in known if row.asked]
    binary = scale is None and all(row.value in (0.0, 1.0) for row in known)
    lost = [row for row in rows if row.value is None and row.status != "not_judged"]
    ends: Interval | None = (0.0, 1.0) if binary else scale
    question_means = _question_means(known)
    return Reliability(
        samples=len(rows),
        sources=dict(Counter(row.source for row in known)),
        missing=len(lost),
        reasons=dict(Counter(row.status for row in rows if row.value is None)),
        score=_mean(question_means),
        interval=interval(question_means, How()) if ends == (0.0, 1.0) else None,
        bounds=_bounds(known, len(lost), ends),
        agreements=agreements(asked, seed) if binary else (),
        ratings=None if binary else against_ratings(asked, seed),
        flips=_flips(rows, binary),
        swap=_swap(asked),
        length=_length(asked),
        corrected=_corrected(asked, ends, binary),
        warnings=tuple(_warnings(rows, asked, lost, model)),
    )


def disagreements(rows: Sequence[Judged]) -> list[Judged]:
    """The samples to read: the judge decided otherwise than a human label, or than the symbolic verdict without one.

    Labelled ones first; then what the symbolic judge proved and this one denies, which is nearly always this one's mistake.
    """
    found = [row for row in rows if row.asked and row.value is not None and _contradicted(row)]
    return sorted(found, key=lambda row: (row.label is None, row.value == 1.0, row.question, row.seed or 0))


def _flips(rows: Sequence[Judged], binary: bool) -> Flips | None:
    """One entry a call: samples that share a call repeat the same replies."""
    calls = {row.key or (row.question, row.seed): row.repeats for row in rows if len(row.repeats) > 1}
    read = [[value for value in values if value is not None] for values in calls.values()]
    read = [values for values in read if len(values) > 1]
    if not read:
        return None
    flipped = sum(len(set(values)) > 1 for values in read)
    matrix = np.full((len(read), max(map(len, read))), np.nan)
    for place, values in enumerate(read):
        matrix[place, : len(values)] = values
    alpha = krippendorff_alpha(matrix, "nominal" if binary else "ordinal")
    return Flips(len(read), flipped, _share(flipped, len(read)), alpha)


def _swap(asked: Sequence[Judged]) -> Swap | None:
    pairs = [row.scores for row in asked if "consistent" in row.scores]
    if not pairs:
        return None
    consistent = sum(scores["consistent"] == 1.0 for scores in pairs)
    leanings = [scores.get("prefers_first", 0.0) for scores in pairs]
    first, second = sum(value > 0 for value in leanings), sum(value < 0 for value in leanings)
    return Swap(len(pairs), consistent, _share(consistent, len(pairs)), first, second)


def _length(asked: Sequence[Judged]) -> Slope | None:
    rows = [row for row in asked if row.length is not None]
    matched = [row for row in rows if row.symbolic is not None]
    control = [row.symbolic is True for row in rows] if len(matched) == len(rows) else None
    lengths, questions = [row.length or 0 for row in rows], [row.question for row in rows]
    return length_slope([number(row.value) for row in rows], lengths, questions, control) if rows else None


def _corrected(asked: Sequence[Judged], ends: Interval | None, binary: bool) -> tuple[Corrected, ...]:
    """From human labels alone: the symbolic verdict is no truth, its "not equal" has known mistakes."""
    marked = [(row, row.label) for row in asked if row.label is not None]
    others = [row for row in asked if row.label is None]
    found: list[Corrected | None] = []
    if binary and all(label in (0.0, 1.0) for _, label in marked):
        counts = confusion([row.value == 1.0 for row, _ in marked], [label == 1.0 for _, label in marked])
        rate = _mean([number(row.value) for row in asked]) or 0.0
        found.append(rogan_gladen(rate, len(asked), counts))
    found.append(
        prediction_powered(
            [number(row.value) for row in others],
            [number(row.value) for row, _ in marked],
            [label for _, label in marked],
            questions=([row.question for row in others], [row.question for row, _ in marked]),
            scale=ends or (-np.inf, np.inf),
        )
    )
    return tuple(item for item in found if item is not None)


def _warnings(rows: Sequence[Judged], asked: Sequence[Judged], lost: Sequence[Judged], model: str) -> list[str]:
    found = []
    judges = sorted({row.model for row in rows if row.model})
    for judge in judges:
        shared = families(judge) & families(model)
        if shared:
            found.append(
                f"judge {judge} and model {model} are of one family ({', '.join(sorted(shared))}): it may prefer its own"
            )
    if len(judges) > 1 or len({row.prompt_hash for row in rows if row.prompt_hash}) > 1:
        found.append(f"verdicts of different judges or prompts are mixed: {', '.join(judges) or 'several prompts'}")
    values = {row.value for row in asked}
    if len(asked) >= _SUSPICIOUS and len(values) == 1:
        found.append(f"the judge always gave the same verdict ({number(values.pop()):g}) on {len(asked)} samples")
    if rows and len(lost) / len(rows) > MOST_MISSING:
        found.append(f"{len(lost)} of {len(rows)} judgements are missing: above {MOST_MISSING:.0%} the score is no headline")
    return found


def _contradicted(row: Judged) -> bool:
    if row.label is not None:
        return row.value != row.label
    # A rating says something else than right or wrong.
    return row.scale is None and row.symbolic is not None and row.value != float(row.symbolic)


def _question_means(known: Sequence[Judged]) -> Floats:
    """Samples of one question are one unit, however many there are."""
    group = codes(row.question for row in known)
    values = np.array([number(row.value) for row in known], np.float64)
    return np.asarray(np.bincount(group, weights=values) / np.bincount(group), np.float64) if known else np.zeros(0)


def _bounds(known: Sequence[Judged], lost: int, ends: Interval | None) -> Interval | None:
    if not lost or ends is None:
        return None
    total, n = sum(number(row.value) for row in known), len(known) + lost
    return (total + lost * ends[0]) / n, (total + lost * ends[1]) / n


def _share(hits: int, n: int) -> Interval:
    return wilson(hits / n, n, normal_quantile(0.975))


def _mean(values: Sequence[float] | Floats) -> float | None:
    return float(np.mean(values)) if len(values) else None
