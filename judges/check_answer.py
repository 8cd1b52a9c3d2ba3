"""`ns check_answer`: whether two answers are equal, what they say, and which step decided."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judges.maths.options import SymbolicOptions
from judges.symbolic import SymbolicJudge, compare_answers, find_answer
from ns_eval.errors import DataError, UsageError
from ns_eval.records import dumps, loads
from ns_eval.schema import positional

_WORDS = {True: "equal", False: "different", None: "unparsed"}


@dataclass
class CheckAnswerConfig:
    """Says whether an answer equals a reference, and why.

    Examples:
        ns check_answer '\\frac{1}{2}' 0.5
        ns check_answer 42 'so the answer is \\boxed{42}'
        ns check_answer --jsonl=pairs.jsonl > verdicts.jsonl
    """

    gold: str | None = positional(None)
    """The reference."""
    prediction: str | None = positional(None)
    """An answer, bare or a whole generation."""
    jsonl: str = ""
    """A file of {"gold", "prediction"} lines; - is standard input. Writes a line with "verdict" for each."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """Switches of the symbolic judge: docs/checker.md."""


def main(config: CheckAnswerConfig) -> int:
    """Prints one verdict in words, or one line of JSON a pair. Exit code 0 whatever the verdict."""
    options = SymbolicJudge(**config.judge_options).options
    if config.jsonl:
        if config.gold is not None:
            raise UsageError("give a pair or --jsonl, not both")
        with _lines(config.jsonl) as lines:
            for row in _checked_lines(lines, config.jsonl, options):
                sys.stdout.buffer.write(dumps(row))
        sys.stdout.flush()
        return 0
    if config.gold is None or config.prediction is None:
        raise UsageError("a gold and a prediction are needed", hint="ns check_answer GOLD PREDICTION, or --jsonl=FILE")
    row = check(config.gold, config.prediction, options)
    shown = {"verdict": _WORDS[row["verdict"]], **{key: value for key, value in row.items() if key != "verdict"}}
    for key, value in shown.items():
        print(f"{key:<10} {value if value is not None else '-'}")  # a command's output
    return 0


def check(gold: str, prediction: str, options: SymbolicOptions) -> dict[str, Any]:
    """verdict, step, extracted (as written), gold and answer (canonical) of one pair."""
    extracted = find_answer(prediction, gold, options)
    if extracted is None:
        return {"verdict": False, "step": "no answer", "extracted": None, "gold": gold, "answer": None}
    found = compare_answers(gold, extracted, options)
    return {
        "verdict": found.verdict,
        "step": found.step,
        "extracted": extracted,
        "gold": found.gold,
        "answer": found.answer,
    }


def _lines(name: str) -> Any:
    """An open binary file as a context manager; standard input stays open."""
    if name == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}") from error


def _checked_lines(lines: Iterable[bytes], name: str, options: SymbolicOptions) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            row = loads(line)
            gold, prediction = str(row["gold"]), str(row["prediction"])
        except (ValueError, KeyError) as error:
            raise DataError(f'{name}:{number}: expected {{"gold", "prediction"}} ({error})') from error
        yield check(gold, prediction, options)
