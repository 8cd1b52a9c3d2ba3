"""pass@1, majority@K and pass@K by level, from an OpenAI-compatible server: the figures of README.md.

    python evaluate.py http://127.0.0.1:8230/v1 --questions=400 --seeds=8      (new questions, seed 4242)
    python evaluate.py http://127.0.0.1:8230/v1 --file=../../ns_eval/shipped/arithmetic/test.jsonl

It grades by comparing strings: every answer here is an integer. `ns eval --benchmarks=arithmetic:8` is the real thing.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from conversations import CHAIN_OF_THOUGHT
from problems import make

QUESTIONS_SEED = 4242
IN_FLIGHT = 64
LIMIT_TOKENS = 256


async def ask_all(
    base_url: str, questions: Sequence[dict[str, str]], seeds: int, temperature: float
) -> list[list[str | None]]:
    """A row per question: the boxed answer of each seed, None where nothing is boxed."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def ask(session: aiohttp.ClientSession, problem: str, seed: int) -> str | None:
        body = {
            "model": "tinymath",
            "messages": [{"role": "user", "content": CHAIN_OF_THOUGHT + problem}],
            "max_tokens": LIMIT_TOKENS,
            "temperature": temperature,
            "seed": seed,
        }
        async with gate, session.post(f"{base_url}/chat/completions", json=body) as reply:
            reply.raise_for_status()
            text = (await reply.json())["choices"][0]["message"]["content"]
        boxed = re.findall(r"\\boxed\{([^}]*)\}", text)
        return boxed[-1] if boxed else None

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
        asked = [ask(session, row["problem"], seed) for row in questions for seed in range(seeds)]
        answers = await asyncio.gather(*asked)
    return [answers[start : start + seeds] for start in range(0, len(answers), seeds)]


def scores(answers: Sequence[str | None], expected: str) -> tuple[float, float, float]:
    """(pass@1, majority@K, pass@K) of one question; a tie is shared, as a vote among equals would be."""
    votes = collections.Counter(answer for answer in answers if answer is not None)
    most = max(votes.values(), default=0)
    winners = [answer for answer, count in votes.items() if count == most]
    majority = (expected in winners) / len(winners) if winners else 0.0
    return votes[expected] / len(answers), majority, float(expected in votes)


def new_questions(count: int) -> list[dict[str, str]]:
    rng = random.Random(QUESTIONS_SEED)
    chosen: dict[str, dict[str, str]] = {}
    while len(chosen) < count:
        problem = make(rng, len(chosen) % 4)
        row = {
            "problem": problem.text,
            "expected_answer": str(problem.answer),
            "subset_for_metrics": f"level-{problem.level}",
        }
        chosen.setdefault(problem.text, row)
    return list(chosen.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7)
    given = parser.parse_args()
    if given.file:
        questions = [json.loads(line) for line in given.file.read_text().splitlines()]
    else:
        questions = new_questions(given.questions)
    start = time.perf_counter()
    answers = asyncio.run(ask_all(given.base_url, questions, given.seeds, given.temperature))
    seconds = time.perf_counter() - start
    print(f"{len(questions)} questions, {given.seeds} seeds, temperature {given.temperature}: {seconds:.1f} s")

    by_level: dict[str, list[tuple[float, float, float]]] = {"all": []}
    for row, seen in zip(questions, answers, strict=True):
        result = scores(seen, row["expected_answer"])
        by_level["all"].append(result)
        by_level.setdefault(row["subset_for_metrics"], []).append(result)
    print(f"{'':10}{'pass@1':>8}{f'majority@{given.seeds}':>12}{f'pass@{given.seeds}':>8}")
    for level, results in sorted(by_level.items()):
        one, majority, several = (100 * sum(column) / len(results) for column in zip(*results, strict=True))
        print(f"{level:10}{one:8.1f}{majority:12.1f}{several:8.1f}")


if __name__ == "__main__":
    main()
