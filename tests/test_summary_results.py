"""`ns summarize_results` says what is missing, what that could change, how to finish; all formats hold the same numbers."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ns_eval.errors import CoverageError, DataError, UsageError
from summarize.results import ResultsConfig, main
from tests.runs_on_disk import comp_math, expected, output_file, row, sample, scores_file, scores_of


def summarize(*folders: Path, **options: object) -> int:
    values: dict[str, object] = {"results_dirs": [str(folder) for folder in folders], **options}
    return main(ResultsConfig(**values))  # type: ignore[arg-type]  # options of many types


def half_done(tmp_path: Path) -> Path:
    """Four questions, two seeds: of the second seed one is missing, one failed, one is not judged."""
    folder = tmp_path / "eval-results" / "b"
    names = "abcd"
    output_file(folder, 0, [sample(name, 0, "1", name != "d") for name in names])
    second = [
        sample("a", 1, "1", True),
        sample("b", 1, None, None, status="error"),
        sample("c", 1, "5", None),
    ]
    output_file(folder, 1, second, "-async")
    expected(folder, 4, [0, 1])
    return tmp_path


def test_what_is_missing_stands_in_the_table_with_its_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summarize(half_done(tmp_path), min_coverage=0.5)
    out = capsys.readouterr().out
    assert "pass@1[2]       | 4* (5/8)" in out
    assert "* 5 of 8 samples are graded: 1 failed, 1 not judged, 1 not run" in out
    # a 2/2, b 1/2 or 2/2, c 1/2 or 2/2, d 0/2 or 1/2
    assert "pass@1[2] symbolic_correct: 50.00% to 87.50% over all 4 questions" in out


def test_the_bounds_hold_whatever_the_missing_samples_turn_out_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = [row(q, s, a, a == "1") for q, own in {"a": "1122", "b": "1333", "c": "2211"}.items() for s, a in enumerate(own)]
    for number, dropped in enumerate([(0, 5), (3, 11), (1, 2, 7), (9, 10)]):
        partly = tmp_path / str(number)
        partly.mkdir()
        kept = [item for at, item in enumerate(full) if at not in dropped]
        scores_file(partly, scores_of(kept, questions_expected=3, seeds=(0, 1, 2, 3)))
        summarize(partly, min_coverage=0, format="classic")
        capsys.readouterr()
        found = json.loads((partly / "metrics.json").read_text())[str(number)]
        truth = {"majority@4": (0.5 + 0 + 0.5) / 3, "pass@4": 1.0, "pass@1[4]": (2 + 1 + 2) / 12}
        for mode, value in truth.items():
            low, high = found[mode]["symbolic_correct_bounds"] if mode in found else (0, 1)
            assert low - 1e-12 <= value <= high + 1e-12, (mode, dropped)


def test_too_little_coverage_ends_with_6_after_the_table_and_says_how_to_finish(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = half_done(tmp_path)
    entry = {"config": {}, "versions": {}, "code": {}, "model": "m", "start": 0.0, "benchmarks": {"b": {}}}
    command = "ns eval --model=m --benchmarks=b:2 --output_dir=out"
    (run / "run.json").write_text(json.dumps({"commands": [entry | {"command": command}]}))
    with pytest.raises(
        CoverageError, match=r"b: 5 of 8 samples are graded \(62\.5%\).*output-rs1\.jsonl has 2 of 4"
    ) as caught:
        summarize(run)
    assert caught.value.exit_code == 6
    assert caught.value.hint is not None and caught.value.hint.startswith(command)
    assert "evaluation_mode" in capsys.readouterr().out


def test_a_file_with_29_of_30_rows_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_file(tmp_path / "b", 0, [sample(str(at), 0, "1", True) for at in range(29)])
    expected(tmp_path / "b", 30, [0])
    with pytest.raises(CoverageError, match=r"29 of 30 samples .*output-rs0\.jsonl has 29 of 30"):
        summarize(tmp_path)


def test_two_seeds_of_different_length_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody recorded what was expected: it is every question in every file."""
    output_file(tmp_path / "b", 0, [sample(str(at), 0, "1", True) for at in range(30)])
    output_file(tmp_path / "b", 1, [sample(str(at), 1, "1", True) for at in range(20)])
    with pytest.raises(CoverageError, match=r"50 of 60 samples .*output-rs1\.jsonl has 20 of 30"):
        summarize(tmp_path)


