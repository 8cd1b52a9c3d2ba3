"""The steps that need no process, cheapest first: same text, letters, words, trees, units and percent."""

from __future__ import annotations

import re
from fractions import Fraction

from judges.maths.comparing import compare
from judges.maths.options import SymbolicOptions
from judges.maths.reading import Node
from judges.maths.readings import Reading, understand
from judges.maths.units import factor
from judges.maths.values import Decision, form_of

_NUMERAL = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


_FORMULA = re.compile(r"[\\^_{}=]")


def decide(gold: Reading, given: Reading, options: SymbolicOptions) -> Decision:
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


_PLAIN_WORDS = ("yes", "no", "true", "false")


def _first_word(words: str) -> str:
    """The word before the first comma, semicolon or full stop: "yes" of "yes, since it is even"."""
    return re.split(r"[,;.:]", words, maxsplit=1)[0].strip()


def _words(gold: Reading, given: Reading, options: SymbolicOptions) -> Decision:
    if gold.words and given.words:
        same = gold.words == given.words or (gold.words in _PLAIN_WORDS and _first_word(given.words) == gold.words)
        if same and options.text_case == "kept":
            same = gold.normal.strip("\x02\x03 ") == given.normal.strip("\x02\x03 ")
        return same, "words"
    if gold.words:
        return False, "words against mathematics"
    return _prose(gold, given)


def _prose(gold: Reading, given: Reading) -> Decision:
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


def _nodes(gold: Reading, given: Reading, options: SymbolicOptions) -> Decision:
    ours, theirs = gold.node, given.node
    assert ours is not None and theirs is not None
    if options.take_modulo:
        return _modulo(ours, theirs, options.take_modulo)
    if options.units == "required" and gold.unit and not given.unit:
        return False, "unit missing"
    if (gold.percent and given.unit) or (given.percent and gold.unit):
        return False, "percent against a unit"
    if (ours[0] == "base") != (theirs[0] == "base") and (gold.unit or given.unit or gold.percent or given.percent):
        return False, "a base against a quantity"
    times = factor(gold.unit, given.unit) if options.units != "ignored" else Fraction(1)
    if times is None:
        return False, "another unit"
    if times != 1:
        theirs = ("mul", (theirs, ("num", times)))
    if options.percent == "strict" and gold.percent != given.percent:
        ours, theirs = _hundredths(ours, gold), _hundredths(theirs, given)
    verdict, step = compare(ours, theirs, options)
    if verdict is not True:
        verdict, step = _with_percent(gold, given, options, (verdict, step))
    if verdict is False and "degree" in (gold.unit, given.unit) and gold.unit != given.unit:
        turned = [_radians(reading) if reading.unit == "degree" else reading.node for reading in (gold, given)]
        verdict, step = compare(turned[0] or ours, turned[1] or theirs, options)
    if verdict is False and _bare_unit(given, gold):
        verdict, step = compare(ours, understand(given.normal.rpartition(" ")[0]).node or theirs, options)
    return verdict, step


def _hundredths(node: Node, reading: Reading) -> Node:
    return ("mul", (node, ("num", Fraction(1, 100)))) if reading.percent else node


def _radians(reading: Reading) -> Node:
    return ("mul", (reading.node, ("div", ("const", "pi"), ("num", Fraction(180)))))


def _with_percent(gold: Reading, given: Reading, options: SymbolicOptions, decided: Decision) -> Decision:
    if gold.percent == given.percent or options.percent == "strict":
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


def _modulo(gold: Node, given: Node, modulus: int) -> Decision:
    values = [found.number if (found := form_of(node)) is not None else None for node in (gold, given)]
    if any(value is None or value.denominator != 1 for value in values):
        return None, "modulo"
    return int(values[0] or 0) % modulus == int(values[1] or 0) % modulus, "modulo"
