"""Trains a LoRA adapter for the shipped model on the two hard levels: `python train.py OUT [CPU_SECONDS]`

One core, seeded. An earlier form of this script made `tinymath_lora_hard` in 500 CPU seconds, the default here. The learning
rate falls with the time that is left, so another machine gives another adapter of the same kind.
Needs `pip install torch transformers peft`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tiny_model"))

from conversations import CHAIN_OF_THOUGHT  # noqa: E402  # lies in the folder beside this one
from problems import Problem, make  # noqa: E402

BASE = HERE.parent.parent / "ns_eval" / "shipped" / "tinymath"
RANK, RATE, BATCH, SEED = 16, 3e-3, 48, 777
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LEVELS = (2, 3, 3)


def encoded(tokenizer: Any, problem: Problem, opening: str) -> tuple[list[int], list[int]]:
    """Token ids, and the labels: only the answer is learnt."""
    asked = f"<|im_start|>user\n{opening}{problem.text}<|im_end|>\n<|im_start|>assistant\n"
    answer = "\n".join(problem.steps) + f"\nThe final answer is \\boxed{{{problem.answer}}}.<|im_end|>"
    head, tail = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, answer))
    return head + tail, [-100] * len(head) + tail


def batches(tokenizer: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """New problems for ever; eight batches at a time are sorted by length, so that little of them is padding."""
    rng = random.Random(SEED)
    while True:
        pool = []
        for _ in range(8 * BATCH):
            opening = CHAIN_OF_THOUGHT if rng.random() < 0.7 else ""
            pool.append(encoded(tokenizer, make(rng, level=rng.choice(LEVELS)), opening))
        pool.sort(key=lambda pair: len(pair[0]))
        chunks = [pool[at : at + BATCH] for at in range(0, len(pool), BATCH)]
        rng.shuffle(chunks)
        for chunk in chunks:
            width = max(len(ids) for ids, _ in chunk)
            tokens = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in chunk])
            labels = torch.tensor([own + [-100] * (width - len(own)) for _, own in chunk])
            yield tokens, labels


def train(model: Any, stream: Iterator[tuple[torch.Tensor, torch.Tensor]], seconds: float) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
    start, losses = time.process_time(), list[float]()
    for step, (tokens, labels) in enumerate(stream):
        done = (time.process_time() - start) / seconds
        if done >= 1:
            return
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20) * max(0.02, 1 - done)
        logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
        loss = functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 25 == 24:
            print(f"step {step + 1}, {time.process_time() - start:.0f} s, loss {sum(losses[-25:]) / 25:.4f}", flush=True)


def main(out: Path, seconds: float) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=LINEAR, task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    train(model, batches(tokenizer), seconds)
    model.save_pretrained(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 500.0)
