"""The printed table: source 003's layout byte for byte, and every number equal to a hand count."""

from __future__ import annotations

from pathlib import Path

import pytest

from summarize.results import ResultsConfig, main
from tests.paths import SHARED, needs_shared
from tests.runs_on_disk import comp_math, expected, output_file, row, sample, scores_file, scores_of

GOLDEN = Path(__file__).parent / "golden"


def printed(capsys: pytest.CaptureFixture[str], *folders: Path, **options: object) -> str:
    values: dict[str, object] = {"results_dirs": [str(folder) for folder in folders], "min_coverage": 0.0, **options}
    assert main(ResultsConfig(**values)) == 0  # type: ignore[arg-type]  # options of many types
    return capsys.readouterr().out


@pytest.fixture
def comp_math_run(tmp_path: Path) -> Path:
    folder = tmp_path / "eval-results" / "comp-math-24-25"
    folder.mkdir(parents=True)
    scores_file(folder, scores_of(comp_math()))
    return tmp_path


def test_the_table_of_source_003_is_printed_byte_for_byte(comp_math_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, comp_math_run, format="classic")
    table, last = out.rsplit("Metrics are saved to ", 1)
    assert table == (GOLDEN / "comp-math-24-25.txt").read_text()
    assert last == f"{comp_math_run}/eval-results/metrics.json\n"


@needs_shared
def test_the_golden_table_is_that_of_source_003() -> None:
    source = next((SHARED / "sources").glob("003*.txt")).read_text()
    # The document's editor has cut the blanks at the ends of lines.
    table = "\n".join(line.rstrip() for line in (GOLDEN / "comp-math-24-25.txt").read_text().splitlines()).rstrip("\n")
    assert table in source


def test_the_default_output_is_the_classic_table_and_a_second_one(
    comp_math_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, comp_math_run)
    assert out.startswith((GOLDEN / "comp-math-24-25.txt").read_text())
    rest = out[len((GOLDEN / "comp-math-24-25.txt").read_text()) :]
    assert rest == (GOLDEN / "comp-math-24-25.errors.txt").read_text().replace("OUT", str(comp_math_run))


def test_a_small_run_equals_a_hand_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three questions, four seeds; 1 is right.

    a: 1 1 2 2    mean 2/4, vote tied 1/2
    b: 1 3 3 -    mean 1/4, vote 3: 0, one sample without an answer
    c: - - - -    0, 0, no answer at all
    pass@1 = (1/2 + 1/4 + 0)/3 = 25%, vote = (1/2 + 0 + 0)/3 = 16.67%, pass@4 = 2/3
    no answer: 5 of 12 samples, 1 of 3 questions
    """
    answers: dict[str, list[str | None]] = {"a": ["1", "1", "2", "2"], "b": ["1", "3", "3", None], "c": [None] * 4}
    folder = tmp_path / "b"
    for seed in range(4):
        output_file(folder, seed, [sample(name, seed, own[seed], own[seed] == "1") for name, own in answers.items()])
    assert printed(capsys, folder, format="classic").splitlines()[:5] == [
        "---------------------------- b -----------------------------",
        "evaluation_mode | num_entries | symbolic_correct | no_answer",
        "majority@4      | 3           | 16.67%           | 33.33%   ",
        "pass@4          | 3           | 66.67%           | 33.33%   ",
        "pass@1[4]       | 3           | 25.00%           | 41.67%   ",
    ]


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_one_sample_a_question_prints_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int | None) -> None:
    output_file(tmp_path / "b", seed, [sample("a", seed, "1", True), sample("b", seed, "2", False)])
    lines = printed(capsys, tmp_path, format="classic").splitlines()
    assert lines[2] == "pass@1          | 2           | 50.00%           | 0.00%    "
    assert lines[3] == ""


def test_the_greedy_answer_stands_before_the_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (None, 0, 1):
        output_file(tmp_path / "b", seed, [sample("a", seed, "1", seed is None)])
    labels = [line.split(" ")[0] for line in printed(capsys, tmp_path, format="classic").splitlines()[2:6]]
    assert labels == ["greedy", "majority@2", "pass@2", "pass@1[2]"]


def test_one_subset_alone_is_not_printed_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_file(tmp_path / "b", 0, [sample("a", 0, "1", True, subset="only")])
    assert printed(capsys, tmp_path, format="classic").count("evaluation_mode") == 1


def test_judge_and_symbolic_are_joined_sample_by_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of four samples symbolic says right for 1, the judge for 2 others: both 0, any 3 (source 003's own table has both
    above symbolic, because it joined the two averages)."""
    verdicts = [(True, False), (False, True), (False, True), (False, False)]
    rows = [row("q", seed, str(seed), one, verdicts={"judge": other}) for seed, (one, other) in enumerate(verdicts)]
    (tmp_path / "hle").mkdir()
    scores_file(tmp_path / "hle", scores_of(rows))
    lines = printed(capsys, tmp_path, format="classic").splitlines()
    assert lines[1].split(" | ")[2:6] == ["symbolic_correct", "judge_correct", "both_correct", "any_correct"]
    assert [cell.strip() for cell in lines[4].split(" | ")][2:6] == ["25.00%", "50.00%", "0.00%", "75.00%"]
    assert [cell.strip() for cell in lines[3].split(" | ")][2:6] == ["100.00%", "100.00%", "0.00%", "100.00%"]


def test_several_k_stand_under_each_other(comp_math_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, comp_math_run, format="classic", k=[1, 4, 16, 64])
    labels = [line.split(" ")[0] for line in out.splitlines()[2:9]]
    assert labels == ["majority@64", "pass@64", "majority@16", "pass@16", "majority@4", "pass@4", "pass@1[64]"]


def test_fewer_questions_than_upstream_are_said_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_file(tmp_path / "b", 0, [sample("a", 0, "1", True)])
    expected(tmp_path / "b", 1, [0], upstream_rows=30)
    assert "| 1 (1 of 30)" in printed(capsys, tmp_path, format="classic")


def test_two_runs_of_one_benchmark_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "second"):
        output_file(tmp_path / name / "eval-results" / "b", 0, [sample("a", 0, "1", True)])
    out = printed(capsys, tmp_path / "first", tmp_path / "second", format="classic")
    assert " first: b " in out and " second: b " in out
    assert out.count("Metrics are saved to") == 2


def test_benchmarks_of_one_group_are_averaged_each_counting_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two questions right, and one of one: 75% over the two benchmarks, not two of three."""
    output_file(tmp_path / "ruler.4k", 0, [sample("a", 0, "1", True), sample("b", 0, "2", False)])
    output_file(tmp_path / "ruler.8k", 0, [sample("c", 0, "1", True)])
    out = printed(capsys, tmp_path, format="classic")
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if " ruler (2 benchmarks) " in line)
    assert lines[at + 2] == "pass@1          | 3           | 75.00%           | 0.00%    "


def test_the_best_of_k_by_a_reward_model_gets_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reward prefers the one right answer of three."""
    rows = [row("q", seed, str(seed), seed == 1, scores={"reward_model_score": [0.1, 0.9, 0.3][seed]}) for seed in range(3)]
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of(rows))
    lines = printed(capsys, tmp_path, format="classic", k=[2, 3]).splitlines()
    found = {line.split(" | ")[0].strip(): line.split(" | ")[2].strip() for line in lines[2:9]}
    assert found["rm_best@3"] == "100.00%"
    # Two of the three pairs hold it.
    assert found["rm_best@2"] == "66.67%"
    assert found["majority@3"] == "33.33%"
