"""How often the intervals of a ranking hold the truth: python -m benchmarks.rankings_coverage [--replications=2000]

First the skill (p - g)/(1 - g) of one task with 200 items and chance level g: Wilson's interval on the adjusted counts,
which is the score's own, and the raw one carried over, which is the one to infer from (stats.md 1.2). Then the bootstrap
interval of the ReasonScore (its center) of three tasks of 100 questions with four samples each. Nominal: 0.95.
"""

from __future__ import annotations

import argparse

import numpy as np

from summarize.rankings.bootstrap import draws
from summarize.rankings.grid import Stack
from summarize.rankings.reasonscore import Counts, adjusted_score, center_margin, geometric_mean, skill_interval

ITEMS = 200


def skills(chance: float, skill: float, replications: int) -> tuple[float, float]:
    """(share held by the adjusted counts' interval, by the transformed one)."""
    rng = np.random.default_rng(1)
    hits = rng.binomial(ITEMS, chance + skill * (1 - chance), replications)
    zeros = np.zeros(replications)
    center, margin = center_margin(Counts(zeros + ITEMS, hits.astype(np.float64), zeros + ITEMS * chance, zeros))
    own = (center - margin <= skill) & (skill <= center + margin)
    ends = np.array([skill_interval(float(hit), ITEMS, chance) for hit in hits])
    return float(own.mean()), float(((ends[:, 0] <= skill) & (skill <= ends[:, 1])).mean())


def stack(rng: np.random.Generator, mean: float, cut: float, questions: int, seeds: int) -> Stack:
    """Questions whose chances of success are spread around the mean."""
    chances = rng.beta(2 * mean, 2 * (1 - mean), questions)
    truncated = rng.binomial(seeds, cut, questions)
    right = rng.binomial(seeds - truncated, chances)
    given = {"graded": seeds - truncated, "right": right, "truncated": truncated}
    empty = dict.fromkeys(("invalid", "tokens", "counted", "seconds", "timed", "chance"), np.zeros(questions))
    arrays = {name: values[None, :].astype(np.float64) for name, values in (given | empty).items()}
    return Stack(tuple((str(at), 0) for at in range(questions)), **arrays, expected=(questions,))


def reasonscore(mean: float, cut: float, replications: int) -> float:
    """The share of bootstrap intervals that hold the score which endless samples would have."""
    rng = np.random.default_rng(2)
    truth = 1000 * max(0.01, mean - cut)
    held = 0
    for _ in range(replications):
        tasks = [draws(stack(rng, mean, cut, 100, 4), 400, rng)[0] for _ in range(3)]
        values = 1000 * geometric_mean(np.stack([adjusted_score(own, "center") for own in tasks], axis=-1))[:, 0]
        low, high = np.quantile(values, [0.025, 0.975])
        held += bool(low <= truth <= high)
    return held / replications


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000)
    options = parser.parse_args()
    print("| chance | skill | Wilson on adjusted counts | transformed raw Wilson |\n|---|---|---|---|")
    for chance in (0.5, 0.25, 0.0):
        for skill in (0.05, 0.2, 0.5, 0.8):
            own, transformed = skills(chance, skill, options.replications)
            print(f"| {chance} | {skill} | {own:.3f} | {transformed:.3f} |")
    print("\n| mean accuracy | cut | ReasonScore, bootstrap |\n|---|---|---|")
    for mean, cut in ((0.5, 0.0), (0.8, 0.0), (0.8, 0.1), (0.3, 0.05)):
        print(f"| {mean} | {cut} | {reasonscore(mean, cut, options.replications // 5):.3f} |", flush=True)


if __name__ == "__main__":
    main()
