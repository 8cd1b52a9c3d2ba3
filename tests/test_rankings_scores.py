"""ReasonScore by its definition, the cells to the letter, the JSON field by field, and one clear sentence for bad input."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ns_eval.cli import main
from summarize.rankings.cells import score_cell, task_cell
from summarize.rankings.reasonscore import Counts, adjusted_score, center_margin, geometric_mean, joint_score, skill_interval
from summarize.rankings.scoring import Scored, TaskScore
from tests.rankings_on_disk import answers, dataset_file, run_of
from tests.runs_on_disk import row


def counts(graded: float, right: float, guesses: float = 0.0, truncated: float = 0.0) -> Counts:
    return Counts(*(np.array(value, dtype=np.float64) for value in (graded, right, guesses, truncated)))


def task(center: float, upper: float, cut: float = 0.0, points: int = 10, expected: int = 10) -> TaskScore:
    return TaskScore(
        center, upper - center, cut, None, upper - cut, points, expected, points < expected, 0, 10, 5, 0, 0, 0, None, None
    )


def scored(data: Path | Sequence[Path], capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    named = [str(data)] if isinstance(data, Path) else [str(item) for item in data]
    assert main(["scores", *named, "--format=json", "--draws=0", *words]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code = main([str(word) for word in words])
    assert code in (2, 3)
    return capsys.readouterr().err


def test_the_documents_own_example_adds_up() -> None:
    """arithmetic, easy: center .808, margin .018, truncated .015, adjusted .811; such a margin needs some 1,830 trials."""
    found = counts(1830, 1480, 0, 1830 * 0.015 / 0.985)
    center, margin = center_margin(found)
    assert (round(float(center), 3), round(float(margin), 3)) == (0.808, 0.018)
    assert round(float(found.truncated_ratio), 3) == 0.015
    assert round(float(adjusted_score(found)), 3) == 0.811


@pytest.mark.parametrize("n", [1, 2, 7, 100, 10_000])
def test_all_right_is_one_whatever_the_number(n: int) -> None:
    center, margin = center_margin(counts(n, n))
    assert center + margin == pytest.approx(1.0, abs=1e-12)
    assert adjusted_score(counts(n, n)) == pytest.approx(1.0, abs=1e-12)


def test_few_samples_are_favoured_as_stats_md_says() -> None:
    center, margin = center_margin(counts(8, 4))
    assert round(float(center + margin), 2) == 0.78


def test_guessing_is_nothing_and_perfect_is_everything() -> None:
    center, margin = center_margin(counts(100, 25, 25))
    assert float(center - margin) == pytest.approx(0.0, abs=1e-12)
    center, margin = center_margin(counts(100, 100, 25))
    assert float(center + margin) == pytest.approx(1.0)
    assert joint_score(counts(100, 25, 25)) == 0.01


def test_the_geometric_mean_has_a_floor_and_skips_what_is_missing() -> None:
    assert geometric_mean(np.array([0.01, 1.0])) == pytest.approx(0.1)
    assert geometric_mean(np.array([0.5, np.nan, 0.5])) == pytest.approx(0.5)
    assert np.isnan(geometric_mean(np.array([np.nan])))
    # The document's successor prints .618 for this one; it is .7433.
    assert geometric_mean(np.array([0.95] * 11 + [0.05])) == pytest.approx(0.7433, abs=1e-4)
    assert adjusted_score(counts(10, 0, 0, 90)) == 0.01


def test_without_any_graded_sample_nothing_is_known() -> None:
    center, margin = center_margin(counts(0, 0, 0, 5))
    assert (float(center), float(margin)) == (0.5, 0.5)
    assert adjusted_score(counts(0, 0, 0, 5)) == 0.01


@settings(max_examples=300, deadline=None)
@given(
    graded=st.integers(1, 60),
    share=st.floats(0, 1),
    truncated=st.integers(0, 40),
    chance=st.sampled_from([0.0, 0.2, 0.25, 0.5]),
    more=st.integers(1, 10),
)
def test_cut_answers_never_raise_the_score(graded: int, share: float, truncated: int, chance: float, more: int) -> None:
    right = round(share * graded)
    for score in (adjusted_score, joint_score):
        before = score(counts(graded, right, chance * graded, truncated))
        assert score(counts(graded, right, chance * graded, truncated + more)) <= before + 1e-12
        if right:
            turned = counts(graded - 1, right - 1, chance * (graded - 1), truncated + 1)
            assert score(turned) <= before + 1e-12


def test_the_transformed_interval_is_the_raw_one_rescaled() -> None:
    center, margin = center_margin(counts(200, 130))
    low, high = skill_interval(130, 200, 0.25)
    assert low == pytest.approx((float(center - margin) - 0.25) / 0.75)
    assert high == pytest.approx((float(center + margin) - 0.25) / 0.75)


@pytest.mark.parametrize(
    ("own", "printed"),
    [
        (task(0.89, 0.91), ".89 - .91"),
        (task(0.67, 0.69, 0.11), ".67 - .69 [-.11]"),
        (task(0.75, 0.79, 0.021), ".75 - .79 [-.02]"),
        (task(0.75, 0.79, 0.02), ".75 - .79"),
        (task(0.45, 0.48, 0, 123, 200), ".45 - .48 (123/200)"),
        (task(0.55, 0.58, 0.22, 89, 100), ".55 - .58 [-.22] (89/100)"),
        (task(0.81, 0.83, 0.015), ".81 - .83"),
        (task(0.98, 1.0), ".98 - 1.00"),
        (None, "—"),
    ],
)
def test_a_cell_reads_as_in_the_document(own: TaskScore | None, printed: str) -> None:
    assert task_cell(own) == printed


def test_an_asterisk_marks_an_incomplete_score() -> None:
    assert score_cell(Scored(771.44, True, None, None, None)) == "771*"
    assert score_cell(Scored(771.44, False, None, None, None)) == "771"
    assert score_cell(Scored(None, True, None, None, None)) == "—"


def two_tasks(folder: Path) -> Path:
    """Model a has both tasks in two tiers, of which one answer was cut and one request failed; model b lacks a task."""
    first = answers("+++-", subset="easy") + answers("++-t", start=4, subset="hard")
    run_of(folder / "a", {"x": first, "y": answers("++", subset="easy") + answers("-e", start=2, subset="hard")})
    run_of(folder / "b", {"x": answers("----", subset="easy") + answers("++++", start=4, subset="hard")})
    return dataset_file(
        folder / "d.json",
        [
            {"label": "A", "results": "a", "groups": ["size:large", "family:x"], "tags": ["new"], "hf_id": "o/a"},
            {"label": "B", "results": ["b"], "groups": ["size:small"]},
        ],
    )


def test_the_json_has_the_documents_fields_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scored(two_tasks(tmp_path), capsys)
    assert [item["model"] for item in found] == ["A", "B"]
    first = found[0]
    assert list(first)[:3] == ["eval_id", "model", "reasonscore"] and first["eval_id"] == 0
    assert re.fullmatch(r"[0-9a-f]{6}", first["eval_hash"])
    assert (first["groups"], first["tags"], first["hf_id"]) == (["size:large", "family:x"], ["new"], "o/a")
    assert list(first["tiers"]) == ["easy", "hard"]
    hard = first["tiers"]["hard"]
    own = hard["tasks"]["x"]
    center, margin = center_margin(counts(3, 2))
    assert own["center"] == pytest.approx(float(center)) and own["margin"] == pytest.approx(float(margin))
    assert own["truncated_ratio"] == 0.25
    assert own["adjusted_score"] == pytest.approx(float(center + margin) - 0.25)
    assert own["completion_tokens_mean"] == 100.0
    assert (own["point_count"], own["expected_points"], own["is_incomplete"]) == (4, 4, False)
    assert own["accuracy"] == 0.5 and own["invalid_ratio"] == 0.0
    # The failed request is no point: y is incomplete, and so is its tier.
    assert (hard["tasks"]["y"]["point_count"], hard["tasks"]["y"]["expected_points"]) == (1, 2)
    assert hard["tasks"]["y"]["is_incomplete"] and hard["any_incomplete"] and not first["tiers"]["easy"]["any_incomplete"]
    scores = [hard["tasks"][name]["adjusted_score"] for name in ("x", "y")]
    assert hard["reasonscore"] == pytest.approx(1000 * math.sqrt(scores[0] * scores[1]))
    assert first["reasonscore"] == pytest.approx(
        math.sqrt(first["tiers"]["easy"]["reasonscore"] * first["tiers"]["hard"]["reasonscore"])
    )
    assert hard["score_token"] == pytest.approx(hard["reasonscore"] / 100)
    # A missing task is absent and marked; the score is that of the task which is there.
    easy = found[1]["tiers"]["easy"]
    assert "y" not in easy["tasks"] and easy["any_incomplete"]
    assert easy["reasonscore"] == pytest.approx(1000 * easy["tasks"]["x"]["adjusted_score"])


def test_the_markdown_is_the_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = two_tasks(tmp_path)
    assert main(["scores", str(data), "--show-token-counts", "--show-groups", "--output", str(tmp_path / "s.md")]) == 0
    lines = (tmp_path / "s.md").read_text().splitlines()
    head = "| Model | Tier | ReasonScore | Avg Tokens | Score/Token | x | x tokens | y | y tokens | Groups | Invalid |"
    assert lines[0] == head
    assert (
        lines[3]
        == "| A | hard | 739* | 100 | 7.39 | .57 - .94 [-.25] | 100 | .40 - .79 (1/2) | 100 | size:large family:x | 0.00% |"
    )
    assert lines[4].startswith("| B | easy | 490* | 100 | 4.90 | .24 - .49 | 100 | — | — | size:small |")
    assert any(line.startswith("| A | 0 | ") and " - " in line for line in lines[7:])


@pytest.mark.parametrize(
    ("ending", "start"), [("csv", b"eval_id,"), ("html", b"<!doctype html>"), ("png", b"\x89PNG"), ("json", b"[\n")]
)
def test_the_name_of_the_output_says_its_format(tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / f"s.{ending}"
    assert main(["scores", str(two_tasks(tmp_path)), "--draws=50", "--output", str(path)]) == 0
    assert path.read_bytes().startswith(start)


def test_the_order_of_models_and_files_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_tasks(tmp_path)
    runs = [tmp_path / "a", tmp_path / "b"]
    one, other = scored(runs, capsys, "--draws=40"), scored(runs[::-1], capsys, "--draws=40")
    assert one == other
    assert [item["eval_id"] for item in one] == [0, 1], "counted in sorted path order"


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["--sort=name"], ["A", "B"]),
        (["--sort=score"], ["A", "B"]),
        (["--sort=score_token"], ["A", "B"]),
        (["--tiers=hard", "--tasks=x"], ["B", "A"]),
    ],
)
def test_rows_are_sorted_and_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], order: list[str]
) -> None:
    assert [item["model"] for item in scored(two_tasks(tmp_path), capsys, *words)] == order


def test_tiers_by_difficulty_and_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, pattern in (("a", "+++++-"), ("b", "++++--")):
        run_of(tmp_path / name, {"gsm8k": answers(pattern)})
    runs = [tmp_path / "a", tmp_path / "b"]
    found = scored(runs, capsys, "--tier_by=quantiles")[0]["tiers"]
    assert {tier: own["tasks"]["gsm8k"]["correct"] for tier, own in found.items()} == {"easy": 2, "medium": 2, "hard": 1}
    assert list(scored(runs, capsys, "--tier_by=mathematics")[0]["tiers"]) == ["easy"]
    own = tmp_path / "own.yaml"
    own.write_text("name: own\ntiers: [low, top]\nbenchmarks: {gsm8k: top}\n")
    assert list(scored(runs, capsys, f"--tier_by={own}")[0]["tiers"]) == ["top"]
    own.write_text("name: own\nbenchmarks: {aime24: hard}\n")
    assert "tier file `own` does not say which tier `gsm8k` is" in failed(capsys, "scores", *runs, f"--tier_by={own}")


def test_the_bounds_and_the_second_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = two_tasks(tmp_path)
    upper, center, lower = (
        scored(data, capsys, f"--score_bound={bound}")[0]["reasonscore"] for bound in ("upper", "center", "lower")
    )
    assert upper > center > lower
    second = scored(data, capsys, "--score_version=2")[0]
    assert list(second["tiers"]) == ["all"]
    assert second["tiers"]["all"]["tasks"]["x"]["adjusted_score"] == pytest.approx(5 / 8)
    assert scored(data, capsys, "--overall=arithmetic")[0]["reasonscore"] > scored(data, capsys)[0]["reasonscore"]


def test_intervals_are_seeded_and_ranks_say_how_sure_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, pattern in (("good", "+" * 45 + "-" * 5), ("poor", "+" * 10 + "-" * 40), ("alike", "-" * 4 + "+" * 45 + "-")):
        run_of(tmp_path / name, {"x": answers(pattern)})
    runs = [tmp_path / name for name in ("good", "poor", "alike")]
    found = {item["model"]: item for item in scored(runs, capsys, "--draws=400")}
    assert found["poor"]["rank_interval"] == [3, 3]
    assert found["good"]["rank_interval"] == found["alike"]["rank_interval"] == [1, 2]
    low, high = found["good"]["interval"]
    assert low < found["good"]["reasonscore"] < high
    assert scored(runs, capsys, "--draws=400") == scored(runs, capsys, "--draws=400")


def test_warnings_say_what_was_not_made_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = run_of(tmp_path / "few", {"x": answers("+-+-")})
    repeated = [dataclasses.replace(item, seed=seed) for seed in range(3) for item in answers("+-+-")]
    many = run_of(tmp_path / "many", {"x": repeated}, seeds=(0, 1, 2))
    letters = [row(f"q{at}", 0, "ABCD"[at % 4], True) for at in range(8)]
    for folder, limit in ((few, 100), (many, 32_768)):
        place = folder / "eval-results" / "x" / "expected.json"
        settings = {"inference.tokens_to_generate": limit}
        place.write_text(json.dumps({"questions": 4, "seeds": [0] if folder == few else [0, 1, 2], "settings": settings}))
    run_of(tmp_path / "guess", {"quiz": letters})
    assert main(["scores", str(few), str(many), str(tmp_path / "guess"), "--draws=0"]) == 0
    out = capsys.readouterr().out
    assert "- x (all): few has 4 samples, many 12" in out
    assert "- x: answers were given different numbers of tokens (few 100, many 32768)" in out
    assert "- quiz: chance level 0.25 is guessed from its answers" in out


def test_other_questions_are_left_out_and_said_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "a", {"x": answers("++--"), "y": answers("+-")})
    run_of(tmp_path / "b", {"x": answers("++--", start=2), "y": answers("++")})
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["scores", *runs, "--draws=0"]) == 0
    out = capsys.readouterr().out
    assert "- left out: x: its questions differ between evaluations (4, 4 questions, 2 in common, by content)" in out
    assert "| Score/Token | y |" in out
    assert "--strict: x: its questions differ" in failed(capsys, "scores", *runs, "--strict")
    assert "no task is left to rank; left out: x" in failed(capsys, "scores", *runs, "--tasks=x")


def test_unknown_lengths_are_a_dash_not_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "old", {"x": answers("++--", completion_tokens=None)})
    assert main(["scores", str(tmp_path / "old"), "--draws=20"]) == 0
    assert "| old | all | 850 | — | — |" in capsys.readouterr().out
    found = scored(tmp_path / "old", capsys, "--draws=20")[0]
    assert found["score_token"] is found["avg_tokens"] is found["score_token_interval"] is None


def test_a_search_without_a_hit_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = two_tasks(tmp_path)
    assert main(["evals", str(data), "--search", "gpt-9"]) == 0
    assert capsys.readouterr().out == "no evaluation holds `gpt-9`\n"
    assert main(["evals", str(data), "--search", "a", "--format", "json"]) == 0
    (listed,) = [item for item in json.loads(capsys.readouterr().out) if item["label"] == "A"]
    # Twelve questions, of which one request failed.
    assert (listed["samples"], listed["coverage"], listed["benchmarks"]) == (11, pytest.approx(11 / 12), ["x", "y"])
    assert main(["evals", str(data), "--format", "markdown"]) == 0
    assert "| eval_id | hash | label | groups | samples | coverage |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--filters", "{groups: x}"], "--filters is not JSON"),
        (["--filters", "[1]"], "--filters: expected an object, found list"),
        (["--filters", '{"group": ["size:large"]}'], "unknown key `group`, did you mean `groups`"),
        (["--filters", '{"groups": ["sise:large"]}'], "unknown facet `sise` in `sise:large`, did you mean `size`"),
        (["--filters", '{"groups": ["size:lrge"]}'], "no evaluation is in the group `size:lrge`, did you mean `size:large`"),
        (["--filters", '{"groups": [["size:large"], "size:small"]}'], "a list of facet:value, or a list of such lists"),
        (["--filters", '{"eval_id": [7]}'], "no evaluation has the eval_id 7, nearest: 1, 0"),
        (["--filters", '{"eval_id": 1}'], "eval_id: expected a list of numbers or hashes"),
        (["--filters", '{"groups": ["family:x"], "eval_id": [1]}'], "none of the 2 evaluations agrees"),
        (["--tasks=z"], "--tasks: no evaluation has `z`, known: x, y"),
        (["--tiers=medium"], "--tiers: no evaluation has `medium`, known: easy, hard"),
        (["--tier_by=nothing"], "unknown tier `nothing`"),
        (["--sort=best"], "--sort=best"),
        (["--format=pdf"], "--format=pdf"),
        (["--format=png"], "--format png needs a file"),
        (["--score=judge_correct"], "x has no score `judge_correct`, known: symbolic_correct"),
        (["--score_version=3"], "--score_version=3: expected 1 or 2"),
        (["--score_bound=middle"], "--score_bound=middle"),
        (["--draws=-1"], "--draws=-1"),
        (["--level=95"], "--level=95"),
    ],
)
def test_a_wrong_option_is_answered_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert complaint in failed(capsys, "scores", two_tasks(tmp_path), *words)


@pytest.mark.parametrize(
    ("evaluations", "more", "complaint"),
    [
        ([], {}, "it lists no evaluations"),
        ([{"label": "A", "results": "nowhere"}], {}, "evaluation 0 (`A`): nothing is at"),
        ([{"label": "A"}], {}, "evaluation 0 (`A`) names no results"),
        ([{"results": "a"}], {}, "evaluation 0 has neither label nor model"),
        ([{"label": "A", "results": "a", "group": []}], {}, "unknown key `group`"),
        ([{"label": "A", "results": "a", "groups": ["large"]}], {}, "group `large` is not of the form facet:value"),
        ([{"label": "A", "results": "a"}] * 2, {}, "two evaluations have the id"),
        (
            [{"label": "A", "results": "a", "eval_id": 3}, {"label": "B", "results": "b", "eval_id": 3}],
            {},
            "two evaluations have the id 3: `A` and `B`",
        ),
        ([{"label": "A", "results": ["a", "b"]}], {}, "has two results of `x`"),
        (
            [{"label": "A", "results": "a"}],
            {"chance": {"x": 1.0}},
            "x: a chance level of 1: expected 0 (write-in) or more, and below 1",
        ),
    ],
)
def test_a_broken_dataset_file_is_named_with_the_evaluation(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    evaluations: list[dict[str, Any]],
    more: dict[str, Any],
    complaint: str,
) -> None:
    two_tasks(tmp_path)
    assert complaint in failed(capsys, "scores", dataset_file(tmp_path / "broken.json", evaluations, **more), "--draws=0")


def test_a_dataset_file_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.json"
    path.write_text('{"evals": [{"label": "A", "parameters": NaN}]}')
    assert "d.json: not JSON: NaN is no number of JSON" in failed(capsys, "evals", path)
    path.write_text('"text"')
    assert "expected a list of evaluations" in failed(capsys, "evals", path)
    assert "there is no such dataset file" in failed(capsys, "evals", tmp_path / "absent.json")
    assert "nothing is at" in failed(capsys, "evals", tmp_path / "runs-*")
    assert "which evaluations?" in failed(capsys, "evals")
    assert "a dataset file stands alone" in failed(capsys, "evals", path, tmp_path)


def test_ratings_and_scores_that_are_no_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rated = [row(f"q{at}", 0, None, None, status="ok", verdicts={}, scores={"overall_score": 4.0}) for at in range(3)]
    run_of(tmp_path / "r", {"x": rated})
    assert "score_overall_score is no share of 1 (it reaches 4)" in failed(
        capsys, "scores", tmp_path / "r", "--score=score_overall_score"
    )
    run_of(tmp_path / "n", {"x": [row("q1", 0, "1", True, scores={"bleu": float("inf")})]})
    assert "question `q1`: score_bleu is not finite" in failed(capsys, "scores", tmp_path / "n", "--score=score_bleu")


def test_a_yaml_list_is_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_tasks(tmp_path)
    (tmp_path / "d.yaml").write_text("- {label: A, results: a, groups: [size:large]}\n- {label: B, results: [b]}\n")
    assert [item["model"] for item in scored(tmp_path / "d.yaml", capsys)] == ["A", "B"]
