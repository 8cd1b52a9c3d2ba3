"""What was asked for and what is there: the fate of every sample, and what the missing ones could change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns_eval.scores import Meta
from summarize.at_k import Votes, pass_at_k
from summarize.questions import GREEDY, JOINT, Floats, Integers, Samples
from summarize.voting import expected_votes


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts of samples. expected = graded + errored + judge_missing + not_run; truncated and no_answer are of the graded.

    `questions` is how many were expected; `partial` names, worst first, the seeds that lack samples, with their counts.
    """

    expected: int
    graded: int
    errored: int
    judge_missing: int
    not_run: int
    truncated: int
    no_answer: int
    questions: int
    samples: int
    upstream_questions: int | None = None
    partial: tuple[tuple[int, int], ...] = ()

    @property
    def share(self) -> float:
        return self.graded / self.expected if self.expected else 0.0

    @property
    def complete(self) -> bool:
        return self.graded == self.expected


def coverage(found: Samples, meta: Meta, *, whole: bool) -> Coverage:
    """Of the seeded samples; of the greedy ones where there are no others. `whole`: all subsets, so `meta` tells the number.

    Where nobody recorded what was expected it is every question in every file.
    """
    seeds = [GREEDY if seed is None else seed for seed in meta.seeds] or sorted({*found.seed.tolist()})
    seeds = [seed for seed in seeds if seed != GREEDY] or [GREEDY]
    kept = np.isin(found.seed, seeds)
    questions = max(found.count, meta.questions_expected or 0) if whole else found.count
    failed = found.status[kept] == "error"
    missing = np.zeros(len(failed), np.bool_)
    for name, value in found.values.items():
        # `both` and `any` may be known without every judge; what was asked for is each judge's own verdict.
        if name not in JOINT and name not in found.graded:
            missing |= np.isnan(value[kept])
    if found.graded == found.values.keys():
        # Nothing but ratings: a sample is graded where its headline is known.
        missing = np.isnan(next(iter(found.values.values()))[kept])
    graded = ~failed & ~missing
    by_seed = {seed: int(np.sum(found.seed[kept][~failed] == seed)) for seed in seeds}
    partial = [(seed, count) for seed, count in by_seed.items() if count < questions]
    return Coverage(
        expected=questions * len(seeds),
        graded=int(graded.sum()),
        errored=int(failed.sum()),
        judge_missing=int((missing & ~failed).sum()),
        not_run=questions * len(seeds) - len(failed),
        truncated=int((found.status[kept][graded] == "truncated").sum()),
        no_answer=int(found.silent[kept][graded].sum()),
        questions=questions,
        samples=len(seeds),
        upstream_questions=meta.upstream_rows,
        partial=tuple(sorted(partial, key=lambda item: item[1])),
    )


@dataclass(frozen=True, slots=True)
class Extremes:
    """Per question: the value if every missing sample were wrong, and if every one were right."""

    worst: Floats
    best: Floats


def mean_extremes(n: Integers, right: Floats, samples: int) -> Extremes:
    """Of a question's mean once it has all its samples."""
    total = np.maximum(n, samples)
    return Extremes(right / total, (right + total - n) / total)


def pass_extremes(n: Integers, right: Integers, samples: int, k: int) -> Extremes:
    """Of pass@k once every question has all its samples; a right one more can only raise it."""
    worst, best = (np.full(len(n), np.nan) for _ in range(2))
    for size in np.unique(n):
        rows = n == size
        total = max(int(size), samples)
        worst[rows] = pass_at_k(total, right[rows])[:, k]
        best[rows] = pass_at_k(total, right[rows] + total - size)[:, k]
    return Extremes(worst, best)


def vote_extremes(voted: Floats, tables: Sequence[Votes], samples: int, k: int) -> Extremes:
    """Of majority@k, which is `voted` where nothing is missing: the rest votes for the largest wrong or right class."""
    short = [at for at, table in enumerate(tables) if table.n < samples]
    worst, best = voted.copy(), voted.copy()
    for ends, verdict in ((worst, False), (best, True)):
        joined = [_joined(tables[at], samples, verdict=verdict) for at in short]
        ends[short] = expected_votes(joined, samples + 1)[:, k]
    return Extremes(worst, best)


def _joined(table: Votes, samples: int, *, verdict: bool) -> Votes:
    missing = max(0, samples - table.n)
    if not missing:
        return table
    sizes, right = list(table.sizes), list(table.right)
    alike = [at for at, own in enumerate(right) if own == verdict]
    if not alike:
        return Votes((*sizes, missing), (*right, verdict), table.unanswered)
    sizes[max(alike, key=lambda at: sizes[at])] += missing
    return Votes(tuple(sizes), tuple(right), table.unanswered)
