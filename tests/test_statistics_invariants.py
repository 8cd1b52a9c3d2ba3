"""What must hold whatever the data: random tables never contradict themselves, and missing verdicts stay missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ns_eval.scores import Row
from summarize.invariants import check
from summarize.questions import per_question, samples
from summarize.tables import Options, tables
from tests.runs_on_disk import row, scores_of

VERDICT = st.sampled_from([True, False, None])


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    """Up to five questions of up to six samples: two judges, missing verdicts, failures, cut answers, subsets."""
    rows = []
    for question in range(draw(st.integers(1, 5))):
        for seed in range(draw(st.integers(1, 6))):
            answer = draw(st.sampled_from(["1", "2", "3", None]))
            status = draw(st.sampled_from(["ok", "error", "truncated"] if answer else ["no_answer", "truncated", "error"]))
            verdicts = {"judge": draw(VERDICT)}
            subset = "even" if question % 2 == 0 else "odd"
            rows.append(row(f"q{question}", seed, answer, draw(VERDICT), verdicts=verdicts, status=status, subset=subset))
    return rows


@settings(deadline=None, max_examples=300)
@given(rows=runs())
def test_no_table_contradicts_itself(rows: list[Row]) -> None:
    scores = scores_of(rows)
    found = samples(scores)
    check(found, {name: per_question(found, name) for name in found.values})
    for table in tables("b", found, scores.meta, Options()):
        covered = table.coverage
        assert covered.graded + covered.errored + covered.judge_missing + covered.not_run == covered.expected
        for line in table.rows:
            for cell in line.cells.values():
                if cell.value is None:
                    continue
                assert 0.0 <= cell.value <= 1.0
                assert cell.low is None or (
                    0 <= cell.low <= cell.value + 1e-9 and cell.value - 1e-9 <= (cell.high or 0) <= 1
                )
                assert cell.worst is None or cell.best is None or cell.worst <= cell.best + 1e-9
                # The bounds are over all questions; a value over all of them lies between.
                if cell.worst is not None and cell.best is not None and cell.questions == covered.questions:
                    assert line.kind == "voted" or cell.worst - 1e-9 <= cell.value <= cell.best + 1e-9


@settings(deadline=None, max_examples=200)
@given(rows=runs())
def test_subsets_add_up(rows: list[Row]) -> None:
    scores = scores_of(rows)
    whole, *parts = tables("b", samples(scores), scores.meta, Options())
    if parts:
        assert sum(part.coverage.graded for part in parts) == whole.coverage.graded
        assert sum(part.rows[-1].entries for part in parts) == whole.rows[-1].entries


@pytest.mark.parametrize(
    ("symbolic", "judge", "both", "some"),
    [
        (True, True, 1.0, 1.0),
        (True, False, 0.0, 1.0),
        (False, False, 0.0, 0.0),
        (None, False, 0.0, math.nan),
        (None, True, math.nan, 1.0),
        (None, None, math.nan, math.nan),
    ],
)
def test_and_and_or_have_three_values(symbolic: bool | None, judge: bool | None, both: float, some: float) -> None:
    for one, other in ((symbolic, judge), (judge, symbolic)):
        found = samples(scores_of([row("q", 0, "1", one, verdicts={"judge": other})]))
        np.testing.assert_equal(found.values["both_correct"], [both])
        np.testing.assert_equal(found.values["any_correct"], [some])


def test_a_failed_request_is_missing_and_an_answer_that_never_came_is_wrong() -> None:
    rows = [
        row("q", 0, None, None, status="error"),
        row("q", 1, None, None, status="truncated"),
        row("q", 2, None, None, status="no_answer"),
        row("q", 3, "1", None),
    ]
    np.testing.assert_equal(samples(scores_of(rows)).values["symbolic_correct"], [math.nan, 0.0, 0.0, math.nan])


def test_the_mean_is_over_questions_never_over_samples() -> None:
    """One question of four right samples and one of a single wrong one: 50%, not 80%."""
    scores = scores_of([*(row("a", seed, "1", True) for seed in range(4)), row("b", 0, "2", False)])
    table = tables("b", samples(scores), scores.meta, Options())[0]
    assert table.rows[-1].cells["symbolic_correct"].value == 0.5


def test_one_answer_has_one_verdict() -> None:
    """Three samples of one answer, twice right and once wrong: the class is right; even, it is wrong."""
    scores = scores_of([row("a", seed, "7", seed < 2) for seed in range(3)])
    item = per_question(samples(scores), "symbolic_correct")
    assert item.voted[0, 3] == 1.0 and item.mixed[0] == 1
    scores = scores_of([row("a", seed, "7", seed < 1) for seed in range(2)])
    assert per_question(samples(scores), "symbolic_correct").voted[0, 2] == 0.0


def test_pass_at_k_is_missing_where_a_question_has_fewer_samples() -> None:
    scores = scores_of([*(row("a", seed, "1", True) for seed in range(4)), row("b", 0, "2", False)])
    item = per_question(samples(scores), "symbolic_correct")
    assert np.isnan(item.passed[1, 2:]).all() and item.passed[1, 1] == 0.0
    assert item.passed[0, 4] == 1.0


def test_the_errors_of_the_worked_example() -> None:
    """stats.md section 8: 1010/1100/0111."""
    matrix = ["1010", "1100", "0111"]
    scores = scores_of(
        [row(f"q{q}", s, value, value == "1") for q, line in enumerate(matrix) for s, value in enumerate(line)]
    )
    cell = tables("b", samples(scores), scores.meta, Options())[0].rows[-1].cells["symbolic_correct"]
    assert cell.value == pytest.approx(0.5833, abs=1e-4)
    assert cell.error == pytest.approx(0.0833, abs=1e-4)
    assert cell.rerun == pytest.approx(0.1596, abs=1e-4)
    item = per_question(samples(scores), "symbolic_correct")
    assert item.variance.mean() == pytest.approx(0.3056, abs=1e-4)


def test_graded_scores_are_means_with_an_expected_maximum() -> None:
    rows = [row("a", seed, None, None, status="ok", scores={"rouge": value}) for seed, value in enumerate([0.2, 0.4, 0.9])]
    item = per_question(samples(scores_of(rows)), "score_rouge")
    assert item.mean[0] == pytest.approx(0.5)
    assert item.passed[0, 3] == pytest.approx(0.9)
    assert item.passed[0, 2] == pytest.approx((0.4 + 0.9 + 0.9) / 3)
