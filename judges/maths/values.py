"""Decides whether two single values are equal: exactly where their forms are exact, else by evaluation; and rounding."""

from __future__ import annotations

import functools
from fractions import Fraction

from judges.maths.algebra import form
from judges.maths.forms import Form, TooLarge
from judges.maths.functions import Undefined
from judges.maths.numeric import Evaluator, children, names_in, same_value
from judges.maths.reading import Node

# Digits from which a decimal stands for the number it approximates.
LONG = 10
# What a double carries: the last digits of 12.000000000000002 are noise.
_DOUBLE_DIGITS = 16
_DOUBLE_NOISE = Fraction(5, 10**16)

Decision = tuple[bool | None, str]


@functools.lru_cache(maxsize=8192)
def form_of(node: Node) -> Form | None:
    """The exact form of a node that is a single value, else None."""
    try:
        return form(node)
    except (TooLarge, KeyError, ZeroDivisionError, OverflowError, RecursionError, ValueError):
        return None


def equal_values(gold: Node, given: Node, *, rounding: str = "printed") -> Decision:
    """(verdict, the step that decided); None where neither step can tell."""
    a, b = form_of(gold), form_of(given)
    if a is not None and b is not None:
        if a.terms == b.terms:
            return True, "exact form"
        rounded = _rounded(gold, given, a, b, rounding)
        if rounded is not None:
            return rounded, "rounding"
        if a.exact and b.exact:
            return False, "exact form"
    if gold == given:
        return True, "same tree"
    return _numerically(gold, given)


def _numerically(gold: Node, given: Node) -> Decision:
    names = names_in(gold) | names_in(given)
    try:
        if same_value(gold, given, names):
            return True, "numeric evaluation"
        if has_degrees(gold) or has_degrees(given):
            return same_value(gold, given, names, degrees=True), "numeric evaluation in degrees"
    except Undefined:
        return None, "numeric evaluation"
    return False, "numeric evaluation"


def has_degrees(node: Node) -> bool:
    """Whether a degree sign stands anywhere in the tree."""
    return node[0] == "deg" or any(has_degrees(child) for child in children(node))


def decimal_of(node: Node) -> tuple[Fraction, int, int] | None:
    """(value, digits, places) of a decimal as written, with its sign; None for any other node."""
    if node[0] == "neg" and node[1][0] == "dec":
        return (-node[1][1], node[1][2], node[1][3])
    return (node[1], node[2], node[3]) if node[0] == "dec" else None


def _rounded(gold: Node, given: Node, a: Form, b: Form, rounding: str) -> bool | None:
    """True where one side is a decimal that stands for the other; None where rounding has nothing to say."""
    ours, theirs = decimal_of(gold), decimal_of(given)
    between_decimals = ours is not None and ours[1] >= LONG  # then a last digit that differs is a difference
    if theirs is not None and theirs[1] >= LONG and not between_decimals and _stands_for(theirs, gold, a):
        return True
    if ours is None or rounding != "printed" or ours[1] < 3 or ours[2] < 2:
        return None
    if theirs is not None and theirs[1] < LONG:
        return None
    exact = _rational(given, b)
    near = exact is not None and abs(exact - ours[0]) <= Fraction(1, 2) * Fraction(1, 10 ** ours[2])
    return True if near else None


def _stands_for(decimal: tuple[Fraction, int, int], node: Node, exact_form: Form) -> bool:
    """Whether a long decimal is the exact value, rounded or cut off at its last place."""
    value, digits, places = decimal
    exact = _rational(node, exact_form)
    if exact is None:
        return False
    difference = abs(exact - value)
    if digits >= _DOUBLE_DIGITS and difference <= _DOUBLE_NOISE * abs(exact) and _is_double(value):
        return True
    last_place = Fraction(1, 10) ** places
    ends_before = exact_form.number is not None and (exact / last_place).denominator == 1
    return difference < last_place and not ends_before


def _is_double(value: Fraction) -> bool:
    """Whether a decimal is what Python prints for a double: only then may its last digits be noise."""
    try:
        return Fraction(repr(float(value))) == value
    except OverflowError:
        return False


def _rational(node: Node, exact_form: Form) -> Fraction | None:
    """The value to forty digits as a fraction; None where it is not one real number."""
    if exact_form.number is not None:
        return exact_form.number
    if names_in(node):
        return None
    evaluator = Evaluator()
    evaluator.mp.dps = 40
    try:
        value = evaluator.value(node)
        if evaluator.mp.im(value) != 0 or evaluator.mp.mag(value) > 4000 or evaluator.mp.mag(value) < -4000:
            return None
        return Fraction(evaluator.mp.nstr(evaluator.mp.re(value), 40))
    except (Undefined, ValueError):
        return None
