"""Reads judged output files and human labels: one entry a sample, with what the judge said and why it was asked or not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from ns_eval.errors import DataError
from ns_eval.records import Json, read_jsonl
from ns_eval.scores import find_outputs

# A label without a seed holds for every seed of its question.
ANY = -1
Labels: TypeAlias = Mapping[tuple[str, int | None], float]
# Where a verdict is a rating, the one that stands for it.
_HEADLINES = ("overall_score", "score", "win")
# Where a judge's raw text stands, if not in `<name>_judgement`; of two parts the first.
_TEXTS = {"pairwise": "judgement-gen-base", "mt_bench": "mt_bench_judgement_1"}
_MARKER = re.compile(r"\bjudge?ment[\"'*_`\s]*(?:\bis\b[*_\s]*)?:[\s\"'*_`]*", re.IGNORECASE)
_YES_NO = re.compile(r"(yes|no)\b", re.IGNORECASE)
_WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "correct": 1.0, "incorrect": 0.0}


class _Verdict(msgspec.Struct):
    correct: bool | None = None
    scores: dict[str, float] = msgspec.field(default_factory=dict)


class _Judging(msgspec.Struct):
    source: str = "model"
    status: str = "ok"
    model: str = ""
    prompt_hash: str = ""
    key: str | None = None
    shown_characters: int | None = None
    scale: tuple[float, float] | None = None
    repeats: list[_Verdict] = msgspec.field(default_factory=list)


class _Line(msgspec.Struct):
    id: str | int | None = None
    seed: int | None = None
    problem: str | None = None
    expected_answer: str | int | float | bool | None = None
    predicted_answer: str | int | float | None = None
    verdicts: dict[str, _Verdict] = msgspec.field(default_factory=dict)
    judging: dict[str, _Judging] = msgspec.field(default_factory=dict)
    symbolic_correct: bool | None = None
    is_correct: bool | None = None
    judge_correct: bool | None = None
    judgement: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One sample. `value` and `reference` are 1 and 0 for right and wrong, or ratings; None is missing.

    `source` is model where the judge was asked, else why not; `repeats` are the values of independent replies; `scale` holds
    the ends of a rating's scale, None for yes and no.
    """

    question: str
    seed: int | None
    value: float | None
    symbolic: bool | None = None
    label: float | None = None
    source: str = "model"
    status: str = "ok"
    scores: Mapping[str, float] = field(default_factory=dict)
    scale: tuple[float, float] | None = None
    length: int | None = None
    key: str | None = None
    repeats: tuple[float | None, ...] = ()
    model: str = ""
    prompt_hash: str = ""
    problem: str = ""
    expected: str = ""
    predicted: str = ""
    judgement: str = ""

    @property
    def asked(self) -> bool:
        """Whether the judge itself decided: agreement and corrections are computed on these alone."""
        return self.source == "model"


def number(value: float | None) -> float:
    """A value that is known to be there."""
    assert value is not None
    return value


def read_judged(folder: Path, judge: str = "judge") -> list[Judged]:
    """Every sample of a benchmark's judged folder, ours or NeMo-Skills'.

    Raises:
        DataError: no output file, a broken line, or not one verdict of that judge.
    """
    outputs = find_outputs(folder)
    rows = [_judged(line, number, output.seed, judge) for output in outputs for number, line in _lines(output.paths, judge)]
    found = [row for row in rows if row is not None]
    if not found:
        raise DataError(
            f"{folder}: no verdict of the judge `{judge}` in {len(outputs)} output files",
            hint="ns generate --generation_type=math_judge --input_dir=<eval-results/benchmark> --output_dir=<this folder>",
        )
    return found


