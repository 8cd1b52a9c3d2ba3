"""Judged run folders with ratings, built through the engine's records: the nine models of source 000 out of their totals."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from ns_eval.records import Generation, Question, Sample, Verdict, dumps, sample_row
from tests.runs_on_disk import expected

CRITERIA = ("correctness", "methodology", "specificity", "clarity", "hallucination_safety")
PROMPTS = 240
DOMAINS = ("biology", "chemistry", "materials science", "medicine", "physics", "statistics")
TASKS = ("hypothesis_generation", "methodology_design", "explanation")
# stats.md 3: the totals over 240 prompts that stand behind source 000's tables. Criteria that it does not print share evenly
# what the overall total leaves.
TOTALS: Mapping[str, Sequence[int]] = {
    "openai/gpt-5-mini": (1194, 1196, 1194, 1166, 1198),
    "deepseek/deepseek-chat-v3.1": (1177, 1176, 1176, 1189, 1177),
    "openai/gpt-4o-mini": (1160, 1160, 1160, 1160, 1160),
    "openai/gpt-4-turbo": (1157, 1157, 1156, 1157, 1156),
    "anthropic/claude-3.5-sonnet": (1142, 1142, 1141, 1142, 1141),
    "anthropic/claude-sonnet-4.5": (1117, 1117, 1117, 1117, 1116),
    "google/gemini-2.5-flash": (1109, 1109, 1108, 1109, 1108),
    "NexaSci-Falcon": (1035, 1127, 1035, 1095, 1100),
    "qwen/qwen3-32b": (995, 995, 994, 994, 994),
}
TRUNCATED = (12, 20, 18, 22, 25, 31, 38, 40, 48)


def ratings(total: int, rng: random.Random, prompts: int = PROMPTS) -> list[int]:
    """Integers from 1 to 5 with that sum, in no order."""
    found = [5] * prompts
    while sum(found) > total:
        at = rng.randrange(prompts)
        found[at] -= found[at] > 1
    return found


def question(number: int) -> Question:
    domain, task = DOMAINS[number % len(DOMAINS)], TASKS[number // len(DOMAINS) % len(TASKS)]
    return Question(
        f"p{number:03}",
        f"Prompt {number}: what would tell the two explanations apart?",
        subset=domain,
        meta={"domain": domain, "task_type": task},
    )


def rated(
    asked: Question,
    scores: Mapping[str, int] | None,
    *,
    text: str = "An answer.",
    cut: bool = False,
    seed: int | None = None,
) -> Sample:
    """One answer with the ratings of the rubric judge; None: its reply could not be read."""
    overall = {} if scores is None else {"overall_score": sum(scores.values()) / len(scores)}
    verdict = Verdict(
        "rubric",
        None,
        scores={} if scores is None else {name: float(value) for name, value in scores.items()} | overall,
        comment=None if scores is None else "Sound, but two controls are missing.",
        error="unparsed: no rating in it" if scores is None else None,
    )
    generation = Generation(
        text,
        finish_reason="length" if cut else "stop",
        prompt_tokens=40,
        completion_tokens=2048 if cut else 600,
        seconds=2.5,
    )
    return Sample(asked, seed, "truncated" if cut else "ok", generation, (verdict,))


def judged_line(sample: Sample, prompt_hash: str = "5f3a", model: str = "openai/gpt-4o-mini") -> bytes:
    """The line as judges/record.py leaves it."""
    verdict = sample.verdicts[0]
    kept = {
        "source": "model",
        "status": "unparsed" if verdict.error else "ok",
        "prompt_hash": prompt_hash,
        "settings": {"rubric": "scientific", "repeats": 1},
        "scale": [1.0, 5.0],
        "model": model,
        "key": f"{sample.question.id}-{sample.generation.text[:8]}",
        "shared": False,
        "shown_characters": len(sample.generation.text),
    }
    return dumps({**sample_row(sample), "rubric_judgement": "{}", "judging": {"rubric": kept}})


def judged_run(run: Path, model: str, samples: Sequence[Sample], benchmark: str = "science-prompts", **line: str) -> Path:
    """A run folder of one model, answers and judged ones."""
    for kind in ("eval-results", "eval-results-judged"):
        folder = run / kind / benchmark
        expected(folder, len(samples), [None], metric_type="rubric")
        if kind == "eval-results":
            lines = [dumps(sample_row(Sample(s.question, s.seed, s.status, s.generation))) for s in samples]
        else:
            lines = [judged_line(sample, **line) for sample in samples]
        (folder / "output.jsonl").write_bytes(b"".join(lines))
        (folder / "output.jsonl.done").touch()
    entry = {
        "command": f"ns eval --model={model} --benchmarks={benchmark} --judge=rubric",
        "config": {"model": model, "inference": {"tokens_to_generate": 2048}},
        "benchmarks": {benchmark: {"split": "test"}},
        "versions": {"python": "3.11.7", "ns-eval": "0.1.0"},
        "code": {},
        "model": model,
        "start": 1.76e9,
        "end": 1.76e9 + 600,
        "outcome": "done",
    }
    (run / "run.json").write_text(json.dumps({"commands": [entry]}))
    return run


def source_000(folder: Path) -> list[Path]:
    """Nine run folders whose ratings have the totals of stats.md 3, and 254 truncated answers."""
    runs = []
    for (model, totals), cut in zip(TOTALS.items(), TRUNCATED, strict=True):
        rng = random.Random(model)
        columns = [ratings(total, rng) for total in totals]
        # The weakest answers are the truncated ones, as where a limit was too low.
        order = sorted(range(PROMPTS), key=lambda at: (sum(column[at] for column in columns), at))
        samples = [
            rated(
                question(at), dict(zip(CRITERIA, found, strict=True)), text=f"Answer {at} of {model}.", cut=at in order[:cut]
            )
            for at, found in enumerate(zip(*columns, strict=True))
        ]
        runs.append(judged_run(folder / model.replace("/", "__"), model, samples))
    return runs
