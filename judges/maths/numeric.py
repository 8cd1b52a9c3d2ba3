"""Compares two values by evaluating them: at growing precision, free names at fixed points, never by an absolute tolerance.

A difference that is truly zero shrinks as fast as the precision grows; one that is not stays. Where they agree, the
last precision exceeds every digit that the two texts spell out.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from judges.maths.functions import FUNCTIONS, TRIGONOMETRIC, Undefined, Value
from judges.maths.reading import Node

# Operations of all evaluations of one comparison, in units of about a microsecond at 30 digits.
BUDGET = 60_000
MOST_EXPONENT_BITS = 40_000
_STAGES = (30, 60)


class Evaluator:
    """Values of trees in a context of its own, so that threads do not share a precision."""

    def __init__(self, degrees: bool = False, point: int = 0, whole: bool = False) -> None:
        self.mp = _context()
        self.degrees = degrees
        self.point = point
        self.whole = whole
        self.spent = 0

    def value(self, node: Node) -> Value:
        self.spent += max(1, self.mp.dps // 30)
        if self.spent > BUDGET:
            raise Undefined("too much to evaluate")
        try:
            result = _RULES[node[0]](self, node)
        except KeyError as error:
            raise Undefined(f"{node[0]} is no value") from error
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, MemoryError, NotImplementedError) as error:
            raise Undefined(str(error)) from error
        if not self.mp.isfinite(result):
            raise Undefined("infinite")
        if self.mp.mag(result) > MOST_EXPONENT_BITS if result else False:
            raise Undefined("too large")
        return result

    def name(self, name: str) -> Value:
        """A positive number fixed by the name and the point; whole where formulas hold for whole numbers only."""
        digest = int.from_bytes(hashlib.blake2b(f"{name} {self.point}".encode(), digest_size=8).digest(), "big")
        if self.whole:
            return self.mp.mpf(3 + digest % 23)
        return self.mp.mpf(digest % 1_000_003 + 300_007) / 700_001

    def power(self, base: Value, exponent: Value) -> Value:
        if not base and self.mp.re(exponent) <= 0:
            raise Undefined("no power of zero")
        if base and exponent and abs(exponent) * abs(self.mp.mag(base)) > MOST_EXPONENT_BITS:
            raise Undefined("too large a power")
        return self.mp.power(base, exponent)

    def function(self, node: Node) -> Value:
        name, arguments = node[1], node[2]
        if name in TRIGONOMETRIC and self.degrees and arguments[0][0] == "deg":
            values = [self.value(arguments[0][1]) * self.mp.pi / 180]
        else:
            values = [self.value(argument) for argument in arguments]
        for value in values:
            if (
                value
                and self.mp.mag(value) > 4000
                and name not in ("abs", "floor", "ceil", "max", "min", "root", "log", "ln")
            ):
                raise Undefined("too large an argument")
        if name.startswith("?"):
            return self._unknown(name, values)
        self.spent += 20
        return FUNCTIONS[name](self.mp, *values)

    def _unknown(self, name: str, values: list[Value]) -> Value:
        """f(2): fixed by the name and the value, since nothing is known of f."""
        return self.name(name + " ".join(self.mp.nstr(value, 15) for value in values))


_LOCAL = threading.local()


def _context() -> Any:
    if not hasattr(_LOCAL, "mp"):
        from mpmath.ctx_mp import MPContext  # type: ignore[import-untyped]  # mpmath ships no types

        _LOCAL.mp = MPContext()
    return _LOCAL.mp


def _add(self: Evaluator, node: Node) -> Value:
    return self.mp.fsum([self.value(part) for part in node[1]])


def _multiply(self: Evaluator, node: Node) -> Value:
    result = self.mp.mpf(1)
    for part in node[1]:
        result *= self.value(part)
    return result


def _number(self: Evaluator, node: Node) -> Value:
    return self.mp.mpf(node[1].numerator) / node[1].denominator


def _constant(self: Evaluator, node: Node) -> Value:
    if node[1] == "i":
        return self.mp.mpc(0, 1)
    if node[1] == "inf":
        raise Undefined("infinite")
    return +(self.mp.pi if node[1] == "pi" else self.mp.e)


def _determinant(self: Evaluator, node: Node) -> Value:
    matrix = node[2][0]
    if matrix[0] != "matrix" or len(matrix[1]) > 6:
        raise Undefined("a determinant of no small matrix")
    return self.mp.det(self.mp.matrix([[self.value(cell) for cell in row] for row in matrix[1]]))


def _function_rule(self: Evaluator, node: Node) -> Value:
    return _determinant(self, node) if node[1] == "det" else self.function(node)


_RULES: dict[str, Callable[[Evaluator, Node], Value]] = {
    "num": _number,
    "dec": _number,
    "const": _constant,
    "sym": lambda self, node: self.name(node[1]),
    "add": _add,
    "mul": _multiply,
    "neg": lambda self, node: -self.value(node[1]),
    "div": lambda self, node: self.value(node[1]) / self.value(node[2]),
    "pow": lambda self, node: self.power(self.value(node[1]), self.value(node[2])),
    "fn": _function_rule,
    "deg": lambda self, node: self.value(node[1]),
    "pct": lambda self, node: self.value(node[1]) / 100,
    "unit": lambda self, node: self.value(node[1]),
    "ratio": lambda self, node: self.value(("div", *node[1])),
}


def same_value(a: Node, b: Node, names: Iterable[str], *, degrees: bool = False) -> bool:
    """Whether two values agree at every point.

    Raises:
        Undefined: either has no value, or it takes too much to tell.
    """
    names = set(names)
    points = range(2) if names else range(1)
    agree = all(_agree_at(a, b, Evaluator(degrees, point)) for point in points)
    if agree and names and _has(a, "abs") != _has(b, "abs"):
        return _agree_at(_mirrored(a), _mirrored(b), Evaluator(degrees, 0))
    if agree and names and any(_has(node, step) for node in (a, b) for step in ("floor", "ceil", "max", "min")):
        return all(_agree_at(a, b, Evaluator(degrees, point, whole=True)) for point in range(4))
    if not agree and names and names <= {"n", "k", "m", "j", "l", "r", "p", "q"} and (_is_discrete(a) or _is_discrete(b)):
        return all(_agree_at(a, b, Evaluator(degrees, point, whole=True)) for point in range(4))
    return agree


def same_equation(a: Node, b: Node) -> bool:
    """Whether two differences (left minus right) are constant multiples of each other, so that their zeros are the same."""
    ratios = []
    for point in range(3):
        evaluator = Evaluator(point=point)
        evaluator.mp.dps = 40
        x, y = evaluator.value(a), evaluator.value(b)
        if abs(x) < 1e-30 or abs(y) < 1e-30:
            return bool(abs(x) < 1e-30 and abs(y) < 1e-30)
        ratios.append(x / y)
    return bool(all(abs(ratio / ratios[0] - 1) < 1e-25 for ratio in ratios))


def _agree_at(a: Node, b: Node, evaluator: Evaluator) -> bool:
    differences: list[Value] = []
    before: Value = None
    for digits in (*_STAGES, 120 + 3 * (_digits(a) + _digits(b))):
        if digits > 3000:
            raise Undefined("too many digits")
        evaluator.mp.dps = digits
        x, y = evaluator.value(a), evaluator.value(b)
        if before is not None and abs(x) > 1e-15 and abs(x - before) > 1e-6 * abs(x):
            raise Undefined("no stable value")
        before = x
        difference = abs(x - y)
        differences.append(difference)
        # Equal differences at two precisions are a true difference, not rounding.
        if len(differences) > 1 and difference and abs(differences[-2] / difference - 1) < 1e-3:
            return False
        if len(differences) == 1 and difference > 1e-9 * max(abs(x), abs(y)) and difference > 1e-9:
            return False
    first = max(differences[0], evaluator.mp.mpf(10) ** -_STAGES[0])
    return bool(differences[-1] <= first * evaluator.mp.mpf(10) ** (-0.8 * (digits - _STAGES[0])))


def _digits(node: Node) -> int:
    """About how many digits the numerals of a tree spell out, powers taken in."""
    if node[0] in ("num", "dec"):
        value: Fraction = node[1]
        return (value.numerator.bit_length() + value.denominator.bit_length()) // 3
    if node[0] == "pow" and node[2][0] == "num" and node[2][1].denominator == 1:
        return _digits(node[1]) * max(1, min(abs(int(node[2][1])), 100_000))
    return sum(_digits(child) for child in children(node) if child and isinstance(child[0], str))


def _is_list(part: Node) -> bool:
    return not part or isinstance(part[0], tuple)


def _has(node: Node, function: str) -> bool:
    if node[0] == "fn" and node[1] == function:
        return True
    return any(_has(item, function) for item in children(node))


def _is_discrete(node: Node) -> bool:
    """Whether it means something else between the whole numbers: (-1)^n, n!, floor(n/2), cos(n pi)."""
    if node[0] == "fn" and node[1] in ("factorial", "binom", "floor", "ceil", "sin", "cos"):
        return True
    if node[0] == "pow" and node[1][0] == "neg":
        return True
    return any(_is_discrete(item) for item in children(node))


def _mirrored(node: Node) -> Node:
    """Every name with its sign turned, to tell |x| from x."""
    if node[0] == "sym":
        return ("neg", node)
    return tuple(
        (_mirrored(part) if not _is_list(part) else tuple(_mirrored(i) if isinstance(i, tuple) else i for i in part))
        if isinstance(part, tuple)
        else part
        for part in node
    )


def children(node: Node) -> list[Node]:
    """The nodes right below a node."""
    found: list[Node] = []
    for part in node[1:]:
        if isinstance(part, tuple):
            found += [item for item in part if isinstance(item, tuple)] if _is_list(part) else [part]
    return found


def names_in(node: Node) -> set[str]:
    """The free names of a tree."""
    if node[0] == "sym":
        return {node[1]}
    found: set[str] = set()
    for child in children(node):
        found |= names_in(child)
    return found
