"""`ns profile RUN`: accuracy, endings, loops and hazard of one run, counted by hand; and the samples worth reading."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ns_eval.cli import main
from tests.runs_on_disk import expected, output_file, sample

WORDS = (
    "so",
    "then",
    "the",
    "sum",
    "of",
    "all",
    "integers",
    "is",
    "even",
    "hence",
    "we",
    "see",
    "that",
    "it",
    "cannot",
    "be",
)


def run(folder: Path) -> Path:
    """Ten questions, four seeds; q9 loops and is cut, q0 slips once, q8 is lucky once."""
    rng = random.Random(0)
    place = folder / "eval-results" / "b"
    for seed in range(4):
        rows = []
        for at in range(10):
            prose = " ".join(rng.choice(WORDS) + str(rng.randrange(1000)) for _ in range(400))
            right = (at < 8 and not (at == 0 and seed == 3)) or (at == 8 and seed == 1)
            tier = "easy" if at < 5 else "hard"
            if at == 9:
                rows.append(
                    sample("q9", seed, None, None, status="truncated", tokens=5000, reasoning="wait, " * 3000, subset=tier)
                )
            else:
                rows.append(
                    sample(f"q{at}", seed, "1" if right else "2", right, tokens=100 * (at + 1), reasoning=prose, subset=tier)
                )
        output_file(place, seed, rows)
    expected(place, 10, [0, 1, 2, 3])
    return folder


def profiled(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["profile", str(folder), "--format=json", *words]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_every_part_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = profiled(run(tmp_path), capsys)
    parts = {line["name"]: line for line in found["parts"]}
    assert set(parts) == {"all", "tier easy", "tier hard", "subset easy", "subset hard"}
    whole = parts["all"]
    assert (whole["questions"], whole["samples"]) == (10, 40)
    assert whole["right"]["value"] == pytest.approx((7 * 4 + 3 + 1) / 40)
    assert whole["truncated"]["value"] == pytest.approx(0.1)
    assert whole["right"]["low"] < whole["right"]["value"] < whole["right"]["high"]
    assert parts["tier hard"]["truncated"]["value"] == pytest.approx(0.2)
    assert [line["samples"] for line in found["lengths"]] and sum(line["samples"] for line in found["lengths"]) == 40
    assert found["lengths"][0]["right"]["value"] > found["lengths"][-1]["right"]["value"]


def test_the_hazard_is_of_those_that_came_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hazard = profiled(run(tmp_path), capsys)["hazard"]
    assert hazard[0]["reached"] == 40 and hazard[0]["cut"] == 0.0
    left = 40
    for step in hazard:
        assert step["reached"] == left
        left -= round((step["cut"] + step["ended"]) * step["reached"])
    assert left == 0
    last = hazard[-1]
    assert last["cut"] == pytest.approx(4 / last["reached"])


def test_a_text_that_repeats_itself_is_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loops = profiled(run(tmp_path), capsys)["loops"]
    assert (loops["read"], loops["looping"]) == (40, 4)
    assert loops["right_looping"] == 0.0 and loops["right_others"] == pytest.approx(32 / 36)
    assert max(loops["ratios"][f"q9\0{seed}"] for seed in range(4)) < 0.02 < 0.2 < loops["quantiles"][2]
    assert profiled(tmp_path, capsys, "--texts=0")["loops"] is None


def test_the_most_telling_samples_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {(item["question"], item["seed"]): item["why"] for item in profiled(run(tmp_path), capsys)["telling"]}
    assert len(found) <= 20
    assert found["q0", 3] == "wrong, where the other samples are right 100%"
    assert found["q8", 1] == "right, where the other samples are right 0%"
    assert "a loop" in found["q9", 0]
    assert "cut at 5000 tokens" in profiled(tmp_path, capsys, "--texts=0")["telling"][0]["why"]


def test_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "p.png"
    assert main(["profile", str(run(tmp_path)), f"--plot={picture}"]) == 0
    out = capsys.readouterr().out
    assert "loops: 4 of 40 texts read compress to less than 10% of their length; of those 0.0% are right" in out
    assert "  q0, 3: wrong, where the other samples are right 100%" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_old_files_without_lengths_leave_them_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "b"
    place.mkdir()
    rows = [{"id": at, "generation": "x", "predicted_answer": "1", "is_correct": at > 0} for at in range(3)]
    (place / "output-rs0.jsonl").write_text("".join(json.dumps(item) + "\n" for item in rows))
    found = profiled(tmp_path, capsys)
    assert found["lengths"] == found["hazard"] == [] and found["loops"] is None
    assert found["telling"] == [{"question": "0", "seed": 0, "why": "wrong"}]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--format=md"], "--format=md"),
        (["--quantiles=0"], "--quantiles is at least 1"),
        (["--benchmarks=c"], "holds no benchmark `c`"),
        (["--score=judge"], "b has no score `judge`"),
        (["--plot=x.gif"], "a picture's name ends in .png or .svg"),
    ],
)
def test_a_wrong_option_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["profile", str(run(tmp_path)), *words]) == 2
    assert complaint in capsys.readouterr().err
