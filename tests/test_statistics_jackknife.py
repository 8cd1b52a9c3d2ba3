"""The error of asking again, for pass@k and majority@k with k < n, is the jackknife's, and as large as reruns vary."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from summarize.at_k import Votes, majority_at_k, pass_at_k
from summarize.jackknife import pass_variances, vote_variances
from summarize.results import ResultsConfig, main
from tests.runs_on_disk import row, scores_file, scores_of

ANSWERS = [None, 0, 1, 2]


def table_of(answers: list[int | None], right: list[bool]) -> Votes:
    known = [answer for answer in ANSWERS if answer is not None and answer in answers]
    return Votes(
        tuple(answers.count(answer) for answer in known), tuple(right[answer] for answer in known), answers.count(None)
    )


@settings(deadline=None, max_examples=60)
@given(
    answers=st.lists(st.sampled_from(ANSWERS), min_size=2, max_size=7), right=st.lists(st.booleans(), min_size=3, max_size=3)
)
def test_the_variance_is_that_of_leaving_out_each_sample_in_turn(answers: list[int | None], right: list[bool]) -> None:
    n = len(answers)
    left = [table_of(answers[:at] + answers[at + 1 :], right) for at in range(n)]
    votes = np.array([majority_at_k([table])[0] for table in left])
    found = vote_variances([table_of(answers, right)], n + 1)[0]
    np.testing.assert_allclose(found[1:n], (n - 1) / n * ((votes - votes.mean(axis=0)) ** 2).sum(axis=0)[1:n], atol=1e-14)
    hits = [answer is not None and right[answer] for answer in answers]
    passes = np.array([pass_at_k(n - 1, sum(hits) - hit) for hit in hits])
    found = pass_variances(np.array([n]), np.array([sum(hits)]), n + 1)[0]
    np.testing.assert_allclose(found[1:n], (n - 1) / n * ((passes - passes.mean(axis=0)) ** 2).sum(axis=0)[1:n], atol=1e-14)


def test_at_one_sample_it_is_the_plain_error_and_at_all_of_them_unknown() -> None:
    """majority@1 is the mean: its variance is s^2/n; at k = n there is one subset and nothing to see."""
    table = Votes((5, 3), (True, False))
    found = vote_variances([table], 9)[0]
    assert found[1] == pytest.approx(np.var([1] * 5 + [0] * 3, ddof=1) / 8)
    assert np.isnan(found[[0, 8]]).all()
    assert pass_variances(np.array([8]), np.array([5]), 9)[0, 1] == pytest.approx(found[1])


@pytest.mark.parametrize(("k", "most"), [(3, 1.3), (6, 2.0)])
def test_it_is_as_large_as_reruns_vary_or_larger(k: int, most: float) -> None:
    rng = np.random.default_rng(k)
    tables = [
        Votes(tuple(counts[:3]), (True, False, False), counts[3])
        for counts in rng.multinomial(12, [0.4, 0.35, 0.15, 0.1], 400).tolist()
    ]
    truth = majority_at_k(tables)[:, k].var()
    assert 0.8 * truth < vote_variances(tables, 13)[:, k].mean() < most * truth
    right = np.array([table.sizes[0] for table in tables])
    truth = pass_at_k(12, right)[:, k].var()
    assert 0.8 * truth < pass_variances(np.full(400, 12), right, 13)[:, k].mean() < most * truth


def test_the_table_holds_it_for_k_below_n(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(f"q{q}", seed, str(answer), answer == 0)
        for q in range(12)
        for seed, answer in enumerate(rng.choice(3, 8, p=[0.5, 0.3, 0.2]).tolist())
    ]
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of(rows))
    main(ResultsConfig(results_dirs=[str(tmp_path)], k=[4, 8]))
    lines = {
        line.split(" | ")[0].strip(): line.split(" | ")
        for line in capsys.readouterr().out.split("errors and")[1].splitlines()
    }
    assert lines["majority@8"][3].strip() == lines["pass@8"][3].strip() == "n/a"
    found = json.loads((tmp_path / "metrics.json").read_text())["b"]
    for mode in ("majority@4", "pass@4"):
        error = found[mode]["symbolic_correct_se_rerun"]
        assert 0 < error < 0.1 and lines[mode][3].strip() == f"{100 * error:.2f}%"
    tables = [
        Votes(tuple(counts[counts > 0].tolist()), tuple((np.flatnonzero(counts) == 0).tolist()))
        for counts in [
            np.bincount([int(item.answer or 0) for item in rows if item.question_id == f"q{q}"]) for q in range(12)
        ]
    ]
    wanted = math.sqrt(vote_variances(tables, 9)[:, 4].sum()) / 12
    assert found["majority@4"]["symbolic_correct_se_rerun"] == pytest.approx(wanted)
