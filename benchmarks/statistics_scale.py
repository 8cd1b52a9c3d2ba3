"""Every statistic of a million rows: python -m benchmarks.statistics_scale [--models=20] [--questions=781] [--seeds=64]

Random answers with a right class, wrong ones that recur, two judges and some silence; the tables of all models with every k
in metrics.json, then all pairs of models compared. Limits: 20 CPU s and 2 GB.

A lone question of 64 samples in 10 classes is timed apart (best of 100). Limit: 3 CPU ms for every k.

The reference is the plain loop of upstream at one k (first k samples, a Counter a question), in the same run.
"""

from __future__ import annotations

import argparse
import collections
import math
import resource
import time

import numpy as np

from ns_eval.scores import Meta, Row, Scores, table
from summarize.at_k import Votes, majority_at_k
from summarize.comparing import CompareConfig, aligned, compared
from summarize.metrics import metrics
from summarize.questions import Samples, samples
from summarize.tables import Options, Table, tables


def model(seed: int, questions: int, seeds: int) -> Scores:
    """One model's rows: each question has a right answer, three wrong ones that recur, and others that do not."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(questions):
        shares = rng.dirichlet([1.5, 0.8, 0.4, 0.2, 0.5, 0.1])
        answers = rng.choice(6, seeds, p=shares)
        judged = rng.random(seeds)
        for at, answer in enumerate(answers.tolist()):
            text = None if answer == 5 else f"{number}-{at}" if answer == 4 else str(answer)
            right = answer == 0
            verdicts = {"symbolic": right, "judge": right != (judged[at] < 0.02)}
            status = "ok" if text else "no_answer"
            rows.append(Row(str(number), str(number), None, None, at, status, text, verdicts, completion_tokens=100 + at))
    return Scores(table(rows), Meta("b", seeds=tuple(range(seeds))))


def counted(found: Samples) -> float:
    """majority@n of one score as a loop over questions and samples."""
    votes: dict[int, collections.Counter[tuple[int, float]]] = collections.defaultdict(collections.Counter)
    symbolic = found.values["symbolic_correct"]
    for question, answer, right in zip(found.question.tolist(), found.classes.tolist(), symbolic.tolist(), strict=True):
        if answer >= 0:
            votes[question][answer, right] += 1
    return sum(counts.most_common(1)[0][0][1] for counts in votes.values()) / found.count


def lone_question() -> float:
    """CPU seconds of majority@k, every k, of one question with 64 samples in 10 classes: the best of 100."""
    table = Votes((19, 14, 9, 6, 5, 4, 3, 2, 1, 1), (True, False, True, *(False,) * 7))
    best = math.inf
    for _ in range(100):
        start = time.process_time()
        majority_at_k([table])
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--questions", type=int, default=781)
    parser.add_argument("--seeds", type=int, default=64)
    options = parser.parse_args()
    runs = [model(seed, options.questions, options.seeds) for seed in range(options.models)]

    start = time.process_time()
    found = [samples(run) for run in runs]
    made: list[Table] = [
        tables(f"m{at}", own, run.meta, Options())[0] for at, (own, run) in enumerate(zip(found, runs, strict=True))
    ]
    metrics(made, {})
    summary = time.process_time() - start
    start = time.process_time()
    labels = [f"m{at}" for at in range(len(found))]
    pairs = compared([aligned("b", found, labels, CompareConfig(runs=labels))], 0.95)
    comparison = time.process_time() - start
    start = time.process_time()
    for own in found:
        counted(own)
    reference = time.process_time() - start

    print(f"{options.models * options.questions * options.seeds:,} rows, 4 scores, every k up to {options.seeds}")
    print(f"tables and every k   {summary:6.2f} CPU s")
    print(f"{len(pairs)} comparisons      {comparison:6.2f} CPU s")
    print(f"one lone majority    {1000 * lone_question():6.2f} CPU ms (64 samples, 10 classes, every k; best of 100)")
    print(f"one plain majority   {reference:6.2f} CPU s (a loop, one k of one score)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory          {peak:6.0f} MB, the rows' making included")


if __name__ == "__main__":
    main()
