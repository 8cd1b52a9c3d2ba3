"""Whether an answer equals the reference: a ladder of steps, cheapest first, each naming itself when it decides.

    from judges.symbolic import equal
    equal(r"\\frac{1}{2}", "0.5")                      # True
    equal("5", r"... so the answer is \\boxed{x + y = 5}")   # False
    equal("20", "It depends on the weather, 20 or so")   # None: there is an answer, but no way to compare it

The steps: same text, letters, words, exact form, rounding, evaluation at growing precision, then math-verify in a process.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judges.answers import Extraction, boxed, extract
from judges.maths.canonical import canonical
from judges.maths.ladder import decide
from judges.maths.last_step import MATH_VERIFY, NEMO_SKILLS, LastStep, is_fit, shared
from judges.maths.options import SymbolicOptions, wrong_choice
from judges.maths.readings import understand
from ns_eval.errors import UsageError
from ns_eval.records import Generation, Question, Verdict
from ns_eval.schema import build

logger = logging.getLogger(__name__)

GRADER_VERSION = "symbolic-1"

_DEFAULT = SymbolicOptions()
_PLAIN_INTEGER = re.compile(r"0|-?[1-9]\d{0,999}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`verdict` None: unparsed. `step` is what decided; `gold` and `answer` are canonical."""

    verdict: bool | None
    step: str
    gold: str
    answer: str


def equal(gold: str, prediction: str, options: SymbolicOptions = _DEFAULT) -> bool | None:
    """Whether a prediction, bare or a whole generation, equals the gold; None where it cannot be compared.

    Safe from any thread; the rare case that needs sympy waits for a process, some 2 s at most once it has started. From
    a coroutine, `await asyncio.to_thread(equal, gold, prediction)` keeps the loop free meanwhile.
    """
    if gold.strip() == prediction.strip() and gold.strip():
        return True
    strict = options.compat == "nemo-skills" and "\\boxed" not in prediction  # a bare answer, which no box marks
    answer = prediction if strict else find_answer(prediction, gold, options)
    return False if answer is None else compare_answers(gold, answer, options).verdict


def find_answer(text: str, gold: str, options: SymbolicOptions = _DEFAULT) -> str | None:
    """The answer in a text as written, or None; a gold of one letter lets a letter alone count."""
    found = extract(text, _rules(options), letter=len(gold.strip(" ()")) == 1)
    if options.compat == "nemo-skills" and found is not None and "\\boxed{" not in text:
        return None if options.extract_from_boxed else found
    return found


@functools.lru_cache(maxsize=64)
def _rules(options: SymbolicOptions) -> Extraction:
    alike = options.compat == "nemo-skills"
    return Extraction(
        options.end_reasoning_string,
        options.unfinished_reasoning,
        options.extract_from_boxed,
        options.extract_regex,
        options.relaxed and not alike,
        "last" if alike else options.boxes,
    )


def compare_answers(
    gold: str, answer: str, options: SymbolicOptions = _DEFAULT, last_step: LastStep | None = None
) -> Comparison:
    """Compares a bare gold with a bare answer and says which step decided."""
    gold, answer = _unboxed(gold.strip()), answer.strip()
    if _PLAIN_INTEGER.fullmatch(gold) and _PLAIN_INTEGER.fullmatch(answer) and not options.take_modulo:
        return Comparison(gold == answer, "same text" if gold == answer else "two integers", gold, answer)
    try:
        return _compare(gold, answer, options, last_step)
    except Exception as error:  # the border of one sample: a bug of ours must not end a run
        logger.exception("comparing %r with %r", gold[:200], answer[:200])
        return Comparison(None, f"failed: {type(error).__name__}: {error}", gold, answer)


def _compare(gold: str, answer: str, options: SymbolicOptions, last_step: LastStep | None) -> Comparison:
    ours, theirs = (understand(text, options.decimal_comma, options.mixed_numbers) for text in (gold, answer))
    if options.compat == "nemo-skills" and not options.take_modulo:
        verdict, step = (last_step or shared(NEMO_SKILLS))(gold, answer, "nemo-skills")
        return Comparison(
            verdict,
            "nemo-skills" if verdict is not None else step,
            canonical(ours),
            canonical(theirs, choice=ours.letter.isupper()),
        )
    verdict, step = decide(ours, theirs, options)
    if verdict is None and options.heavy and is_fit(ours, theirs):
        verdict, step = (last_step or shared(MATH_VERIFY))(ours.normal, theirs.normal, step)
    elif verdict is None:
        step = f"unparsed: {step}"
    return Comparison(verdict, step, canonical(ours), canonical(theirs, choice=ours.letter.isupper()))


def _unboxed(gold: str) -> str:
    return (boxed(gold) or gold) if "boxed" in gold or "fbox" in gold else gold


class SymbolicJudge:
    """The judge of mathematical answers. Options: `SymbolicOptions`."""

    name = "symbolic"
    version = GRADER_VERSION

    def __init__(self, **options: Any) -> None:
        self.options = _checked(options) if options else _DEFAULT
        self._last_step: LastStep | None = None

    def warm(self) -> None:
        """Called in a process that may be killed: loads what the last step needs."""
        self._last_step = LastStep(NEMO_SKILLS if self.options.compat else MATH_VERIFY, here=True)

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """No answer is wrong, and neither is one that cannot be compared right (switch `unparsed`)."""
        gold = question.expected_answer
        if gold is None:
            return Verdict(self.name, None, error="the question has no expected_answer")
        answer = find_answer(generation.text, gold, self.options)
        if answer is None:
            return Verdict(self.name, False, comment="no answer")
        found = compare_answers(gold, answer, self.options, self._last_step)
        correct = False if found.verdict is None and self.options.unparsed == "wrong" else found.verdict
        return Verdict(self.name, correct, answer=found.answer, extracted=answer, comment=found.step)

    def same(self, a: str, b: str) -> bool:
        """Whether two canonical answers mean the same."""
        return a == b or compare_answers(a, b, self.options, self._last_step).verdict is True


def _checked(options: Mapping[str, Any]) -> SymbolicOptions:
    built = build(SymbolicOptions, options, "judge_options")
    wrong = wrong_choice(built)
    if wrong is not None:
        raise UsageError(f"judge_options: {wrong}")
    return built
