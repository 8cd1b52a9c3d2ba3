"""Run folders for the tests of the summaries: built through the same records and writers that the engine uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ns_eval.records import Generation, Question, Sample, Status, Verdict, dumps, sample_row
from ns_eval.scores import Meta, Row, Scores, table, write


def sample(question: str, seed: int | None, answer: str | None, correct: bool | None, **more: Any) -> Sample:
    """One graded sample. `status`, `tokens`, `subset`, `judge` (a second verdict) and `reasoning` may be set."""
    status: Status = more.get("status", "ok" if answer is not None else "no_answer")
    verdicts = [Verdict("symbolic", correct, answer=answer, extracted=answer, scores=more.get("scores", {}))]
    if "judge" in more:
        verdicts.append(Verdict("judge", more["judge"]))
    return Sample(
        question=Question(question, f"What is {question}?", "1", subset=more.get("subset"), cluster=more.get("cluster")),
        seed=seed,
        status=status,
        generation=Generation(
            text=more.get("text", "so it is"),
            reasoning=more.get("reasoning"),
            finish_reason="length" if status == "truncated" else "stop",
            completion_tokens=more.get("tokens", 100),
            prompt_tokens=10,
            error="server gone" if status == "error" else None,
        ),
        verdicts=() if status == "error" else tuple(verdicts),
    )


def output_file(folder: Path, seed: int | None, samples: Iterable[Sample], tail: str = "") -> Path:
    """One output file; `tail` is "-async" for one in progress."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"output{'' if seed is None else f'-rs{seed}'}.jsonl{tail}"
    path.write_bytes(b"".join(dumps(sample_row(item)) for item in samples))
    return path


def expected(folder: Path, questions: int, seeds: Sequence[int | None], **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"benchmark": folder.name, "questions": questions, "seeds": list(seeds), "metric_type": "math", "judge": {}}
    (folder / "expected.json").write_text(json.dumps(asked | {"settings": {}, "upstream_rows": None} | more))


def row(question: str, seed: int | None, answer: str | None, correct: bool | None, **more: Any) -> Row:
    """One line of the scores table."""
    verdicts: Mapping[str, bool | None] = {"symbolic": correct} | more.pop("verdicts", {})
    fields = {"question_hash": question, "subset": None, "cluster": None, "status": "ok" if answer else "no_answer"} | more
    return Row(question_id=question, seed=seed, answer=answer, verdicts=verdicts, **fields)


def scores_of(rows: Iterable[Row], **meta: Any) -> Scores:
    rows = list(rows)
    seeds = tuple(sorted({item.seed for item in rows}, key=lambda seed: -1 if seed is None else seed))
    return Scores(table(rows), Meta(benchmark="b", **({"seeds": seeds} | meta)))


def scores_file(folder: Path, scores: Scores) -> None:
    """Only the small table, as a run leaves it whose outputs were deleted."""
    write(folder / "scores.parquet", scores)


def comp_math() -> list[Row]:
    """256 questions x 64 seeds whose counts are those behind source 003's table (stats.md section 3).

    Where the vote is right, c samples give the answer and the others differ from each other; where only pass@64 is, the
    others agree on a wrong answer.
    """
    plan = {
        "aime25": [47] * 20 + [-6] * 5 + [0] * 5,
        "aime24": [50] * 22 + [51] * 2 + [0] * 6,
        "hmmt-24-25": [47] * 30 + [46] * 75 + [-7] * 39 + [0] * 52,
    }
    rows = []
    for subset, counts in plan.items():
        for number, count in enumerate(counts):
            for seed in range(64):
                right = seed < abs(count)
                answer = "1" if right else "2" if count <= 0 else f"{seed}/7"
                rows.append(
                    row(f"{subset}-{number}", seed, answer, right, subset=subset, completion_tokens=1000 + 50 * seed)
                )
    return rows