@pytest.mark.parametrize("name", ["empty", "not-ours"])
def test_a_folder_without_results_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    if name == "not-ours":
        (tmp_path / name / "results.csv").write_text("a,b\n")
        (tmp_path / name / "sub").mkdir()
    with pytest.raises(DataError, match=r"no results: no output\*\.jsonl") as caught:
        summarize(tmp_path / name)
    assert "ns status" in str(caught.value)
    with pytest.raises(DataError, match="is not a folder"):
        summarize(tmp_path / "absent")


def test_a_score_that_is_not_finite_names_its_question(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of([row("q7", 0, "1", True, scores={"bleu": float("inf")})]))
    with pytest.raises(DataError, match="question `q7`: score_bleu is not finite"):
        summarize(tmp_path)


def test_a_table_that_contradicts_itself_names_the_question(tmp_path: Path) -> None:
    """No judge of ours writes both_correct; somebody's table that does, wrongly, must not be printed."""
    from summarize.invariants import check
    from summarize.questions import per_question, samples

    rows = [row("q1", 0, "1", False, verdicts={"judge": True}), row("q2", 0, "1", True, verdicts={"judge": True})]
    found = samples(scores_of(rows))
    found.values["both_correct"][0] = 1.0
    with pytest.raises(DataError, match="question `q1`: both_correct exceeds symbolic_correct, which cannot be"):
        check(found, {name: per_question(found, name) for name in found.values})


def test_truncation_is_counted_and_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = [sample("a", 0, "1", True), sample("b", 0, None, None, status="truncated"), sample("c", 0, "2", False)]
    output_file(tmp_path / "b", 0, [*cut, sample("d", 0, "1", True, status="truncated")])
    summarize(tmp_path)
    out = capsys.readouterr().out
    assert (
        "truncated 50.00%: pass@1 symbolic_correct is 50.00% as graded, 50.00% among completed samples, "
        "between 25.00% and 75.00% whatever the truncated ones would have become"
    ) in out


def test_every_answer_beyond_max_seq_len_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_file(tmp_path / "b", 0, [sample("a", 0, "1", True, tokens=10), sample("b", 0, "1", True, tokens=1000)])
    summarize(tmp_path, max_seq_len=500, format="classic")
    out = capsys.readouterr().out
    assert " Metrics for Max Sequence Length 500 " in out.splitlines()[0]
    assert "| 50.00% " in out


