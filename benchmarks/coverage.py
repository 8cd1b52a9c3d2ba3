"""How often each interval holds the true mean: python -m benchmarks.coverage [--replications=4000]

Questions are drawn from a population whose chances of success are Beta distributed around the mean (concentration 1: most
questions are nearly always or nearly never solved, as in competition mathematics; 4: most lie between), samples are drawn
from the questions. What is covered is the population's mean: "new questions of this kind". Nominal: 0.95.
"""

from __future__ import annotations

import argparse

import numpy as np

from summarize.intervals import METHODS, Interval, interval

CASES = [
    # questions, samples, mean, concentration
    (30, 64, 0.5, 1.0),
    (30, 64, 0.9, 1.0),
    (30, 64, 0.5, 4.0),
    (30, 64, 0.9, 4.0),
    (30, 64, 0.12, 1.0),
    (30, 1, 0.9, 1.0),
    (10, 64, 0.5, 1.0),
    (100, 16, 0.9, 1.0),
    (256, 64, 0.45, 1.0),
]
SLOW = ("bootstrap",)


def covered(case: tuple[int, int, float, float], method: str, replications: int) -> float:
    """The share of intervals that hold the mean."""
    questions, samples, mean, concentration = case
    rng = np.random.default_rng(1)
    how = Interval(method, draws=500)
    hits = 0
    for _ in range(replications):
        chances = rng.beta(mean * concentration, (1 - mean) * concentration, questions)
        low, high = interval(rng.binomial(samples, chances) / samples, how) or (np.nan, np.nan)
        hits += low <= mean <= high
    return hits / replications


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args()
    print("| questions | samples | mean | concentration | " + " | ".join(options.methods) + " |")
    print("|---" * (4 + len(options.methods)) + "|")
    for case in CASES:
        shares = [covered(case, method, options.replications // (2 if method in SLOW else 1)) for method in options.methods]
        print("| " + " | ".join([*map(str, case), *(f"{share:.3f}" for share in shares)]) + " |", flush=True)


if __name__ == "__main__":
    main()
