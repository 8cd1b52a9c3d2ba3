"""Does the table of base against PEFT say what it claims? `python -m benchmarks.text_metrics [REPLICATIONS]`

Coverage: paired bootstrap intervals of a known difference, for means of skewed scores and for corpus BLEU. False alarms: the
answers of one model, two samples of each question, dealt at random to "base" and "PEFT": any "improved" or "worse" is false.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from summarize.intervals import Interval
from summarize.text_compare import compared
from summarize.text_paired import Metric, corpus_bleu, gap_intervals, mean_metric
from summarize.text_results import Aggregate, Evaluation, Profile

QUESTIONS = 60
DRAWS = 1000
Floats = npt.NDArray[np.float64]


def main(replications: int) -> None:
    print(f"{replications} replications, {QUESTIONS} questions, {DRAWS} bootstrap draws")
    for name, covered in coverage(replications).items():
        print(f"95% interval of the difference, {name}: covers {100 * covered:.1f}%")
    print(f"false 'improved' or 'worse' in a family of {len(FAMILY)} metrics: {100 * false_alarms(replications):.1f}%")


def coverage(replications: int, seed: int = 0) -> dict[str, float]:
    """Share of the intervals that hold the true difference."""
    rng = np.random.default_rng(seed)
    hits = {"mean of skewed scores": 0, "corpus BLEU": 0}
    truth = corpus_gap()
    for number in range(replications):
        base = rng.beta(1.2, 6, QUESTIONS)
        peft = np.clip(0.9 * base + 0.1 * rng.beta(2, 4, QUESTIONS), 0, 1)
        wanted = 0.1 * (1 / 3 - 1.2 / 7.2)
        hits["mean of skewed scores"] += holds(mean_metric("f1", base), mean_metric("f1", peft), wanted, number)
        first, second = counts(rng, QUESTIONS)
        hits["corpus BLEU"] += holds(bleu(first), bleu(second), truth, number)
    return {name: count / replications for name, count in hits.items()}


def holds(base: Metric, peft: Metric, truth: float, seed: int) -> bool:
    (ends,) = gap_intervals([base], [peft], 0.95, DRAWS, seed)
    return ends is not None and ends[0] <= truth <= ends[1]


def bleu(parts: Floats) -> Metric:
    return Metric("bleu", corpus_bleu(parts), parts, corpus_bleu)


def counts(rng: np.random.Generator, questions: int) -> tuple[Floats, Floats]:
    """BLEU's counts of two models that share a question's difficulty; the second one matches a little more."""
    length = rng.integers(20, 80, questions)
    skill = rng.beta(4, 6, questions)
    made = []
    for lift in (0.0, 0.05):
        rows = [length, length]
        totals = [length - order for order in range(4)]
        right = [rng.binomial(total, (skill + lift) ** (order + 1)) for order, total in enumerate(totals)]
        made.append(np.stack([*rows, *right, *totals], axis=1).astype(np.float64))
    return made[0], made[1]


def corpus_gap() -> float:
    """The difference of corpus BLEU over very many questions."""
    first, second = counts(np.random.default_rng(99), 400_000)
    return bleu(second).value - bleu(first).value


FAMILY = ("f1", "rouge1", "rouge2", "rougeL", "exact_match", "bleu", "chrf")


def false_alarms(replications: int, seed: int = 1) -> float:
    """Share of null comparisons with any verdict other than "no difference found"."""
    rng = np.random.default_rng(seed)
    how = Interval(draws=50)
    alarms = 0
    for number in range(replications):
        first, second = null_pair(rng)
        found = compared(first, second, dataclasses.replace(how, seed=number), "f1")
        alarms += any(change.verdict != "no difference found" for change in found.changes)
    return alarms / replications


def null_pair(rng: np.random.Generator) -> tuple[Evaluation, Evaluation]:
    """Two samples a question of one model: correlated metrics of a common quality."""
    difficulty = rng.normal(0, 1, QUESTIONS)
    halves: list[dict[str, Floats]] = [{}, {}]
    for half in halves:
        quality = difficulty + rng.normal(0, 0.7, QUESTIONS)
        for name in FAMILY:
            half[name] = 1 / (1 + np.exp(-(quality + rng.normal(0, 0.3, QUESTIONS))))
        half["exact_match"] = (half["exact_match"] > 0.8).astype(np.float64)
    parts = [counts(rng, QUESTIONS)[0] for _ in halves]
    return evaluation(halves[0], parts[0]), evaluation(halves[1], parts[1])


def evaluation(columns: dict[str, Floats], parts: Floats) -> Evaluation:
    names = tuple(str(number) for number in range(QUESTIONS))
    columns = columns | {"bleu": corpus_bleu(parts)}
    flat = {
        name: Aggregate(float(own.mean()), None, None, float(own.mean()), 0.0, None, "") for name, own in columns.items()
    }
    return Evaluation(
        settings={},
        metrics=flat,
        profile={"words": Profile(1.0, 1.0, 1.0)},
        ids=names,
        pairs=names,
        predictions=names,
        references=tuple((name,) for name in names),
        examples={name: tuple(own.tolist()) for name, own in columns.items()},
        parts={"bleu": tuple(map(tuple, rows(parts)))},
    )


def rows(parts: Floats) -> Iterator[list[float]]:
    yield from parts.tolist()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