def read_labels(path: Path) -> dict[tuple[str, int | None], float]:
    """Human labels from JSON lines: id, label, and seed where the label is of one sample. Yes/No, true/false or numbers.

    Raises:
        DataError: a line without id or label, a label that is neither, or one sample with two labels.
    """
    labels: dict[tuple[str, int | None], float] = {}
    for number, row in read_jsonl(path):
        if "id" not in row or row.get("label") is None:
            raise DataError(
                f"{path}:{number}: a label needs `id` and `label`", hint='{"id": "q1", "seed": 0, "label": "yes"}'
            )
        value = _label(row["label"])
        if value is None:
            raise DataError(f"{path}:{number}: label {row['label']!r} is neither yes or no nor a number")
        key = (str(row["id"]), row.get("seed", ANY))
        if labels.setdefault(key, value) != value:
            raise DataError(f"{path}:{number}: question `{key[0]}`, seed {key[1]} has two different labels")
    return labels


def labelled(rows: Sequence[Judged], labels: Labels) -> list[Judged]:
    """The rows with their labels.

    Raises:
        DataError: no label belongs to any row.
    """
    found = [replace(row, label=labels.get((row.question, row.seed), labels.get((row.question, ANY)))) for row in rows]
    if labels and all(row.label is None for row in found):
        first, _ = next(iter(labels))
        raise DataError(
            f"none of the {len(labels)} labels belongs to a judged sample: the first is of question `{first}`, "
            f"the first sample is `{rows[0].question}`",
            hint="labels name a sample by the columns id and seed of its output file",
        )
    return found


def _lines(paths: Sequence[Path], judge: str) -> Iterator[tuple[int, _Line]]:
    named = {"text": _TEXTS.get(judge, f"{judge}_judgement")}
    made = msgspec.defstruct("_Line", [("text", str | None, None)], bases=(_Line,), rename=named)
    decode = msgspec.json.Decoder(cast(type[_Line], made)).decode
    count = 0
    for path in paths:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.isspace():
                    continue
                try:
                    yield count, decode(raw)
                except msgspec.DecodeError as error:
                    raise DataError(f"{path}:{number}: not a judged line ({error})") from error
                count += 1


def _judged(line: _Line, number: int, seed: int | None, judge: str) -> Judged | None:
    verdict = line.verdicts.get(judge) or _foreign(line, judge)
    if verdict is None:
        return None
    judging = line.judging.get(judge) or _Judging(source=_foreign_source(line), status="ok" if verdict.scores else "")
    symbolic = line.verdicts["symbolic"].correct if "symbolic" in line.verdicts else line.symbolic_correct
    value = _value(verdict)
    return Judged(
        question=str(line.id) if line.id is not None else f"#{number}",
        seed=seed,
        value=value,
        symbolic=line.is_correct if symbolic is None else symbolic,
        source=judging.source,
        status=judging.status or ("ok" if value is not None else "unparsed"),
        scores=verdict.scores,
        scale=judging.scale,
        length=judging.shown_characters,
        key=judging.key,
        repeats=tuple(_value(repeat) for repeat in judging.repeats),
        model=judging.model,
        prompt_hash=judging.prompt_hash,
        problem=line.problem or "",
        expected="" if line.expected_answer is None else str(line.expected_answer),
        predicted="" if line.predicted_answer is None else str(line.predicted_answer),
        judgement=line.text or line.judgement or "",
    )


def _value(verdict: _Verdict) -> float | None:
    if verdict.correct is not None:
        return float(verdict.correct)
    return next((verdict.scores[name] for name in _HEADLINES if name in verdict.scores), None)


def _foreign(line: _Line, judge: str) -> _Verdict | None:
    """A line of NeMo-Skills: the verdict is in the text. What cannot be read is missing, not a No."""
    if judge != "judge" or (line.judgement is None and line.judge_correct is None):
        return None
    if line.judge_correct is not None:
        return _Verdict(line.judge_correct)
    text = line.judgement or ""
    ends = [marker.end() for marker in _MARKER.finditer(text)]
    found = _YES_NO.match(text, ends[-1]) if ends else None
    return _Verdict(None if found is None else found[1].lower() == "yes")


def _foreign_source(line: _Line) -> str:
    shortcuts = {"Reasoning: No answer was provided.": "no_answer", "Reasoning: The two answers are identical.": "identical"}
    first = (line.judgement or "").partition("\n")[0]
    return shortcuts.get(first, "model")


def _label(value: Json) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return float(value) if isinstance(value, bool | int | float) else None
