"""BERTScore, sentence similarity and log-probabilities: the real loading and scoring code, on a small model made here.

Needs torch, transformers, bert-score and sentence-transformers: here, or in the environment of NS_VLLM_PYTHON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from ns_eval.resources import folder
from tests.paths import REPO

HEAVY = ("torch", "transformers", "bert_score", "sentence_transformers")
SCRIPT = """
import json, sys
import torch
from pathlib import Path
from transformers import BertConfig, BertModel, BertTokenizerFast
from summarize import text_models
from ns_eval.errors import UsageError

home, tinymath = Path(sys.argv[1]), sys.argv[2]
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"bonds fall when rates rise keep cash for six months".split()]
torch.manual_seed(0)
config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                    max_position_embeddings=24)
BertModel(config).save_pretrained(home)
BertTokenizerFast(vocab={word: at for at, word in enumerate(words)}, model_max_length=24).save_pretrained(home)
long = " ".join(words[5:] * 5)
texts, references = ["bonds fall", long, ""], [["rates rise", "bonds fall"], [long], ["keep cash"]]
found = {}
for kind in ("sbert", "bertscore"):
    scored = text_models.similarity(f"{kind}:{home}", "meaning", "cpu").score(texts, references)
    columns = {metric.name: list(map(float, metric.values)) for metric in scored.metrics}
    found[kind] = {"columns": columns, "notes": scored.notes}
    try:
        text_models.similarity(kind, "meaning", "cpu")
    except UsageError as error:
        found[kind]["missing"] = str(error)
logprobs = text_models.logprobs(tinymath, ["1 + 1 =", ""], [" 2", "seven"], None, "cpu")
found["logprobs"] = logprobs
print("\\n" + json.dumps(found))
"""


def interpreter() -> str:
    python = sys.executable if all(find_spec(name) for name in HEAVY) else os.environ.get("NS_VLLM_PYTHON", "")
    if not python:
        pytest.skip("torch and bert-score are not installed, and NS_VLLM_PYTHON names no environment: NOT TESTED")
    told = subprocess.run([python, "-c", f"import {', '.join(HEAVY)}"], capture_output=True, text=True)
    if told.returncode:
        pytest.skip(f"{python} has not all of {', '.join(HEAVY)}: {told.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("bert")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "hub"), "PYTHONPATH": str(REPO), "CUDA_VISIBLE_DEVICES": ""}
    command = [interpreter(), "-c", SCRIPT, str(home / "model"), str(folder("shipped") / "tinymath")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | offline, cwd=REPO)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sbert", "bertscore"])
def test_the_text_itself_is_most_similar_and_long_texts_are_counted(scored: Any, kind: str) -> None:
    same, long, empty = scored[kind]["columns"]["meaning"]
    assert same == pytest.approx(1.0, abs=1e-5) and long == pytest.approx(1.0, abs=1e-5)
    assert empty < 0.999
    (note,) = scored[kind]["notes"]
    assert "1 of " in note and ("in pieces of 22 tokens" if kind == "sbert" else "cut at 24 tokens") in note


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "model"), [("sbert", "sentence-transformers/all-mpnet-base-v2"), ("bertscore", "roberta-large")]
)
def test_missing_weights_are_one_error_with_the_command(scored: Any, kind: str, model: str) -> None:
    assert scored[kind]["missing"].endswith(
        f"hint: hf download {model}    fetches them; a folder of a checkpoint does as well"
    )


@pytest.mark.slow
def test_every_token_of_a_reference_has_its_log_probability(scored: Any) -> None:
    first, second = scored["logprobs"]
    assert len(first) >= 1 and len(second) >= 1 and all(value < 0 for value in (*first, *second))
