"""Whether an answer equals the reference: a ladder of steps, cheapest first, each naming itself when it decides.

    from judges.symbolic import equal
    equal(r"\\frac{1}{2}", "0.5")                      # True
    equal("5", r"... so the answer is \\boxed{x + y = 5}")   # False
    equal("20", "It depends on the weather, 20 or so")   # None: there is an answer, but no way to compare it

The steps: same text, letters, words, exact form, rounding, evaluation at growing precision, then math-verify in a process.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from judges.answers import Extraction, boxed, extract
from judges.canonical import canonical
from judges.comparing import compare
from judges.options import SymbolicOptions, wrong_choice
from judges.reading import Node
from judges.readings import Reading, understand
from judges.units import factor
from ns_eval.config import build
from ns_eval.errors import UsageError
from ns_eval.records import Generation, Question, Verdict
from ns_eval.workers import CallFailed, Limits, Pool

GRADER_VERSION = "symbolic-1"

_DEFAULT = SymbolicOptions()
_LONGEST_HEAVY = 1500
_PLAIN_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,999})")
_NUMERAL = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_FORMULA = re.compile(r"[\\^_{}=]")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`verdict` None: unparsed. `step` is what decided; `gold` and `answer` are canonical."""

    verdict: bool | None
    step: str
    gold: str
    answer: str


def equal(gold: str, prediction: str, options: SymbolicOptions = _DEFAULT) -> bool | None:
    """Whether a prediction, bare or a whole generation, equals the gold; None where it cannot be compared.

    Safe from threads and coroutines; the rare case that needs sympy waits for a process, 2 s at most.
    """
    answer = _answer_in(prediction, gold, options)
    return False if answer is None else compare_answers(gold, answer, options).verdict


def _answer_in(text: str, gold: str, options: SymbolicOptions) -> str | None:
    found = extract(text, _rules(options), letter=len(gold.strip(" ()")) == 1)
    if found is None and "\\boxed" not in text and len(text) > 400 and options.relaxed:
        return text if text.strip() == gold.strip() else None
    return found


@functools.lru_cache(maxsize=64)
def _rules(options: SymbolicOptions) -> Extraction:
    return Extraction(
        options.end_reasoning_string,
        options.unfinished_reasoning,
        options.extract_from_boxed,
        options.extract_regex,
        options.relaxed,
        options.boxes,
    )


def compare_answers(gold: str, answer: str, options: SymbolicOptions = _DEFAULT, heavy: _Heavy | None = None) -> Comparison:
    """Compares a bare gold with a bare answer and says which step decided."""
    gold, answer = _unboxed(gold.strip()), answer.strip()
    if _PLAIN_INTEGER.fullmatch(gold) and _PLAIN_INTEGER.fullmatch(answer) and not options.take_modulo:
        return Comparison(gold == answer, "same text" if gold == answer else "two integers", gold, answer)
    ours, theirs = understand(gold, options.decimal_comma), understand(answer, options.decimal_comma)
    verdict, step = _decide(ours, theirs, options)
    if verdict is None and options.heavy:
        verdict, step = (heavy or _shared_heavy)(ours, theirs, step)
    return Comparison(verdict, step, canonical(ours), canonical(theirs))


def _unboxed(gold: str) -> str:
    return (boxed(gold) or gold) if "boxed" in gold or "fbox" in gold else gold


def _decide(gold: Reading, given: Reading, options: SymbolicOptions) -> tuple[bool | None, str]:
    """The steps that need no process."""
    if gold.normal == given.normal or gold.normal.replace(" ", "") == given.normal.replace(" ", ""):
        return (True, "same text") if given.normal else (False, "nothing to compare")
    if len(gold.letter) == 1 and gold.letter.isupper() and (given.letter or given.node is not None or given.words):
        if given.letter:
            return gold.letter == given.letter.upper(), "choice letter"
        if gold.node is None or gold.node[0] == "sym":
            return False, "choice letter"
    if gold.words or (given.words and gold.node is not None):
        return _words(gold, given, options)
    if gold.node is None or given.node is None:
        return None, given.problem or gold.problem
    return _nodes(gold, given, options)


def _words(gold: Reading, given: Reading, options: SymbolicOptions) -> tuple[bool | None, str]:
    if gold.words and given.words:
        same = gold.words == given.words
        if same and options.text_case == "kept":
            same = gold.normal.strip("\x02\x03 ") == given.normal.strip("\x02\x03 ")
        return same, "words"
    if gold.words:
        return False, "words against mathematics"
    return _prose(gold, given)


def _prose(gold: Reading, given: Reading) -> tuple[bool | None, str]:
    """Prose where mathematics is asked for: wrong where the gold's number does not occur in it, else unparsed."""
    numerals = {Fraction(found.replace(",", "")) for found in _NUMERAL.findall(given.normal)}
    if not numerals and not _FORMULA.search(given.normal):
        return False, "prose without a figure"
    node = gold.node
    value = node[1] if node is not None and node[0] in ("num", "dec") else None
    if node is not None and node[0] == "neg" and node[1][0] in ("num", "dec"):
        value = -node[1][1]
    if value is not None and not _FORMULA.search(given.normal) and value not in numerals and -value not in numerals:
        return False, "prose without the number"
    return None, "prose"


