"""The functions that evaluation knows, over one mpmath context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# mpmath's numbers are of a type made at run time, one per context.
Value = Any


class Undefined(Exception):
    """No finite value: a division by zero, an infinite value, an unknown function, or past the budget."""


def _root(mp: Any, radicand: Value, degree: Value) -> Value:
    """The real root of a negative number where the degree is odd."""
    if mp.im(radicand) == 0 and mp.re(radicand) < 0 and mp.isint(degree) and int(mp.re(degree)) % 2 == 1:
        return -mp.power(-radicand, 1 / degree)
    return mp.power(radicand, 1 / degree)


def _choose(mp: Any, n: Value, k: Value) -> Value:
    return mp.binomial(n, k)


def _factorial(mp: Any, n: Value) -> Value:
    if abs(n) > 20_000:
        raise Undefined("too large a factorial")
    return mp.factorial(n)


TRIGONOMETRIC = ("sin", "cos", "tan", "sec", "csc", "cot")


_SAME_NAME = """
ceil cos cosh cot coth csc exp floor im ln re sec sin sinh tan tanh
"""


FUNCTIONS: dict[str, Callable[..., Value]] = {
    **{name: (lambda mp, x, name=name: getattr(mp, name)(x)) for name in _SAME_NAME.split()},
    "arcsin": lambda mp, x: mp.asin(x),
    "arccos": lambda mp, x: mp.acos(x),
    "arctan": lambda mp, x: mp.atan(x),
    "arccot": lambda mp, x: mp.acot(x),
    "arcsec": lambda mp, x: mp.asec(x),
    "arccsc": lambda mp, x: mp.acsc(x),
    "arcsinh": lambda mp, x: mp.asinh(x),
    "arccosh": lambda mp, x: mp.acosh(x),
    "arctanh": lambda mp, x: mp.atanh(x),
    "log": lambda mp, x, base=None: mp.log(x) if base is None else mp.log(x) / mp.log(base),
    "abs": lambda mp, x: abs(x),
    "root": _root,
    "binom": _choose,
    "factorial": _factorial,
    "max": lambda mp, *values: max(values),
    "min": lambda mp, *values: min(values),
    "sgn": lambda mp, x: mp.sign(x),
    "arg": lambda mp, x: mp.arg(x),
}
