"""How long does a table of 100,000 pairs take, and how much memory? `python -m benchmarks.text_scale [PAIRS]`

Pairs of 60 to 180 words, all metrics of overlap, measured in processes; then base against PEFT with 10,000 draws. Printed
are seconds and pairs a second beside those of one process, and the peak memory of this process and of the largest worker.
"""

from __future__ import annotations

import logging
import random
import resource
import sys
import time

from ns_eval.grading import cores
from summarize.text import Evaluator
from summarize.text_scored import OVERLAP, OverlapScorer

WORDS = [f"word{number}" for number in range(3000)]
FEW = 300


def main(pairs: int) -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", stream=sys.stderr)
    rng = random.Random(0)
    references = [" ".join(rng.choices(WORDS, k=rng.randint(60, 180))) for _ in range(pairs)]
    base, peft = ([changed(text, rng, kept) for text in references] for kept in (0.6, 0.61))
    alone = seconds(base[:FEW], references[:FEW])
    print(f"one process: {FEW / alone:,.0f} pairs a second", flush=True)
    evaluator = Evaluator(OVERLAP)
    began = time.monotonic()
    first = evaluator.evaluate(base, references)
    took = time.monotonic() - began
    times = alone * pairs / FEW / took
    print(f"{pairs:,} pairs in {cores()} processes: {took:,.0f} s, {pairs / took:,.0f} a second ({times:.2f} times as many)")
    second = evaluator.evaluate(peft, references)
    began = time.monotonic()
    found = evaluator.compare(first, second)
    print(f"compared: {time.monotonic() - began:,.0f} s")
    peaks = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"memory: {peaks[0]:.2f} GiB here, {peaks[1]:.2f} GiB in the largest process below")
    print(found)


def changed(text: str, rng: random.Random, kept: float) -> str:
    return " ".join(word if rng.random() < kept else rng.choice(WORDS) for word in text.split())


def seconds(texts: list[str], references: list[str]) -> float:
    """Of so few that they are measured here; the libraries are imported before."""
    scorer = OverlapScorer({"metrics": list(OVERLAP)}, None)
    listed = [[one] for one in references]
    scorer.score(texts[:2], listed[:2])
    began = time.monotonic()
    scorer.score(texts, listed)
    return time.monotonic() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
