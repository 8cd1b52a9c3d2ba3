"""Ratings on a scale of their own are summed up as such: not as shares, not as verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from summarize.comparing import CompareConfig
from summarize.comparing import main as compare
from summarize.results import ResultsConfig, main, summaries
from tests.rubric_runs import CRITERIA, TOTALS, judged_run, question, rated, source_000


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nine")
    source_000(folder)
    return folder


def test_a_rating_is_printed_on_its_scale(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ResultsConfig(results_dirs=[str(nine / "openai__gpt-5-mini")])) == 0
    out = capsys.readouterr().out
    assert "rubric_correct" not in out
    assert "pass@1          | 240         | 4.957" in out
    assert "4.944 to 4.967" in out
    assert "240/240" not in out  # all are graded: the coverage is 100.00%
    assert "truncated 5.00%: pass@1 score_overall_score is 4.957 as graded, 4.968 among completed samples\n" in out


def test_a_truncated_answer_is_an_answer_where_texts_are_rated(nine: Path) -> None:
    (summary,) = summaries(ResultsConfig(results_dirs=[str(nine / "openai__gpt-5-mini")]))
    assert summary.tables[0].rows[0].no_answer == 0.0
    assert summary.tables[0].coverage.truncated == 12


def test_an_unreadable_rating_lowers_the_coverage(tmp_path: Path) -> None:
    full = dict.fromkeys(CRITERIA, 4)
    found = [rated(question(0), full), rated(question(1), None), rated(question(2), full), rated(question(3), full)]
    judged_run(tmp_path, "m", found)
    (summary,) = summaries(ResultsConfig(results_dirs=[str(tmp_path)]))
    covered = summary.tables[0].coverage
    assert (covered.graded, covered.judge_missing, covered.expected) == (3, 1, 4)
    assert summary.tables[0].rows[0].cells["score_overall_score"].value == 4.0


def test_runs_of_ratings_are_compared_on_their_scale(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(nine / name.replace("/", "__")) for name in list(TOTALS)[:2]]
    assert compare(CompareConfig(runs=runs)) == 0
    out = capsys.readouterr().out
    assert "| 4.957 |" in out
    assert "| +0.044" in out
    assert "%" not in out.replace("95%", "").replace("80%", "")
