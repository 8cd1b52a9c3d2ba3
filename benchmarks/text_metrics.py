"""Does the table of base against PEFT say what it claims? `python -m benchmarks.text_metrics [REPLICATIONS]`

Coverage: paired bootstrap intervals of a known difference, for means of skewed scores and for corpus BLEU. False alarms: the
answers of one model, of 8 real samples of each question two dealt at random to "base" and "PEFT": any "improved" or "worse"
is false. The samples are Qwen2.5-Math's on 50 questions of MATH, below $NS_SHARED.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ns_eval.records import read_jsonl
from summarize.intervals import Interval
from summarize.text import Evaluator
from summarize.text_compare import compared
from summarize.text_paired import Metric, corpus_bleu, gap_intervals, mean_metric
from summarize.text_results import Evaluation
from tests.paths import SHARED

QUESTIONS = 60
DRAWS = 1000
FAMILY = ("f1", "rouge", "exact_match", "bleu", "chrf")
SAMPLES = SHARED / "data" / "model_outputs" / "qwen25_math_n8" / "math_cot.1-50.jsonl"
N = 8
Floats = npt.NDArray[np.float64]
T = TypeVar("T")


def main(replications: int) -> None:
    print(f"{replications} replications, {QUESTIONS} questions, {DRAWS} bootstrap draws")
    for name, covered in coverage(replications).items():
        print(f"95% interval of the difference, {name}: covers {100 * covered:.1f}%")
    alarms = false_alarms(replications)
    print(f"false 'improved' or 'worse' among 7 metrics, one model's samples split: {100 * alarms:.1f}%")


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


def false_alarms(replications: int, seed: int = 1) -> float:
    """Share of null comparisons with any verdict other than "no difference found"."""
    samples = real_samples()
    rng = np.random.default_rng(seed)
    alarms = 0
    for number in range(replications):
        first, second = null_pair(samples, rng)
        found = compared(first, second, Interval(draws=50, seed=number), "f1")
        alarms += any(change.verdict != "no difference found" for change in found.changes)
    return alarms / replications


def real_samples() -> Evaluation:
    """Every sample of every question against its worked solution; sample s of question q stands at q * N + s."""
    rows = [row for _, row in read_jsonl(SAMPLES)]
    texts = [text for row in rows for text in row["code"]]
    wanted = [row["solution"] for row in rows for _ in row["code"]]
    return Evaluator(FAMILY, how=Interval(draws=50)).evaluate(texts, wanted)


def null_pair(samples: Evaluation, rng: np.random.Generator) -> tuple[Evaluation, Evaluation]:
    """Two different samples of each question, dealt at random to "base" and "PEFT"."""
    questions = len(samples) // N
    dealt = rng.permuted(np.tile(np.arange(N), (questions, 1)), axis=1)[:, :2] + N * np.arange(questions)[:, None]
    return part(samples, dealt[:, 0]), part(samples, dealt[:, 1])


def part(samples: Evaluation, chosen: npt.NDArray[np.int64]) -> Evaluation:
    """Those samples as the answers of one model, a question each."""
    places = chosen.tolist()
    ids = tuple(str(at // N) for at in places)

    def taken(columns: Mapping[str, Sequence[T]]) -> dict[str, tuple[T, ...]]:
        return {name: tuple(own[at] for at in places) for name, own in columns.items()}

    return dataclasses.replace(
        samples,
        ids=ids,
        pairs=ids,
        predictions=tuple(samples.predictions[at] for at in places),
        references=tuple(samples.references[at] for at in places),
        examples=taken(samples.examples),
        parts=taken(samples.parts),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
