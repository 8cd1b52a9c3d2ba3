"""`ns compare DATA --clusters`: the largest groups of models that cannot be told apart; and who is on which front."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ns_eval.cli import main
from summarize.paired import cliques
from tests.rankings_on_disk import answers, dataset_file, run_of


@given(st.integers(2, 7).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.sampled_from(list(combinations(range(n), 2)))))))
def test_clusters_are_the_largest_groups_without_a_difference(case: tuple[int, set[tuple[int, int]]]) -> None:
    count, different = case
    alike = [
        frozenset(group)
        for size in range(1, count + 1)
        for group in combinations(range(count), size)
        if not any(pair in different for pair in combinations(group, 2))
    ]
    wanted = {group for group in alike if not any(group < other for other in alike)}
    assert set(cliques(count, sorted(different))) == wanted


def models(folder: Path) -> Path:
    """Two alike, one far below; a fourth lacks a task."""
    patterns = {"one": "+" * 36 + "-" * 4, "two": "-" + "+" * 36 + "-" * 3, "low": "+" * 6 + "-" * 34}
    for name, pattern in patterns.items():
        run_of(folder / name, {"x": answers(pattern, subset="easy"), "y": answers(pattern[::-1], subset="hard")})
    run_of(folder / "part", {"x": answers("+" * 40, subset="easy")})
    listed: list[dict[str, Any]] = [
        {"label": name, "results": name, "groups": ["size:small"]} for name in (*patterns, "part")
    ]
    prices: list[dict[str, Any]] = [{"parameters": 7, "price": {"output": 2.0}}, {"parameters": 70}, {"parameters": 70}, {}]
    return dataset_file(folder / "d.json", [one | more for one, more in zip(listed, prices, strict=True)])


def clusters(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, dict[str, Any]]:
    assert main(["compare", *map(str, words), "--clusters", "--format=json"]) == 0
    return {item["place"]: item for item in json.loads(capsys.readouterr().out)}


def test_models_that_cannot_be_told_apart_are_in_one_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = clusters(capsys, models(tmp_path))["overall"]
    assert found["questions"] == 80 and found["lacking"] == ["part"]
    assert sorted(map(sorted, found["clusters"])) == [["low"], ["one", "two"]]
    assert len(found["pairs"]) == 3 and all(pair["p_holm"] >= pair["p"] for pair in found["pairs"])
    assert [item["model"] for item in found["models"]] == ["one", "two", "low"]


def test_clusters_by_tier_by_task_and_by_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = models(tmp_path)
    assert list(clusters(capsys, data, "--by=tier")) == ["easy", "hard"]
    found = clusters(capsys, data, "--by=task", "--edge=overlap")
    assert found["x"]["lacking"] == [] and sorted(map(len, found["x"]["clusters"])) == [1, 3]
    filtered = clusters(capsys, data, "--filters", '{"eval_id": [0, 2]}')["overall"]
    assert [item["model"] for item in filtered["models"]] == ["one", "low"]


def test_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "c.png"
    assert main(["compare", str(models(tmp_path)), "--clusters", f"--plot={picture}"]) == 0
    out = capsys.readouterr().out
    signs = {line.split(" | ")[0].strip(): line.split(" | ")[-1].strip() for line in out.splitlines()[2:5]}
    assert signs == {"one": "a", "two": "a", "low": "b"}
    assert "left out, for they lack a task: part" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--clusters", "--by=tiers"], "--by=tiers: did you mean `tier`"),
        (["--clusters", "--edge=none"], "--edge=none"),
        (["--clusters", "--gate=0.1"], "--clusters compares pass@1, and has no gate"),
        (["--plot=x.png"], "--plot and --filters are for --clusters"),
        (["--clusters", "--plot=x.pdf"], "a picture's name ends in .png or .svg"),
    ],
)
def test_a_wrong_option_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["compare", str(models(tmp_path)), *words]) == 2
    assert complaint in capsys.readouterr().err


def test_the_front_marks_whom_nobody_beats_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "front.svg"
    assert main(["scores", str(models(tmp_path)), "--draws=100", "--pareto", f"--plot={picture}"]) == 0
    tables = {
        block.splitlines()[0].split(" | ")[1]: block.splitlines()[2:] for block in capsys.readouterr().out.split("\n\n")[2:6]
    }
    assert set(tables) == {
        "mean generated tokens",
        "mean seconds of an answer",
        "US dollars for a thousand answers",
        "billions of parameters",
    }
    (priced,) = tables["US dollars for a thousand answers"]
    # 100 tokens at 2 dollars a million, a thousand times.
    assert priced.split(" | ")[:2] == ["| one", "0.2"] and priced.endswith("| * |")
    fronts = {line.split(" | ")[0]: line.endswith("| * |") for line in tables["billions of parameters"]}
    assert fronts == {"| one": True, "| two": False, "| low": False}
    assert {line.split(" | ")[0] for line in tables["mean generated tokens"] if line.endswith("| * |")} == {"| part"}
    assert picture.read_bytes().count(b"<svg") == 1
