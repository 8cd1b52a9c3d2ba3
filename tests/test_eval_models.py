"""A model folder that is spoilt is refused on the login node, before a job is sent or a server started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns_eval.cli import main
from tests import models


def without(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder


def test_a_spoilt_model_is_named_by_eval_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = models.tinymath(tmp_path / "cut")
    shard = cut / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    corrupt = models.tinymath(tmp_path / "corrupt")
    (corrupt / "model.safetensors").write_bytes(b"x" * 4096)
    spoilt = [
        (without(models.tinymath(tmp_path / "a"), "config.json"), (), "config.json is missing"),
        (cut, (), "model.safetensors"),
        (corrupt, (), "model.safetensors"),
        (without(models.tinymath(tmp_path / "b"), "tokenizer.json"), (), "has no tokenizer"),
        (without(models.tinymath(tmp_path / "c"), "chat_template.jinja"), (), "has no chat template"),
        (
            models.made_up(tmp_path / "d"),
            ("--server_gpus=3", "--prompt_template=qwen-instruct"),
            "8 attention heads do not divide by 3",
        ),
        (tmp_path / "nowhere", (), "there is no such file or folder"),
    ]
    monkeypatch.chdir(tmp_path)
    for folder, more, said in spoilt:
        words = ["eval", f"--model={folder}", "--server_type=vllm", "--benchmarks=arithmetic:1", "--output_dir=out", *more]
        assert main(words) in (2, 3), folder
        told = capsys.readouterr().err
        assert said in told and str(folder) in told, told
    assert not (tmp_path / "out").exists()
