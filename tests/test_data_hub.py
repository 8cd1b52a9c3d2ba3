"""Downloads from a dataset hub: which files are taken, at which commit, and what each failure says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from dataset_prepare.hub import choose
from dataset_prepare.sources import SplitSource
from tests.paths import REPO
from tests.peers.hub import TOKEN, Hub, Revisions, serving

MATH_ROWS = [
    {
        "problem": f"What is {n} + 1?",
        "solution": f"It is \\boxed{{{n + 1}}}.",
        "answer": str(n + 1),
        "subject": "Algebra",
        "level": 1,
        "unique_id": f"test/algebra/{n}.json",
    }
    for n in range(500)
]
HLE_ROWS = [
    {
        "id": f"6{n:03}",
        "question": f"Question {n}",
        "image": "" if n % 2 else "data:image/png;base64,AAAA",
        "answer": str(n),
        "answer_type": "exactMatch",
        "author_name": "A",
        "rationale": "because",
        "raw_subject": "Topology",
        "category": "Math" if n < 8 else "Physics",
        "canary": "canary text",
    }
    for n in range(12)
]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    math_500 = {
        "README.md": b"# MATH-500",
        "default/test-00000-of-00002.parquet": parquet(MATH_ROWS[:300]),
        "default/test-00001-of-00002.parquet": parquet(MATH_ROWS[300:]),
        "default/train-00000-of-00001.parquet": b"not asked for",
    }
    datasets: dict[str, Revisions] = {
        "HuggingFaceH4/MATH-500": {"main": math_500},
        "cais/hle": {"main": {"data/test-00000-of-00001.parquet": parquet(HLE_ROWS)}},
    }
    with serving(Hub(datasets, gated=frozenset({"cais/hle"}))) as served:
        yield served


def prepare(tmp_path: Path, endpoint: str, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m dataset_prepare` in a home of its own: huggingface_hub reads its environment when it is imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "NS_", "NEMO_"))}
    environment = kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"NS_DATA_DIR": str(tmp_path / "data")} | ({"HF_TOKEN": token} if token else {})
    command = [sys.executable, "-m", "dataset_prepare", *words]
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False, timeout=120)


def rows_of(tmp_path: Path, name: str, split: str = "test") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "data" / name / f"{split}.jsonl").read_text().splitlines()]


def test_all_files_of_a_split_are_read_in_order_and_the_commit_is_recorded(tmp_path: Path, hub: Hub) -> None:
    done = prepare(tmp_path, hub.url, "math-500")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path, "math-500")
    assert [row["id"] for row in rows] == [f"test/algebra/{n}.json" for n in range(500)]
    assert (rows[4]["problem"], rows[4]["expected_answer"]) == ("What is 4 + 1?", "5")
    origin = json.loads((tmp_path / "data/math-500/test.origin.json").read_text())
    assert origin["revision"] == hub.commit("HuggingFaceH4/MATH-500", "main")
    assert (origin["rows"], origin["upstream_rows"], origin["from"]) == (500, 500, "the upstream")
    resolved = [path for path in hub.asked if "/resolve/" in path]
    assert resolved and all(origin["revision"] in path for path in resolved)


def test_a_dataset_without_parquet_is_read_from_the_converted_branch(tmp_path: Path, hub: Hub) -> None:
    hub.datasets["HuggingFaceH4/MATH-500"] = {
        "main": {"MATH-500.py": b"# a loading script"},
        "refs/convert/parquet": {
            "default/test/0000.parquet": parquet(MATH_ROWS),
            "default/partial-test/0000.parquet": b"no",
        },
    }
    done = prepare(tmp_path, hub.url, "math-500")
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path, "math-500")) == 500
    origin = json.loads((tmp_path / "data/math-500/test.origin.json").read_text())
    assert origin["revision"] == hub.commit("HuggingFaceH4/MATH-500", "refs/convert/parquet")


def test_another_number_of_rows_refuses_the_download_and_keeps_the_old_file(tmp_path: Path, hub: Hub) -> None:
    old = tmp_path / "data/math-500/test.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    hub.datasets["HuggingFaceH4/MATH-500"] = {"main": {"test.jsonl": json.dumps(MATH_ROWS[0]).encode() + b"\n"}}
    done = prepare(tmp_path, hub.url, "math-500")
    assert done.returncode == 3
    assert "HuggingFaceH4/MATH-500: 1 questions, 500 were declared" in done.stderr
    assert "--source=PATH" in done.stderr
    assert [item.read_text() for item in old.parent.iterdir()] == ["old"]


def test_renamed_columns_say_what_was_expected_and_what_is_there(tmp_path: Path, hub: Hub) -> None:
    renamed = [{"question": row["problem"], "target": row["answer"], "unique_id": row["unique_id"]} for row in MATH_ROWS]
    hub.datasets["HuggingFaceH4/MATH-500"] = {"main": {"default/test-00000-of-00001.parquet": parquet(renamed)}}
    done = prepare(tmp_path, hub.url, "math-500")
    assert done.returncode == 3
    assert "row 1: no column `problem`; it has question, target, unique_id" in done.stderr


def test_a_gated_dataset_without_a_token_is_one_clear_error_and_asks_nothing(tmp_path: Path, hub: Hub) -> None:
    done = prepare(tmp_path, hub.url, "hle")
    assert done.returncode == 3
    assert done.stderr.strip().splitlines() == [
        "error: cais/hle is gated, and there is no token in HF_TOKEN",
        "",
        "hint: accept its terms on https://huggingface.co/datasets/cais/hle, then export HF_TOKEN=hf_…",
    ]
    assert hub.asked == []


def test_a_token_without_access_says_so(tmp_path: Path, hub: Hub) -> None:
    done = prepare(tmp_path, hub.url, "hle", token="hf_someoneelse")
    assert done.returncode == 3
    assert "cais/hle is gated, and your HF_TOKEN has no access" in done.stderr


def test_a_gated_dataset_with_its_token_gives_every_split_without_pictures(tmp_path: Path, hub: Hub) -> None:
    folder = tmp_path / "hle"
    folder.mkdir()
    (folder / "test-00000-of-00001.parquet").write_bytes(parquet(HLE_ROWS))
    done = prepare(tmp_path, hub.url, "hle", token=TOKEN)
    assert "6 questions, 2158 were declared" in done.stderr  # the real one has more than this test's twelve
    done = prepare(tmp_path, hub.url, "hle", f"--source={folder}")
    assert "6 of 2158 questions" in done.stdout
    rows = rows_of(tmp_path, "hle", "math")
    assert [row["id"] for row in rows] == ["6001", "6003", "6005", "6007"]
    assert rows[0]["subset_for_metrics"] == "Math" and rows[0]["canary"] == "canary text"


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({}, "HuggingFaceH4/MATH-500 is not on the hub, or private"),
        (
            {"HuggingFaceH4/MATH-500": {"main": {"README.md": b""}, "refs/convert/parquet": {}}},
            "has no file of split `test`",
        ),
        ({"HuggingFaceH4/MATH-500": {"main": {"README.md": b""}}}, "expected Parquet of default/test, found README.md"),
        ({"HuggingFaceH4/MATH-500": {"main": {"default/test-0.parquet": b"PAR1 cut"}}}, "not a Parquet file"),
    ],
)
def test_what_the_hub_does_not_have_is_named(tmp_path: Path, hub: Hub, datasets: dict[str, Any], message: str) -> None:
    hub.datasets = datasets
    done = prepare(tmp_path, hub.url, "math-500")
    assert done.returncode == 3
    assert message in done.stderr and "Traceback" not in done.stderr


def test_no_network_says_how_to_bring_the_files(tmp_path: Path) -> None:
    done = prepare(tmp_path, "http://127.0.0.1:9", "math-500")
    assert done.returncode == 3
    assert "cannot reach the hub for HuggingFaceH4/MATH-500" in done.stderr
    assert "--source=PATH" in done.stderr and "Traceback" not in done.stderr


def test_of_several_benchmarks_the_good_ones_are_prepared(tmp_path: Path, hub: Hub) -> None:
    done = prepare(tmp_path, hub.url, "hle", "math-500")
    assert done.returncode == 3
    assert len(rows_of(tmp_path, "math-500")) == 500
    assert "1 of 2 benchmarks could not be prepared" in done.stderr


def test_configurations_follow_one_another_and_parts_of_splits_are_never_taken() -> None:
    files = ["b/test-00000-of-00001.parquet", "a/test-00001-of-00002.parquet", "a/test-00000-of-00002.parquet",
             "a/train-00000-of-00001.parquet", "c/partial-test/0000.parquet", "c/test/0000.parquet"]  # fmt: skip
    assert choose(files, ["a", "b"], "test", SplitSource()) == [("a", files[2]), ("a", files[1]), ("b", files[0])]
    assert choose(files, ["c"], "test", SplitSource()) == [("c", "c/test/0000.parquet")]
    assert choose(files[:5], ["c"], "test", SplitSource()) == []
    assert choose(["x/one.csv", "two.csv"], [], "test", SplitSource(files=["*.csv"])) == [
        ("default", "two.csv"),
        ("default", "x/one.csv"),
    ]
