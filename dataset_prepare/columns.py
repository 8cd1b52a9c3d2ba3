"""Which column of unknown rows is the question, which the answer, which the choices; and how sure that is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ns_eval.records import Json

Rows = Sequence[Mapping[str, Json]]

# Names in the order in which they are believed; lower case, without separators.
_QUESTION = (
    "problem",
    "question",
    "query",
    "prompt",
    "instruction",
    "userinput",
    "questiontext",
    "sent1",
    "input",
    "text",
    "body",
)
_ANSWER = (
    "expectedanswer", "answer", "finalanswer", "answerkey", "correctanswer", "target", "label", "gold", "finaldecision",
    "answeridx", "cop", "groundtruth", "groundtruths", "bestanswer", "reference", "output", "response", "solution",
)  # fmt: skip
_CHOICES = ("choices", "options", "endings", "candidates", "answers", "mc1targets")
_IDS = ("id", "uid", "uniqueid", "questionid", "qid", "taskid", "problemid", "key", "idx", "index")
_SUBSET = ("subject", "category", "domain", "topic", "type", "level")
# Options in columns of their own.
_LISTED = (("A", "B", "C", "D", "E", "F"), ("opa", "opb", "opc", "opd", "ope"), tuple(f"ending{n}" for n in range(6)),
           tuple(f"option{n}" for n in range(1, 7)), tuple(f"ans{n}" for n in range(5)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guess:
    """A mapping of columns as a YAML holds it, and the loader, prompt and judge that fit. `sure` is 0 to 1 a column."""

    columns: Mapping[str, str]
    sure: Mapping[str, float]
    loader: str = ""
    options: Mapping[str, Json] = field(default_factory=dict)
    prompt: str = "generic/general-boxed"
    judge: str = "symbolic"
    metric_type: str = "math"

    def has(self, column: str) -> bool:
        if column == "expected_answer":
            return "expected_answer" in self.columns or "answer" in self.columns
        return column in self.columns or (column == "choices" and bool(self.options.get("choice_columns")))

    def sentence(self) -> str:
        """`question is "query" (sure), answer is "gold" (a guess)`."""
        if not self.columns:
            return "no column looks like a question"
        return ", ".join(
            f"{ours} is {theirs} ({_word(self.sure[ours])})" for ours, theirs in self.columns.items() if ours in self.sure
        )


def guess_columns(rows: Rows) -> Guess:
    """What the columns of these rows seem to be: by their names first, then by whether their contents fit."""
    names = [name for name in rows[0] if not name.startswith("_")]
    question = _best(names, rows, _QUESTION, _is_prose)
    if question is None:
        return Guess({}, {})
    rest = [name for name in names if name != question[0]]
    choices = _best(rest, rows, _CHOICES, _is_options)
    listed = _listed_options(rest)
    answer = _best([name for name in rest if choices is None or name != choices[0]], rows, _ANSWER, _is_answer)
    key = _best([name for name in rest if answer is None or name != answer[0]], rows, _IDS, _is_unique)
    subset = _best(rest, rows, _SUBSET, _is_category)
    found = {"id": key, "subset_for_metrics": subset}
    if choices and answer:
        given = {"question": question, "answer": answer, "choices": choices, **found}
        return _multiple_choice(_mapped(given), [], _answer_kind(rows, answer[0]))
    if listed and answer:
        given = {"question": question, "answer": answer, **found}
        return _multiple_choice(_mapped(given), listed, _answer_kind(rows, answer[0]))
    return _mapped({"problem": question, "expected_answer": answer, **found})


def _multiple_choice(guess: Guess, listed: Sequence[str], answer_kind: str) -> Guess:
    """`listed` are columns that hold an option each."""
    options: dict[str, Json] = {"answer": answer_kind} | ({"choice_columns": list(listed)} if listed else {})
    return dataclasses.replace(
        guess,
        columns={**guess.columns, **{name: name for name in listed}},
        loader="dataset_prepare.multiple_choice:lettered",
        options=options,
        prompt="eval/aai/mcq-10choices-boxed",
        metric_type="multichoice",
    )


def _mapped(given: Mapping[str, tuple[str, float] | None]) -> Guess:
    known = {ours: pair for ours, pair in given.items() if pair is not None}
    return Guess({ours: name for ours, (name, _) in known.items()}, {ours: sure for ours, (_, sure) in known.items()})


def _best(
    names: Sequence[str], rows: Rows, known: Sequence[str], fits: Callable[[Sequence[Json]], bool]
) -> tuple[str, float] | None:
    """The column whose name is believed most among those whose contents fit; sure by name, half sure by a part of it."""
    scored = []
    for name in names:
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        exact = plain in known
        partial = [word for word in known if len(word) > 3 and word in plain]
        if (exact or partial) and fits([row.get(name) for row in rows]):
            rank = known.index(plain if exact else partial[0])
            scored.append((not exact, rank, name))
    if not scored:
        return None
    part, rank, name = min(scored)
    return name, 0.5 if part else max(0.6, 1 - 0.04 * rank)


def _listed_options(names: Sequence[str]) -> list[str]:
    """`A, B, C, D`, `opa … opd`, `ending0 … ending3`: at least three in a row."""
    for family in _LISTED:
        present = [name for name in family if name in names]
        if len(present) >= 3 and present == list(family[: len(present)]):
            return present
    return []


def _answer_kind(rows: Rows, column: str) -> str:
    values = [row.get(column) for row in rows]
    if all(isinstance(value, int) or str(value).isdecimal() for value in values):
        return "index"
    if all(isinstance(value, str) and re.fullmatch(r"[A-Z]", value.strip()) for value in values):
        return "letter"
    return "text"


def _is_prose(values: Sequence[Json]) -> bool:
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    return len(texts) >= 0.9 * len(values) and len(set(texts)) > 0.5 * len(texts)


def _is_answer(values: Sequence[Json]) -> bool:
    return sum(value not in (None, "", []) and not isinstance(value, dict) for value in values) >= 0.9 * len(values)


def _is_options(values: Sequence[Json]) -> bool:
    def options(value: Json) -> bool:
        return (isinstance(value, list) and len(value) >= 2) or (
            isinstance(value, dict) and "text" in value and "label" in value
        )

    return all(options(value) for value in values)


def _is_unique(values: Sequence[Json]) -> bool:
    return all(isinstance(value, str | int) for value in values) and len({str(value) for value in values}) == len(values)


def _is_category(values: Sequence[Json]) -> bool:
    return all(isinstance(value, str | int) for value in values) and 1 < len(set(values)) <= max(2, len(values) // 3)


def _word(sure: float) -> str:
    return "sure" if sure >= 0.9 else "likely" if sure > 0.5 else "a guess"
