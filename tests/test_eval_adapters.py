"""`--adapter`: base and adapters are asked the same, each into a run folder of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ns_eval.cli import main
from ns_eval.records import read_jsonl
from tests import models
from tests.commands import ns
from tests.paths import SHARED, needs_shared
from tests.peers.standins import CHECKPOINT, engines_on_path

HARD = SHARED / "models/tinymath_lora_hard"
SMALL = ("--benchmarks=arithmetic:2", "--max_samples=5", "--output_dir=out")

__all__ = ["engines_on_path"]


def fitting(folder: Path, **config: Any) -> Path:
    """An adapter of zeros for one module of tinymath."""
    folder.mkdir(parents=True)
    values = {"peft_type": "LORA", "r": 12, "bias": "none"} | config
    (folder / "adapter_config.json").write_text(json.dumps(values))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {f"{module}.lora_A.weight": (12, 192), f"{module}.lora_B.weight": (192, 12)}
    models.write_safetensors(folder / "adapter_model.safetensors", shapes)
    return folder


def answers(run: Path) -> dict[tuple[str, int], str]:
    """(question, seed) -> text of one run folder."""
    found = {}
    for path in (run / "eval-results/arithmetic").glob("output-rs*.jsonl"):
        for _, row in read_jsonl(path):
            found[str(row["id"]), int(row["seed"])] = str(row["generation"])
    return found


def test_a_server_that_serves_adapters_answers_for_all_of_them_and_is_started_once(tmp_path: Path) -> None:
    first, second = fitting(tmp_path / "first"), fitting(tmp_path / "second", lora_alpha=8)
    env = {"STANDIN": json.dumps({"starts": str(tmp_path / "starts")})}
    words = ["eval", f"--model={CHECKPOINT}", "--server_type=vllm", f"--adapter=one:{first}", f"--adapter=two:{second}"]
    told = ns(*words, *SMALL, cwd=tmp_path, env=env)
    runs = {name: answers(tmp_path / "out" / name) for name in ("tinymath", "tinymath+one", "tinymath+two")}
    assert [set(run.values()) for run in runs.values()] == [{"base"}, {"adapter one"}, {"adapter two"}]
    assert len({frozenset(run) for run in runs.values()}) == 1, "the same questions and seeds"
    assert len(runs["tinymath"]) == 10
    assert "tinymath+two: arithmetic" in told.stdout
    (start,) = [json.loads(line) for line in (tmp_path / "starts").read_text().splitlines()]
    assert start[start.index("--max-lora-rank") + 1] == "16"
    record = json.loads((tmp_path / "out/run.json").read_text())["commands"][0]
    assert list(record["folders"]) == list(runs)
    assert len(set(record["folders"].values())) == 3
    asked = record["servers"]["generate"]
    assert asked["argv"][:2] == ["vllm", "serve"] and asked["adapters"] == {"one": "not told", "two": "not told"}
    assert [asked["client"][name]["answers"] for name in ("base", "one", "two")] == [10, 10, 10]
    assert json.loads((tmp_path / "out/tinymath+one/run.json").read_text())["commands"][0]["servers"] == record["servers"]
    ns(*words, *SMALL, cwd=tmp_path, env=env)
    assert len((tmp_path / "starts").read_text().splitlines()) == 1, "a finished run starts no server"
    assert "tinymath+one: arithmetic" in ns("status", "out", cwd=tmp_path).stdout
    assert "tinymath+one: arithmetic" in ns("summarize_results", "out", cwd=tmp_path).stdout


def test_an_adapter_alone_and_its_base_later_meet_in_one_folder(tmp_path: Path) -> None:
    words = ["eval", f"--model={CHECKPOINT}", "--server_type=vllm", f"--adapter=one:{fitting(tmp_path / 'a')}", *SMALL]
    ns(*words, "--adapter_only", cwd=tmp_path)
    assert not (tmp_path / "out/tinymath").exists()
    before = answers(tmp_path / "out/tinymath+one")
    ns(*words, cwd=tmp_path)
    assert answers(tmp_path / "out/tinymath+one") == before
    assert set(answers(tmp_path / "out/tinymath").values()) == {"base"}


def test_rows_are_generated_by_base_and_adapter(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"problem": "1 + 1?"}\n')
    words = [f"--model={CHECKPOINT}", "--server_type=vllm", f"--adapter=one:{fitting(tmp_path / 'a')}", "--output_dir=out"]
    ns("generate", *words, "--input_file=rows.jsonl", "--prompt_config=generic/math", cwd=tmp_path)
    texts = [
        json.loads((tmp_path / "out" / name / "output.jsonl").read_text())["generation"]
        for name in ("tinymath", "tinymath+one")
    ]
    assert texts == ["base", "adapter one"]


@needs_shared
def test_the_embedded_engine_serves_a_merged_model_after_the_base(tmp_path: Path) -> None:
    for package in ("torch", "transformers", "peft", "gguf"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'ns-eval[hf]'")
    words = ["eval", "--model=tinymath", f"--adapter=hard:{HARD}", "--benchmarks=arithmetic:0", "--output_dir=out"]
    ns(*words, "--max_samples=20", cwd=tmp_path)
    base, hard = (
        {
            row["id"]: row["generation"]
            for _, row in read_jsonl(tmp_path / f"out/{name}/eval-results/arithmetic/output.jsonl")
        }
        for name in ("tinymath", "tinymath+hard")
    )
    assert base.keys() == hard.keys() and len(base) == 20
    assert base != hard
    merged = json.loads((tmp_path / "out/merged/hard.gguf.ns_convert.json").read_text())
    assert merged["gguf_type"] == "F16", "the form of the base's own file"


# (--adapter and more, exit code, what is said)
REFUSED = [
    (["--adapter_only"], 2, "no adapter is named"),
    (["--adapter=a:good,a:good"], 2, "`a` names two models"),
    (["--adapter=nowhere"], 3, "there is no such folder"),
    (["--adapter=mine:other"], 3, "adapter mine does not fit"),
    (["--adapter=whole"], 2, "it replaces whole modules"),
    (["--adapter=huge"], 2, "rank 1024 is more than servers take"),
    (["--adapter=good", "--model=alone.gguf", "--server_type=llamacpp"], 2, "the checkpoint that alone.gguf was made of"),
]


def test_what_cannot_be_asked_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitting(tmp_path / "good")
    models.adapter(tmp_path / "other", inputs=64)
    fitting(tmp_path / "whole", modules_to_save=["lm_head"])
    fitting(tmp_path / "huge", rank_pattern={"q_proj": 1024})
    shutil.copyfile(CHECKPOINT / "tinymath-f16.gguf", tmp_path / "alone.gguf")
    monkeypatch.chdir(tmp_path)
    for words, code, said in REFUSED:
        assert main(["eval", f"--model={CHECKPOINT}", "--server_type=vllm", *SMALL, *words]) == code
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
