"""Groups of a run: those it was given, and those of its model's entry; and the picture for colour-blind readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ns_eval.cli import main
from tests.rankings_on_disk import answers, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions, asked of the shipped model."""
    folder = tmp_path_factory.mktemp("groups") / "out"
    words = ["--model=tinymath", "--benchmarks=arithmetic:1", "--max_samples=2", "++groups=[stage:trial,team:maths]"]
    assert main(["eval", *words, f"--output_dir={folder}"]) == 0
    return folder


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> Sequence[str]:
    capsys.readouterr()
    assert main(["evals", *words, "--format=json"]) == 0
    return [group for item in json.loads(capsys.readouterr().out) for group in item["groups"]]


def test_a_run_is_in_the_groups_it_was_given_and_in_those_of_its_model(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ns_eval.catalogue import entries

    own = entries.groups(entries.model("tinymath"))
    assert own
    assert listed(capsys, str(run)) == ["stage:trial", "team:maths", *own]
    assert listed(capsys, str(run), "--groups=stage:trial," + own[0])


def test_groups_given_to_a_run_filter_its_scores(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run_of(tmp_path / "other", {"arithmetic": answers("++")})
    words = ["scores", str(run), str(other), "--draws=0", "--format=json"]
    filters = json.dumps({"groups": ["team:maths"]})
    capsys.readouterr()
    # Other questions than those of the run: left out, unless it is ranked alone.
    assert main([*words[:2], *words[3:], "--filters", filters]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert "team:maths" in found["groups"]
    assert main(["scores", str(run), "--filters", '{"groups": ["team:math"]}']) == 2
    assert "did you mean `team:maths`" in capsys.readouterr().err


def test_safe_colors_has_no_red_area_but_the_same_bars(tmp_path: Path) -> None:
    from matplotlib.image import imread

    run_of(tmp_path / "a", {"low": answers("-" * 40), "high": answers("+" * 40)})
    pictures = []
    for name, words in (("plain", []), ("safe", ["--safe_colors"])):
        path = tmp_path / f"{name}.png"
        assert main(["scores", str(tmp_path / "a"), "--draws=0", f"--output={path}", *words]) == 0
        pictures.append(np.asarray(imread(path))[..., :3])
    plain, safe = pictures
    assert plain.shape == safe.shape
    assert _has(plain, 0, 1) and not _has(safe, 0, 1)


def _has(picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]], colour: int, other: int) -> bool:
    """Whether an area is of one colour (0 red) and far from the other (1 green)."""
    return bool(((picture[..., colour] > 0.6) & (picture[..., other] < 0.2)).sum() > 500)
