"""`ns compare`: differences question by question, honest about what could have been found; and the gate for nightly jobs."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from ns_eval.errors import DataError, GateError, UsageError
from summarize.comparing import CompareConfig, main
from summarize.paired import detectable, difference, holm, letters, mcnemar, sign_flip
from tests.runs_on_disk import output_file, row, sample, scores_file, scores_of


def run_of(
    folder: Path, right: Sequence[Sequence[int]], name: str = "b", subsets: Sequence[str | None] | None = None
) -> Path:
    """right[question] holds the verdict of each seed."""
    parts = subsets or [None] * len(right)
    place = folder / "eval-results" / name
    place.mkdir(parents=True)
    rows = [
        row(f"q{q}", seed, str(1 - hit), bool(hit), subset=parts[q])
        for q, line in enumerate(right)
        for seed, hit in enumerate(line)
    ]
    scores_file(place, scores_of(rows))
    return folder


def compare(*folders: Path, **options: object) -> int:
    values: dict[str, object] = {"runs": [str(folder) for folder in folders], **options}
    return main(CompareConfig(**values))  # type: ignore[arg-type]  # options of many types


def draws(seed: int, p: float, questions: int = 40, samples: int = 4) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    hard = rng.random(questions)
    return [[int(rng.random() < p * own) for _ in range(samples)] for own in hard]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 1), (10, 2), (7, 7), (40, 20)])
def test_mcnemar_is_that_of_statsmodels(wins: int, losses: int) -> None:
    assert mcnemar(wins, losses) == pytest.approx(their_mcnemar([[5, wins], [losses, 5]], exact=True).pvalue)


def test_sign_flips_of_few_questions_are_counted_out() -> None:
    gaps = np.array([0.5, -0.25, 0.75, 0.0, 1.0, 0.25])
    moving = gaps[gaps != 0]
    sums = [abs(np.dot(signs, moving)) for signs in itertools.product([1, -1], repeat=len(moving))]
    assert sign_flip(gaps) == pytest.approx(np.mean(np.array(sums) >= abs(gaps.sum()) - 1e-12))


def test_sign_flips_of_many_questions_agree_with_t() -> None:
    gaps = np.random.default_rng(0).normal(0.05, 0.2, 200)
    assert sign_flip(gaps) == pytest.approx(scipy.stats.ttest_1samp(gaps, 0).pvalue, abs=0.01)
    assert sign_flip(gaps) == sign_flip(gaps)


def test_the_interval_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(30), rng.random(30)
    found = difference(a, b)
    low, high = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found.wins + found.ties + found.losses == 30


def test_what_could_be_found_follows_from_the_error() -> None:
    assert detectable(0.01) == pytest.approx(0.028016, abs=1e-6)


def test_a_difference_of_the_detectable_size_is_found_in_four_of_five() -> None:
    rng = np.random.default_rng(5)
    questions, spread = 60, 0.3
    effect = detectable(spread / np.sqrt(questions))
    found = [bool(scipy.stats.ttest_1samp(rng.normal(effect, spread, questions), 0).pvalue < 0.05) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.sampled_from(list(itertools.combinations(range(n), 2)))))
    )
)
def test_two_runs_share_a_letter_exactly_where_no_difference_was_found(case: tuple[int, set[tuple[int, int]]]) -> None:
    count, different = case
    signs = letters(count, sorted(different))
    for first, second in itertools.combinations(range(count), 2):
        assert bool(set(signs[first]) & set(signs[second])) == ((first, second) not in different)


def test_it_says_what_was_found_and_what_could_have_been(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = run_of(tmp_path / "good", draws(0, 1.0)), run_of(tmp_path / "bad", draws(1, 0.2))
    compare(good, bad)
    out = capsys.readouterr().out
    assert "good - bad" in out and "good is better" in out and "sign flip" in out
    compare(run_of(tmp_path / "x", draws(2, 0.5)), run_of(tmp_path / "y", draws(3, 0.5)))
    line = next(line for line in capsys.readouterr().out.splitlines() if "no difference found" in line)
    assert float(line.split(" | ")[6].strip(" %")) > 1


def test_subsets_are_compared_on_their_own_where_they_pull_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    easy, hard = [[1, 1]] * 12 + [[1, 0]] * 3, [[0, 0]] * 12 + [[1, 0]] * 3
    names = ["easy"] * 15 + ["hard"] * 15
    old = run_of(tmp_path / "old", easy + hard, subsets=names)
    new = run_of(tmp_path / "new", [[0, 1]] * 15 + [[1, 1]] * 15, subsets=names)
    compare(new, old, subsets=True, format="json")
    found = {part["benchmark"]: part["pairs"][0] for part in json.loads(capsys.readouterr().out)}
    assert list(found) == ["b", "b-easy", "b-hard"]
    assert found["b-hard"]["value"] == pytest.approx(0.9) and found["b-hard"]["low"] > 0
    assert found["b-easy"]["value"] == pytest.approx(-0.4) and found["b-easy"]["high"] < 0
    assert [pair["p_holm"] for pair in found.values()] == pytest.approx(holm([pair["p"] for pair in found.values()]))
    with pytest.raises(UsageError, match="--subsets: b has none"):
        compare(run_of(tmp_path / "x", easy), run_of(tmp_path / "y", hard), subsets=True)


def test_one_sample_each_is_mcnemar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run_of(tmp_path / "a", [[1]] * 12 + [[0]] * 8)
    b = run_of(tmp_path / "b", [[1]] * 3 + [[0]] * 17)
    compare(a, b, format="json")
    pair = json.loads(capsys.readouterr().out)[0]["pairs"][0]
    assert (pair["wins"], pair["losses"], pair["test"]) == (9, 0, "McNemar")
    assert pair["p"] == pytest.approx(2 / 2**9)


def test_several_runs_get_letters_and_holm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_of(tmp_path / name, draws(seed, p)) for seed, (name, p) in enumerate([("a", 1.0), ("b", 0.95), ("c", 0.1)])]
    compare(*runs)
    out = capsys.readouterr().out
    groups = {line.split(" | ")[0].strip(): line.split(" | ")[-1].strip() for line in out.splitlines()[2:5]}
    assert set(groups["a"]) & set(groups["b"]) and not set(groups["a"]) & set(groups["c"])
    compare(*runs, format="json")
    pairs = json.loads(capsys.readouterr().out)[0]["pairs"]
    assert len(pairs) == 3 and all(pair["p_holm"] >= pair["p"] for pair in pairs)


def test_other_questions_are_refused_or_left_out_by_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run_of(tmp_path / "a", draws(0, 0.5, 10)), run_of(tmp_path / "b", draws(0, 0.5, 8))
    with pytest.raises(DataError, match=r"b: a answers 2 of its 10 questions alone, such as `q8`") as caught:
        compare(a, b)
    assert caught.value.hint == "--common compares the 8 that all runs have"
    compare(a, b, common=True)
    assert "left out: 2 questions" in capsys.readouterr().out


def test_questions_are_matched_by_content_not_by_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ids in (("a", ("1", "2")), ("b", ("2", "1"))):
        place = tmp_path / name / "eval-results" / "b"
        place.mkdir(parents=True)
        rows = [row(own, 0, "1", text == "x", question_hash=text) for own, text in zip(ids, ("x", "y"), strict=True)]
        scores_file(place, scores_of(rows))
    compare(tmp_path / "a", tmp_path / "b", format="json")
    assert json.loads(capsys.readouterr().out)[0]["pairs"][0]["ties"] == 2


def test_an_id_with_another_text_is_another_question(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "y")):
        place = tmp_path / name / "eval-results" / "b"
        place.mkdir(parents=True)
        scores_file(place, scores_of([row("1", 0, "1", True, question_hash=text)]))
    with pytest.raises(DataError, match="answers 1 of its 1 questions alone"):
        compare(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("metric", ["pass@1", "pass@1[4]", "pass@1[avg-of-4]", "pass@2", "majority@4", "maj@4"])
def test_the_row_names_of_both_eras_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str) -> None:
    compare(run_of(tmp_path / "a", draws(0, 0.5)), run_of(tmp_path / "b", draws(1, 0.5)), metric=metric)
    assert metric in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"metric": "accuracy"}, "expected pass@1, pass@K or majority@K"),
        ({"metric": "pass@9"}, "has 4 samples a question"),
        ({"score": "judge_corect"}, "has no score `judge_corect`"),
        ({"gate": 2.0}, "--gate=2.0"),
        ({"format": "xml"}, "--format=xml"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, options: dict[str, object], complaint: str) -> None:
    runs = [run_of(tmp_path / name, draws(0, 0.5)) for name in "ab"]
    with pytest.raises(UsageError) as caught:
        compare(*runs, **options)
    assert complaint in str(caught.value)
    with pytest.raises(UsageError, match="two runs are needed"):
        compare(runs[0])


def test_the_gate_falls_only_on_a_drop_beyond_what_is_allowed_and_beyond_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = run_of(tmp_path / "old", draws(0, 0.9))
    worse = run_of(tmp_path / "worse", draws(1, 0.3))
    noisy = run_of(tmp_path / "noisy", [line[::-1] for line in draws(0, 0.88)])
    assert compare(old, worse, gate=0.02) == 0
    assert compare(noisy, old, gate=0.02) == 0
    report = tmp_path / "report.xml"
    with pytest.raises(GateError, match=r"worse is \d+\.\d+ points below old, 2.00 points are allowed") as caught:
        compare(worse, old, gate=0.02, junit=str(report))
    assert caught.value.exit_code == 7
    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "80% power" in (suite.findtext("testcase/system-out") or "")
    assert compare(worse, old, gate=0.9, junit=str(report)) == 0
    assert ElementTree.parse(report).getroot().get("failures") == "0"


def test_a_drop_among_many_benchmarks_must_stand_out_among_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, six_lost = [[1]] * 20, [[0]] * 6 + [[1]] * 14  # McNemar: p = 1/32
    old, new = run_of(tmp_path / "old", right), run_of(tmp_path / "new", six_lost)
    with pytest.raises(GateError, match=r"30\.00 points below old, 2\.00 points are allowed \(p = 0\.0312 after Holm"):
        compare(new, old, gate=0.02)
    for name in ("c", "d", "e"):
        run_of(tmp_path / "old", right, name)
        run_of(tmp_path / "new", right, name)
    report = tmp_path / "report.xml"
    assert compare(new, old, gate=0.02, junit=str(report)) == 0
    assert "no difference found" in capsys.readouterr().out
    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "0")
    told = suite.findtext("testcase[@classname='b']/system-out") or ""
    assert "difference -30.00 points" in told
    assert "0.1250 after Holm" in told
    assert "would be found with 80% power" in told


def test_output_files_are_compared_without_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, right in (("a", True), ("b", False)):
        output_file(tmp_path / name / "eval-results" / "x", 0, [sample(str(at), 0, "1", right) for at in range(8)])
    compare(tmp_path / "a", tmp_path / "b")
    assert "+100.00%" in capsys.readouterr().out
