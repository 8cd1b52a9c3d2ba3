"""What each printed number means, and the version of its definition: a changed formula shows in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """`version` counts changes of the number, not of the wording."""

    version: int
    text: str


DEFINITIONS: Mapping[str, Definition] = {
    "num_entries": Definition(1, "questions behind the row; 29* (1912/1920) means that 1912 of 1920 samples are graded"),
    "pass@1[K]": Definition(1, "mean over questions of the mean of their samples; K is the number of samples"),
    "pass@k": Definition(1, "mean over questions with n >= k samples of 1 - C(n-c, k)/C(n, k)"),
    "majority@k": Definition(
        1,
        "mean over questions with n >= k of the expected vote among k of n: equal answers are one class with one verdict "
        "(that of most of its samples, wrong where even), ties share, samples without an answer do not vote",
    ),
    "pass^k": Definition(1, "mean over questions of C(c, k)/C(n, k): all k are right"),
    "g-pass@k_t": Definition(1, "mean over questions of P(at least max(ceil(t k), 1) of k are right)"),
    "mg-pass@k": Definition(1, "twice the mean over i in (k/2, k] of P(at least i of k are right)"),
    "best@k": Definition(1, "mean over questions of the expected verdict of the best of k by a score column, ties sharing"),
    "no_answer": Definition(1, "share without a parsed answer: of samples for pass@1, else of k-subsets"),
    "both_correct": Definition(1, "every judge says right, sample by sample; one no is a no, else one missing is missing"),
    "any_correct": Definition(1, "some judge says right, sample by sample; one yes is a yes, else one missing is missing"),
    "se": Definition(1, "standard error for new questions of this kind: clustered by `cluster`, factor G/(G-1)"),
    "se_rerun": Definition(
        1,
        "standard error of asking the same questions again: sqrt(sum of w_i/K_i)/Q; of pass@k and majority@k with k < n by "
        "the delete-one jackknife",
    ),
    "interval": Definition(1, "Wilson's formula with the effective number of questions, unless another is named"),
    "avg_tokens": Definition(1, "mean over questions of the mean generated tokens of their samples"),
    "truncated": Definition(1, "share of samples that ended at the token limit"),
    "coverage": Definition(1, "graded samples over expected ones"),
    "bounds": Definition(1, "the value if every missing sample is wrong, and if every one is right"),
}