def _nodes(gold: Reading, given: Reading, options: SymbolicOptions) -> tuple[bool | None, str]:
    ours, theirs = gold.node, given.node
    assert ours is not None and theirs is not None
    if options.take_modulo:
        return _modulo(ours, theirs, options.take_modulo)
    if options.units == "required" and gold.unit and not given.unit:
        return False, "unit missing"
    times = factor(gold.unit, given.unit) if options.units != "ignored" else Fraction(1)
    if times is None:
        return False, "another unit"
    if times != 1:
        theirs = ("mul", (theirs, ("num", times)))
    verdict, step = compare(ours, theirs, options)
    if verdict is not True:
        verdict, step = _with_percent(gold, given, options, (verdict, step))
    if verdict is False and "degree" in (gold.unit, given.unit) and gold.unit != given.unit:
        turned = [_radians(reading) if reading.unit == "degree" else reading.node for reading in (gold, given)]
        verdict, step = compare(turned[0] or ours, turned[1] or theirs, options)
    if verdict is False and _bare_unit(given, gold):
        verdict, step = compare(ours, understand(given.normal.rpartition(" ")[0]).node or theirs, options)
    return verdict, step


def _radians(reading: Reading) -> Node:
    return ("mul", (reading.node, ("div", ("const", "pi"), ("num", Fraction(180)))))


def _with_percent(
    gold: Reading, given: Reading, options: SymbolicOptions, decided: tuple[bool | None, str]
) -> tuple[bool | None, str]:
    if gold.percent == given.percent:
        return decided
    assert gold.node is not None and given.node is not None
    hundredth = ("num", Fraction(1, 100))
    if gold.percent and compare(("mul", (gold.node, hundredth)), given.node, options)[0]:
        return True, "percent"
    if given.percent and options.percent == "value" and compare(gold.node, ("mul", (given.node, hundredth)), options)[0]:
        return True, "percent"
    return decided


_ONE_LETTER_UNIT = re.compile(r"-?[\d.]+ [mgshLVAWJNKC]")


def _bare_unit(given: Reading, gold: Reading) -> bool:
    """`209.9 m` beside a plain number: the letter is a unit, not a factor."""
    return bool(_ONE_LETTER_UNIT.fullmatch(given.normal)) and gold.node is not None and gold.node[0] in ("num", "dec")


def _modulo(gold: Node, given: Node, modulus: int) -> tuple[bool | None, str]:
    from judges.values import form_of

    values = [found.number if (found := form_of(node)) is not None else None for node in (gold, given)]
    if any(value is None or value.denominator != 1 for value in values):
        return None, "modulo"
    return int(values[0] or 0) % modulus == int(values[1] or 0) % modulus, "modulo"


class _Heavy:
    """The last step. In a worker process it runs on the spot, since the worker is what is killed; elsewhere in a pool."""

    def __init__(self, *, here: bool) -> None:
        self._here = here
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._pid = 0

    def __call__(self, gold: Reading, given: Reading, reason: str) -> tuple[bool | None, str]:
        if gold.node is not None and given.node is not None and reason == "numeric evaluation":
            return None, "unparsed: too large to evaluate"
        if (
            len(gold.normal) + len(given.normal) > _LONGEST_HEAVY
            or given.words
            or not given.normal
            or "deep" in given.problem
        ):
            return None, f"unparsed: {reason}"
        try:
            verdict = self._run(gold.normal, given.normal)
        except CallFailed as failure:
            return None, f"unparsed: math-verify {failure}"
        return verdict, "math-verify" if verdict is not None else f"unparsed: {reason}"

    def _run(self, gold: str, given: str) -> bool | None:
        if self._here:
            from judges.heavy import MathVerify

            return MathVerify().compare(gold, given)
        with self._lock:
            if self._pool is None or self._pid != os.getpid():  # a forked child has no thread of its parent
                self._pool, self._pid = (
                    Pool({"_target_": "judges.heavy.MathVerify"}, "compare", Limits(workers=1)),
                    os.getpid(),
                )
        verdict: bool | None = self._pool.submit(gold, given).result()
        return verdict


_shared_heavy = _Heavy(here=False)


class SymbolicJudge:
    """The judge of mathematical answers. Options: `SymbolicOptions`."""

    name = "symbolic"

    def __init__(self, **options: Any) -> None:
        self.options = _checked(options) if options else _DEFAULT
        self._heavy = _shared_heavy

    def warm(self) -> None:
        """Called in a process that may be killed: loads what the last step needs."""
        from judges.heavy import MathVerify

        MathVerify().warm()
        self._heavy = _Heavy(here=True)

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """No answer is wrong; an answer that cannot be compared is unjudged (switch `unparsed`)."""
        gold = question.expected_answer
        if gold is None:
            return Verdict(self.name, None, error="the question has no expected_answer")
        answer = _answer_in(generation.text, gold, self.options)
        if answer is None:
            return Verdict(self.name, False, comment="no answer")
        found = compare_answers(gold, answer, self.options, self._heavy)
        correct = False if found.verdict is None and self.options.unparsed == "wrong" else found.verdict
        return Verdict(self.name, correct, answer=found.answer, extracted=answer, comment=found.step)

    def same(self, a: str, b: str) -> bool:
        """Whether two canonical answers mean the same."""
        return a == b or compare_answers(a, b, self.options, self._heavy).verdict is True


def _checked(options: Mapping[str, Any]) -> SymbolicOptions:
    built = build(SymbolicOptions, options, "judge_options")
    wrong = wrong_choice(built)
    if wrong is not None:
        raise UsageError(f"judge_options: {wrong}")
    return built
