"""`ns prepare_data NAME --samples=N --balance=domain` draws different prompts, evenly and always the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_prepare.balanced import shares
from dataset_prepare.prepare import PrepareConfig, main
from ns_eval.errors import DataError, UsageError
from tests.paths import SHARED, needs_shared


def prompts(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def rows(first: int, count: int, domain: str, **more: object) -> list[dict[str, object]]:
    return [
        {"id": f"{domain}{at}", "prompt": f"Why {domain} {at}?", "domain": domain, "task_type": "explanation", **more}
        for at in range(first, first + count)
    ]


def prepared(tmp_path: Path, *files: Path, samples: int, **more: object) -> tuple[Path, Path]:
    values: dict[str, object] = {"balance": "domain", **more}
    config = PrepareConfig(
        ["science_prompts"], data_dir=str(tmp_path / "data"), source=",".join(map(str, files)), samples=samples
    )
    for name, value in values.items():
        setattr(config, name, value)
    assert main(config) == 0
    folder = tmp_path / "data" / "science-prompts"
    return folder / "prompts.parquet", folder / "test.jsonl"


def test_every_domain_gets_its_share_and_small_ones_all_they_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = prompts(tmp_path / "a.parquet", [*rows(0, 300, "physics"), *rows(0, 200, "biology")])
    b = prompts(tmp_path / "b.parquet", [*rows(0, 10, "law"), *rows(150, 100, "physics"), *rows(0, 100, "chemistry")])
    table, questions = prepared(tmp_path, a, b, samples=240)
    counts = Counter(pq.read_table(table)["domain"].to_pylist())
    assert counts == {"physics": 77, "biology": 77, "chemistry": 76, "law": 10}
    assert pq.read_table(table).column_names == ["id", "prompt", "domain", "task_type"]
    found = [json.loads(line) for line in questions.read_text().splitlines()]
    assert len(found) == 240
    assert {row["subset_for_metrics"] for row in found} == set(counts)
    assert {row["id"] for row in found} == set(pq.read_table(table)["id"].to_pylist())
    told = capsys.readouterr().err
    assert "100 duplicate prompts were dropped" in told
    assert "not balanced: law has only 10, the others of 60 share the rest" in told


def test_the_same_seed_draws_the_same_prompts_and_another_others(tmp_path: Path) -> None:
    source = prompts(tmp_path / "a.parquet", [*rows(0, 50, "physics"), *rows(0, 50, "biology")])
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        drawn.append(prepared(folder, source, samples=20, seed=seed)[0].read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_shares_are_even_and_never_above_what_is_there() -> None:
    assert shares({"a": 100, "b": 100, "c": 100}, 10) == {"a": 4, "b": 3, "c": 3}
    assert shares({"a": 1, "b": 2, "c": 100}, 30) == {"a": 1, "b": 2, "c": 27}
    assert shares({"a": 3}, 3) == {"a": 3}


@pytest.mark.parametrize(
    ("made", "samples", "words"),
    [
        (rows(0, 239, "physics"), 240, "239 different prompts in .* asks for more"),
        ([{"id": "1", "prompt": "Why?"}, {"id": "2", "prompt": "How?"}], 1, "no domain, and --balance=domain was asked for"),
        ([*rows(0, 2, "physics"), {**rows(5, 1, "physics")[0], "id": "physics0"}], 2, "the id `physics0` stands there with"),
        ([{"id": "1", "domain": "physics"}], 1, "no prompt; its columns are id, domain"),
    ],
    ids=["239 for 240", "without domain", "an id twice", "without prompt"],
)
def test_what_is_wrong_with_the_prompts_is_said(
    tmp_path: Path, made: Sequence[Mapping[str, object]], samples: int, words: str
) -> None:
    source = prompts(tmp_path / "a.parquet", made)
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, source, samples=samples)
    assert not (tmp_path / "data").exists()


def test_without_files_or_with_an_unknown_column_nothing_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="draw one benchmark's prompts from files"):
        main(PrepareConfig(["science_prompts"], samples=3))
    with pytest.raises(UsageError, match="--balance=colour"):
        prepared(tmp_path, prompts(tmp_path / "a.parquet", rows(0, 3, "physics")), samples=3, balance="colour")


@needs_shared
def test_the_twelve_shared_prompts_can_be_drawn(tmp_path: Path) -> None:
    table, questions = prepared(tmp_path, SHARED / "data" / "science_prompts_synthetic" / "prompts.parquet", samples=12)
    assert pq.read_table(table).num_rows == 12
    assert len(questions.read_text().splitlines()) == 12
