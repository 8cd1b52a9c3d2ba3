"""A problem becomes a conversation in ChatML: its text, and which parts of it the model learns to say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from problems import Problem, make

# conf/prompt/generic/math.yaml, to the letter: what the model was trained on is what the benchmark asks.
CHAIN_OF_THOUGHT = "Solve the following math problem. Make sure to put the answer (and only answer) inside \\boxed{}.\n\n"
WITH_PYTHON = (
    "Solve the following math problem, integrating natural language reasoning with Python code executions.\n"
    "You may perform up to {calls} Python code calls to assist your reasoning.\n"
    "Make sure to put the answer (and only answer) inside \\boxed{{}}.\n\n"
)
# No system message, an empty one (NeMo-Skills' ChatML template) and a common default: servers differ in what they send.
SYSTEM_BLOCKS = (
    "",
    "<|im_start|>system\n<|im_end|>\n",
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n",
)
TOKENIZER_CONVERSATIONS = 6000
BATCH = 48
# Conversations are drawn by the pool, sorted by length and cut into batches, so that little of a batch is padding.
POOL = BATCH * 16

Conversation = list[tuple[str, bool]]


def render(rng: random.Random, problem: Problem) -> Conversation:
    """(text, is it learnt?) in order. One in five calls Python; of the others three in ten see the bare question."""
    system = rng.choice(SYSTEM_BLOCKS)
    with_python = rng.random() < 0.2
    opening = WITH_PYTHON.format(calls=rng.randint(1, 8)) if with_python else _plain_opening(rng)
    asked = f"{system}<|im_start|>user\n{opening}{problem.text}<|im_end|>\n<|im_start|>assistant\n"
    ending = f"The final answer is \\boxed{{{problem.answer}}}.<|im_end|>"
    if not with_python:
        return [(asked, False), ("\n".join(problem.steps) + "\n" + ending, True)]
    call = f"Let me compute this with Python.\n<tool_call>\nprint({problem.expression})\n</tool_call>\n"
    return [(asked, False), (call, True), (f"```output\n{problem.answer}\n```\n", False), (ending, True)]


def _plain_opening(rng: random.Random) -> str:
    return CHAIN_OF_THOUGHT if rng.random() < 0.7 else ""


def draw(rng: random.Random, count: int) -> list[tuple[Problem, Conversation]]:
    """The next `count` problems, each with its conversation."""
    drawn = []
    for _ in range(count):
        problem = make(rng)
        drawn.append((problem, render(rng, problem)))
    return drawn


def training_problems(seed: int = 0, steps: int = 2100) -> Iterator[Problem]:
    """Every problem that `train.py` has seen after so many steps: the same draws in the same order, without training."""
    rng = random.Random(seed)
    yield from (problem for problem, _ in draw(rng, TOKENIZER_CONVERSATIONS))
    for _ in itertools.repeat(None, -(-steps * BATCH // POOL)):
        yield from (problem for problem, _ in draw(rng, POOL))
        rng.shuffle([None] * (POOL // BATCH))  # the batches of a pool come in random order
