"""What a run may take: tokens, hours and money, estimated from the answers that a pilot or an earlier run left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ns_eval.config import PriceConfig
from ns_eval.records import Question

# As many lines tell a mean well enough; reading gigabytes of them does not tell it better.
_LINES = 1000
_CHARACTERS_A_TOKEN = 4.0


class _Line(msgspec.Struct):
    """What an estimate needs of an output line."""

    num_input_tokens: int | None = None
    num_generated_tokens: int | None = None
    generation_time: float | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Means over the samples of one benchmark in earlier runs."""

    samples: int
    prompt_tokens: float
    answer_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one benchmark. Tokens in all; None where nothing is known. `prompt_tokens` is a guess from the characters where
    nobody has asked these questions yet."""

    requests: int
    prompt_tokens: float
    answer_tokens: float | None = None
    hours: float | None = None
    dollars: float | None = None


def observed(folders: Sequence[Path], benchmark: str) -> Observed | None:
    """What the run folders hold of a benchmark; None where none of them has an answer to it."""
    paths = [path for folder in folders for path in sorted((folder / "eval-results" / benchmark).glob("output*.jsonl*"))]
    lines = list(itertools.islice((line for path in paths for line in _read(path)), _LINES))
    lines = [line for line in lines if line.num_generated_tokens is not None and line.num_input_tokens is not None]
    if not lines:
        return None

    def mean(name: str) -> float:
        return math.fsum(getattr(line, name) or 0.0 for line in lines) / len(lines)

    return Observed(len(lines), mean("num_input_tokens"), mean("num_generated_tokens"), mean("generation_time"))


def _read(path: Path) -> list[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    found = []
    if path.suffix != ".done":
        with path.open("rb") as file:
            for raw in itertools.islice(file, _LINES):
                try:
                    found.append(decode(raw))
                except msgspec.DecodeError:
                    continue  # a torn or foreign line tells nothing about lengths
    return found


def estimate(
    questions: Sequence[Question], seeds: int, seen: Observed | None, *, places: int, price: PriceConfig
) -> Estimate:
    """Of `questions` asked `seeds` times, `places` requests at a time."""
    requests = len(questions) * seeds
    if seen is None:
        guessed = sum(len(question.problem) for question in questions) / _CHARACTERS_A_TOKEN * seeds
        return Estimate(requests, guessed)
    prompts, answers = seen.prompt_tokens * requests, seen.answer_tokens * requests
    hours = requests * seen.seconds / max(1, min(places, requests)) / 3600
    dollars = None
    if price.input is not None and price.output is not None:
        dollars = (prompts * price.input + answers * price.output) / 1e6
    return Estimate(requests, prompts, answers, hours, dollars)


def summed(found: Sequence[Estimate]) -> Estimate:
    """All of them; a sum of which a part is not known is not known."""

    def total(name: str) -> Any:
        values = [getattr(item, name) for item in found]
        return None if None in values else math.fsum(values)

    prompts = math.fsum(item.prompt_tokens for item in found)
    requests = sum(item.requests for item in found)
    return Estimate(requests, prompts, total("answer_tokens"), total("hours"), total("dollars"))