def test_a_vote_over_equal_texts_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1/2, 0.5 and 1/2 win as one answer; as texts 3 and 3 tie with 1/2 and 1/2."""
    answers = [("1/2", True), ("0.5", True), ("3", False), ("3", False), ("1/2", True)]
    rows = [row("q", seed, text, right) for seed, (text, right) in enumerate(answers)]
    from ns_eval.scores import Meta, Scores, table

    scores = Scores(table(rows, lambda a, b: {a, b} == {"1/2", "0.5"}), Meta("b", seeds=(0, 1, 2, 3, 4)))
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores)
    for clusters, value in (("judge", "100.00%"), ("literal", "50.00%")):
        summarize(tmp_path, clusters=clusters, format="classic")
        assert f"majority@5      | 1           | {value}" in capsys.readouterr().out


def test_metrics_json_holds_every_k_the_definitions_and_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of(comp_math()))
    summarize(tmp_path, interval="t")
    found = json.loads((tmp_path / "metrics.json").read_text())
    whole = found["b-all"]
    assert set(found) == {"b-all", "b-aime25", "b-aime24", "b-hmmt-24-25", "ns_eval"}
    for k in range(2, 65):
        assert {f"pass@{k}", f"majority@{k}", f"pass^{k}", f"g-pass@{k}_0.5", f"mg-pass@{k}"} <= set(whole)
    assert whole["pass@64"]["symbolic_correct"] == pytest.approx(193 / 256)
    assert whole["pass@1[64]"]["symbolic_correct"] == pytest.approx(7305 / 16384)
    assert whole["pass@1[64]"]["symbolic_correct_se_rerun"] == pytest.approx(0.0028, abs=1e-4)
    assert whole["pass@1"]["symbolic_correct"] == pytest.approx(7305 / 16384)
    assert found["ns_eval"]["unit"] == "fraction"
    assert found["ns_eval"]["settings"]["interval"] == "t"
    assert found["ns_eval"]["definitions"]["majority@k"]["version"] == 1


def test_every_format_holds_the_same_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of(comp_math()))

    def out(name: str) -> str:
        summarize(tmp_path, format=name)
        return capsys.readouterr().out

    assert json.loads(out("json"))["b-all"]["pass@1[64]"]["symbolic_correct"] == pytest.approx(7305 / 16384)
    lines = list(csv.DictReader(io.StringIO(out("csv"))))
    line = next(item for item in lines if (item["benchmark"], item["evaluation_mode"]) == ("b-all", "pass@1[64]"))
    assert float(line["symbolic_correct"]) == pytest.approx(7305 / 16384)
    assert "| b-all " in out("markdown") and "44.59%" in out("markdown")
    assert r"b-all & pass@1[64] & 256 & 44.59\% & 40.42\% to 48.83\%" in out("latex")


def test_only_chosen_columns_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("q", seed, "1", True, verdicts={"judge": False}, scores={"bleu": 0.25}) for seed in range(2)]
    (tmp_path / "b").mkdir()
    scores_file(tmp_path / "b", scores_of(rows))
    summarize(tmp_path, format="classic", columns=["judge_correct", "score_bleu"])
    header = capsys.readouterr().out.splitlines()[1]
    assert [cell.strip() for cell in header.split(" | ")] == [
        "evaluation_mode",
        "num_entries",
        "judge_correct",
        "score_bleu",
    ]


def test_the_three_shapes_of_a_results_folder_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    for place in ("eval-results/b", "eval-results/group/c", "eval-results/b-logs-before-1", "eval-logs/x"):
        output_file(run / place, 0, [sample("a", 0, "1", True)])
    for path, titles in (
        (run, [" b ", " group/c "]),
        (run / "eval-results", [" b ", " group/c "]),
        (run / "eval-results" / "b", [" b "]),
    ):
        summarize(path, format="classic")
        found = [line.strip("-") for line in capsys.readouterr().out.splitlines() if line.startswith("---")]
        assert found == titles
    with pytest.raises(UsageError, match="holds no benchmark `bb`, did you mean `b`"):
        summarize(run, benchmarks=["bb"])


def test_judged_results_are_read_before_plain_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output_file(tmp_path / "eval-results" / "hle", 0, [sample("a", 0, "1", True)])
    output_file(tmp_path / "eval-results-judged" / "hle", 0, [sample("a", 0, "1", True, judge=False)])
    summarize(tmp_path, format="classic")
    assert "judge_correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"format": "tex"}, "--format=tex: did you mean `text`"),
        ({"interval": "wald"}, "--interval=wald"),
        ({"clusters": "none"}, "--clusters=none"),
        ({"k": [0]}, "--k=0"),
        ({"plot": "out.pdf"}, "ends in .png, .svg or .html"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, options: dict[str, object], complaint: str) -> None:
    output_file(tmp_path / "b", 0, [sample("a", 0, "1", True)])
    with pytest.raises(UsageError) as caught:
        summarize(tmp_path, **options)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("ending", ["png", "svg", "html"])
def test_the_picture_is_of_the_kind_that_its_name_says(tmp_path: Path, ending: str) -> None:
    output_file(tmp_path / "b", 0, [sample(str(at), 0, "1", at % 2 == 0, tokens=at) for at in range(40)])
    output_file(tmp_path / "b", 1, [sample(str(at), 1, "1", at % 3 == 0, tokens=at) for at in range(40)])
    summarize(tmp_path, plot=str(tmp_path / f"out.{ending}"))
    content = (tmp_path / f"out.{ending}").read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
        return
    svg = content[content.index(b"<svg") :]
    texts = {"".join(item.itertext()).strip() for item in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")}
    assert ElementTree.fromstring(svg).tag.endswith("svg") and texts
    assert content.startswith(b"<!doctype html>") == (ending == "html")


def test_the_interval_is_chosen_on_the_command_line_and_named_in_the_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--metric_type and --cluster of older scripts are taken beside it."""
    from ns_eval.cli import main as ns

    output_file(tmp_path / "b", 0, [sample(str(at), 0, "1", at % 2 == 0) for at in range(6)])
    for words, named in {
        (): "95% Wilson interval with effective n",
        ("--interval=clopper-pearson", "--level=0.9"): "90% Clopper-Pearson interval with effective n",
        ("--interval=bootstrap",): "95% percentile bootstrap over questions, 10,000 draws, seed 0",
    }.items():
        assert ns(["summarize_results", str(tmp_path), "--metric_type", "math", "--cluster=local", *words]) == 0
        assert f"errors: {named};" in capsys.readouterr().out


def test_a_run_is_a_data_frame(tmp_path: Path) -> None:
    from summarize.frames import load_run

    for name in ("x", "y"):
        output_file(tmp_path / "eval-results" / name, 0, [sample("a", 0, "1", True), sample("b", 0, None, False)])
    frame = load_run(tmp_path)
    assert list(frame["benchmark"]) == ["x", "x", "y", "y"]
    assert frame["symbolic_correct"].astype(float).mean() == 0.5
