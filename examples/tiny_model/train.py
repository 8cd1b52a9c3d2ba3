"""Trains the tiny model from nothing: a tokenizer, then 1.8 M parameters on made-up word problems.

    python train.py OUT                  2,100 steps, 100,800 problems: 55 minutes of one CPU core, half of that on two
    python train.py OUT --steps=100      two and a half minutes, to see it work; 500 steps are not enough to calculate

OUT becomes a Hugging Face checkpoint in bfloat16; `to_gguf.py` makes the GGUF file of it. Same seed, same draws; the
weights differ in their last digits from machine to machine, as sums in another order do.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from conversations import BATCH, POOL, TOKENIZER_CONVERSATIONS, Conversation, draw
from muon import Muon
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

LAYERS, HIDDEN, FEED_FORWARD, HEAD = 4, 192, 512, 32
VOCABULARY, CONTEXT = 1024, 2048
PAD, END = 0, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MUON_RATE, ADAM_RATE = 0.02, 4e-3
WARM_UP_STEPS, CONSTANT_SHARE, LAST_RATE = 30, 0.4, 0.02
IGNORED = -100
# Qwen2's own way to split a text, except that it is what makes digits single tokens: "\p{N}" and not "\p{N}+".
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(rng: random.Random) -> PreTrainedTokenizerFast:
    corpus = ["".join(text for text, _ in conversation) for _, conversation in draw(rng, TOKENIZER_CONVERSATIONS)]
    # Some Python, so that code is not spelt byte by byte. It is the interpreter's own: another version, other merges.
    corpus.append(inspect.getsource(random)[:20_000])
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL[END],
        pad_token=SPECIAL[PAD],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def new_model(vocabulary: int) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
        initializer_range=0.04,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=END, pad_token_id=PAD)
    return model


def batches(rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (tokens, labels), [BATCH, length] each; what the model need not say is labelled IGNORED."""
    while True:
        pool = sorted(
            (_encoded(tokenizer, conversation) for _, conversation in draw(rng, POOL)), key=lambda item: len(item[0])
        )
        cut = [pool[start : start + BATCH] for start in range(0, POOL, BATCH)]
        rng.shuffle(cut)
        yield from (_padded(batch) for batch in cut)


def _encoded(tokenizer: PreTrainedTokenizerFast, conversation: Conversation) -> tuple[list[int], list[int]]:
    tokens: list[int] = []
    labels: list[int] = []
    for text, learnt in conversation:
        ids = tokenizer.backend_tokenizer.encode(text).ids
        tokens += ids
        labels += ids if learnt else [IGNORED] * len(ids)
    return tokens, labels


def _padded(batch: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    length = -(-max(len(tokens) for tokens, _ in batch) // 16) * 16
    tokens = torch.full((len(batch), length), PAD)
    labels = torch.full((len(batch), length), IGNORED)
    for row, (ids, targets) in enumerate(batch):
        tokens[row, : len(ids)] = torch.tensor(ids)
        labels[row, : len(targets)] = torch.tensor(targets)
    return tokens, labels


def loss_of(model: Qwen2ForCausalLM, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the learnt tokens; the others' logits are never computed."""
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    learnt = targets != IGNORED
    return F.cross_entropy(model.lm_head(hidden[learnt]), targets[learnt])


def rate_at(step: int, steps: int) -> float:
    """Warm up, hold, then fall in a line: the share of the full learning rate."""
    done = step / steps
    falling = 1.0 if done < CONSTANT_SHARE else max(LAST_RATE, 1 - (done - CONSTANT_SHARE) / (1 - CONSTANT_SHARE))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * falling


def train(model: Qwen2ForCausalLM, stream: Iterator[tuple[torch.Tensor, torch.Tensor]], steps: int) -> None:
    matrices = [item for name, item in model.named_parameters() if item.ndim == 2 and "embed" not in name]
    others = [item for name, item in model.named_parameters() if item.ndim != 2 or "embed" in name]
    optimizers = [Muon(matrices, lr=MUON_RATE), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0)]
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    start, recent = time.process_time(), []
    for step in range(steps):
        for group, full_rate in groups:
            group["lr"] = full_rate * rate_at(step, steps)
        loss = loss_of(model, *next(stream))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        recent.append(loss.item())
        if (step + 1) % 25 == 0:
            seconds = time.process_time() - start
            print(f"step {step + 1} of {steps}: loss {sum(recent) / len(recent):.4f}, {seconds:.0f} CPU s", flush=True)
            recent = []


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.eval().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Readers of older configs (mlx-lm, transformers 4) look for these spellings, and fall back to wrong values in silence.
    for name, spelling in (
        ("config.json", {"rope_theta": 10000.0}),
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | spelling, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    rng = random.Random(given.seed)
    tokenizer = train_tokenizer(rng)
    model = new_model(len(tokenizer))
    print(f"{sum(item.numel() for item in model.parameters()) / 1e6:.2f} M parameters, {len(tokenizer)} tokens", flush=True)
    train(model, batches(rng, tokenizer), given.steps)
    save(model, tokenizer, given.out)


if __name__ == "__main__":
    main()
