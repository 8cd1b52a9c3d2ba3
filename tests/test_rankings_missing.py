"""What is not there is marked, whatever is missing: no score is silently that of fewer tasks or questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ns_eval.config import PriceConfig
from summarize.rankings.cells import table
from summarize.rankings.evaluations import Evaluation
from summarize.rankings.grid import Grid, Stack
from summarize.rankings.scoring import How, rank

TIERS, TASKS, QUESTIONS = ("easy", "hard"), ("x", "y", "z"), 6
# For each evaluation, tier and task the number of questions that have a sample.
ANSWERED = st.lists(
    st.lists(st.integers(0, QUESTIONS), min_size=6, max_size=6).filter(any),
    min_size=1,
    max_size=4,
)


def evaluation(number: int) -> Evaluation:
    name = f"m{number}"
    return Evaluation(number, name, name, name, "", "", (), (), None, None, PriceConfig(), ())


def grid(answered: list[list[int]]) -> Grid:
    """The first questions of each task are answered, every other one right."""
    cells = {}
    for at, place in enumerate((tier, task) for tier in TIERS for task in TASKS):
        counts = np.array([own[at] for own in answered])
        if not counts.any():
            continue
        graded = (np.arange(QUESTIONS) < counts[:, None]).astype(np.float64)
        zeros = np.zeros_like(graded)
        cells[place] = Stack(
            keys=tuple((str(number), 0) for number in range(QUESTIONS)),
            graded=graded,
            right=graded * (np.arange(QUESTIONS) % 2),
            truncated=zeros,
            invalid=zeros,
            tokens=100 * graded,
            counted=graded,
            seconds=zeros,
            timed=zeros,
            chance=zeros,
            # An evaluation that was never asked a task expects nothing of it: it is missing all the same.
            expected=tuple(QUESTIONS if count else 0 for count in counts),
        )
    tiers = tuple(tier for tier in TIERS if any(own == tier for own, _ in cells))
    tasks = tuple(task for task in TASKS if any(own == task for _, own in cells))
    return Grid(tuple(map(evaluation, range(len(answered)))), tiers, tasks, cells)


@settings(max_examples=150, deadline=None)
@given(ANSWERED)
def test_a_missing_task_or_question_never_goes_unmarked(answered: list[list[int]]) -> None:
    found = grid(answered)
    ranked = rank(found, How(draws=0))
    header, *lines = table(ranked, found.tasks)
    printed = {(line[0], line[1]): dict(zip(header, line, strict=True)) for line in lines}
    assert len(printed) == len(answered) * len(found.tiers)
    for row, item in enumerate(ranked):
        for tier in found.tiers:
            line = printed[item.evaluation.label, tier]
            counts = {task: answered[row][3 * TIERS.index(tier) + TASKS.index(task)] for task in found.tasks}
            asked = [task for task in found.tasks if (tier, task) in found.cells]
            assert [line[task] == "—" for task in found.tasks] == [counts[task] == 0 for task in found.tasks]
            for task in asked:
                assert (f"({counts[task]}/{QUESTIONS})" in line[task]) == (0 < counts[task] < QUESTIONS)
            whole = all(counts[task] == QUESTIONS for task in asked)
            assert item.tiers[tier].any_incomplete == (not whole)
            assert line["ReasonScore"].endswith(("*", "—")) == (not whole)
            if not whole:
                assert item.overall.any_incomplete
            present = [own.adjusted_score for own in item.tasks[tier].values()]
            if present:
                assert item.tiers[tier].reasonscore == pytest.approx(1000 * np.exp(np.mean(np.log(present))))


@settings(max_examples=50, deadline=None)
@given(ANSWERED)
def test_the_order_of_the_evaluations_changes_nothing(answered: list[list[int]]) -> None:
    found = grid(answered)
    turned = found.only(tuple(reversed(found.evaluations)))
    assert rank(turned, How(draws=0)) == tuple(reversed(rank(found, How(draws=0))))
