"""Questions as they are browsed: the problem once, then what each run answered and what its judges said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ns_eval.records import Json
from summarize.pages.runs import Book, Part, Run
from summarize.pages.samples import MARKS
from summarize.pages.texts import shortened

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {True: "right", False: "wrong", None: "not judged"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One sample of one run: short facts (extracted answer, verdicts, ratings, tokens), then its texts by name."""

    run: str
    seed: int | None
    facts: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One question, and the answers that are shown of it."""

    benchmark: str
    question: str
    problem: str
    expected: str
    marks: tuple[str, ...]
    answers: tuple[Answer, ...]


def worst(book: Book, found: pd.DataFrame, most: int, characters: int) -> tuple[list[Shown], int]:
    """The first `most` questions of the table, of each run its first sample; and how many questions are left out."""
    keys = found[["benchmark", "question_id"]].drop_duplicates() if len(found) else found
    picked = list(keys.head(most).itertuples(index=False, name=None)) if len(found) else []
    shown = [question(book, found, benchmark, name, characters=characters) for benchmark, name in picked]
    return [item for item in shown if item.answers], max(0, len(keys) - most)


def question(
    book: Book, found: pd.DataFrame, benchmark: str, name: str, *, every: bool = False, characters: int = 20_000
) -> Shown:
    """One question of a benchmark; `every`: all samples, else the first of each run."""
    own = found[(found["benchmark"] == benchmark) & (found["question_id"] == name)]
    marks = tuple(mark for mark in MARKS if bool(own[mark].any()))
    picked = own.sort_values(["run", "seed"], kind="stable") if every else own.drop_duplicates("run")
    parts = {run.name: (run, part) for run, part in book.of(benchmark)}
    answers = [
        answer
        for run, seed in zip(picked["run"], picked["seed"], strict=True)
        if (answer := _answer(*parts[run], name, None if seed != seed or seed is None else int(seed), characters))
        is not None
    ]
    problem = next((part.lines.problems.get(name, "") for _, part in parts.values() if name in part.lines.problems), "")
    expected = next((part.lines.expected.get(name, "") for _, part in parts.values() if name in part.lines.expected), "")
    return Shown(benchmark, name, shortened(problem, characters), expected, marks, tuple(answers))


def _answer(run: Run, part: Part, name: str, seed: int | None, characters: int) -> Answer | None:
    row = part.lines.text(name, seed)
    if row is None:
        return None
    texts = []
    if row.get("reasoning_content"):
        texts.append(("reasoning", shortened(str(row["reasoning_content"]), characters)))
    texts.append(("answer", shortened(str(row.get("generation") or ""), characters)))
    texts += [("what the judge said", shortened(text, characters)) for text in _judgements(row)]
    if row.get("error"):
        texts.append(("error", str(row["error"])))
    return Answer(run.name, seed, tuple(_facts(row, part)), tuple(texts))


def _facts(row: Mapping[str, Json], part: Part) -> Iterator[tuple[str, str]]:
    status = row.get("status")
    if status and status != "ok":
        yield "status", str(status).replace("_", " ")
    if row.get("predicted_answer") is not None:
        yield "extracted", str(row["predicted_answer"])
    if row.get("expected_answer") is not None:
        yield "expected", str(row["expected_answer"])
    for judge, verdict in (row.get("verdicts") or {}).items():
        if verdict.get("correct") is not None or f"{judge}_correct" in part.loaded.samples.values:
            yield judge, _WORDS[verdict.get("correct")]
        for name, value in (verdict.get("scores") or {}).items():
            yield name.replace("_", " "), f"{value:g}" if name != "overall_score" else f"{value:.2f}"
        if verdict.get("error"):
            yield f"{judge}: no verdict", str(verdict["error"])
    if not row.get("verdicts"):
        for name in ("symbolic_correct", "judge_correct", "is_correct"):
            if name in row:
                yield name.replace("_", " "), _WORDS.get(row[name], "not judged")
    if row.get("num_generated_tokens") is not None:
        yield "tokens", str(row["num_generated_tokens"])
    if row.get("finish_reason"):
        yield "ended by", str(row["finish_reason"])


def _judgements(row: Mapping[str, Json]) -> list[str]:
    """Raw texts of judges, and the comment where that is all."""
    raw = [str(row[name]) for name in row if (name == "judgement" or name.endswith("_judgement")) and row[name]]
    comments = [
        str(own["comment"])
        for judge, own in (row.get("verdicts") or {}).items()
        if judge != "symbolic" and own.get("comment")
    ]
    return raw or comments
