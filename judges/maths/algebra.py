"""From a tree to its exact form, as far as it has one: what has none becomes an opaque part, named by its own form."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from judges.maths.forms import ONE, Form, add, constant, multiply, name, opaque, order_key, raise_to
from judges.maths.reading import Node


def form(node: Node) -> Form:
    """The form of a value.

    Raises:
        TooLarge: past every bound.
        KeyError: the node is no single value (a list, a relation, an interval).
    """
    return _FORMS[node[0]](node)


def _sum_form(node: Node) -> Form:
    total = constant(0)
    for part in node[1]:
        total = add(total, form(part))
    return total


def _product_form(node: Node) -> Form:
    total = constant(1)
    for part in node[1]:
        total = multiply(total, form(part))
    return total


def _constant_form(node: Node) -> Form:
    if node[1] == "i":
        return Form({(("i", Fraction(1)),): Fraction(1)}, True)
    return name("∞") if node[1] == "inf" else name(node[1])


def _quotient_form(node: Node) -> Form:
    above, below = form(node[1]), form(node[2])
    if not below.terms:
        return opaque(f"[{above.text}]/0")
    inverse = raise_to(below, Fraction(-1))
    if inverse is not None:
        return multiply(above, inverse)
    return multiply(above, _opaque_power(below, Fraction(-1)))


def _opaque_power(base: Form, power: Fraction) -> Form:
    """A power of a sum as one atom, the sum scaled so that equal sums give equal atoms; (2x+2)^-1 is (x+1)^-1 / 2."""
    lead = min(base.terms.items(), key=order_key)[1]
    if power.denominator > 1 or abs(power) > 200:
        lead = Fraction(1)
    scaled = Form({m: c / lead for m, c in base.terms.items()}, base.exact)
    scale = raise_to(constant(lead), power) or constant(1)
    return multiply(scale, Form({((f"[{scaled.text}]", power),): Fraction(1)}, False))


def _power_form(node: Node) -> Form:
    base, exponent = form(node[1]), form(node[2])
    power = exponent.number
    if power is not None and abs(power) < 10**6:
        if not base.terms and power <= 0:
            return opaque(f"0^({power})")
        return raise_to(base, power) or _opaque_power(base, power)
    if power is None and base.number is not None and base.number > 0:
        return _split_power(base, exponent)
    return opaque(f"[{base.text}]^[{exponent.text}]")


def _split_power(base: Form, exponent: Form) -> Form:
    """2^(n+1) is 2 * 2^n: the rational part of an exponent is taken out."""
    fixed = exponent.terms.get(ONE, Fraction(0))
    rest = Form({m: c for m, c in exponent.terms.items() if m != ONE}, exponent.exact)
    head = raise_to(base, fixed) if abs(fixed) < 1000 else None
    if head is None:
        return opaque(f"[{base.text}]^[{exponent.text}]")
    return multiply(head, opaque(f"[{base.text}]^[{rest.text}]"))


def _function_form(node: Node) -> Form:
    function, arguments = node[1], node[2]
    if function == "root":
        return _root_form(node)
    values = [form(argument) for argument in arguments]
    numbers = [value.number for value in values]
    exact = _exact_function(function, numbers)
    if exact is not None:
        return constant(exact)
    return opaque(f"{function}({', '.join(value.text for value in values)})")


def _root_form(node: Node) -> Form:
    radicand, degree = form(node[2][0]), form(node[2][1]).number
    if degree is None or degree == 0:
        return opaque(f"root({radicand.text}, {form(node[2][1]).text})")
    value = radicand.number
    if value is not None and value < 0 and degree.denominator == 1 and degree % 2 == 1:
        return multiply(constant(-1), raise_to(constant(-value), 1 / degree) or opaque("?"))
    return raise_to(radicand, 1 / degree) or _opaque_power(radicand, 1 / degree)


def _exact_function(function: str, numbers: list[Fraction | None]) -> Fraction | None:
    if any(number is None for number in numbers):
        return None
    values = [number for number in numbers if number is not None]
    whole = all(value.denominator == 1 for value in values)
    if function == "abs":
        return abs(values[0])
    if function in ("floor", "ceil"):
        return Fraction(math.floor(values[0]) if function == "floor" else math.ceil(values[0]))
    if function in ("max", "min") and values:
        return max(values) if function == "max" else min(values)
    if not whole or any(value < 0 or value > 3000 for value in values):
        return None
    integers = [int(value) for value in values]
    if function == "factorial":
        return Fraction(math.factorial(integers[0]))
    if function == "binom" and len(integers) == 2:
        return Fraction(math.comb(*integers))
    if function in ("gcd", "lcm"):
        return Fraction(math.gcd(*integers) if function == "gcd" else math.lcm(*integers))
    return None


_FORMS: dict[str, Callable[[Node], Form]] = {
    "num": lambda node: constant(node[1]),
    "dec": lambda node: constant(node[1]),
    "const": _constant_form,
    "sym": lambda node: name(node[1]),
    "add": _sum_form,
    "mul": _product_form,
    "neg": lambda node: multiply(constant(-1), form(node[1])),
    "div": _quotient_form,
    "pow": _power_form,
    "fn": _function_form,
    "deg": lambda node: form(node[1]),
    "pct": lambda node: multiply(constant(Fraction(1, 100)), form(node[1])),
    "unit": lambda node: form(node[1]),
    "ratio": lambda node: _ratio_form(node),
}


def _ratio_form(node: Node) -> Form:
    if len(node[1]) != 2:
        raise KeyError("ratio")
    return _quotient_form(("div", *node[1]))
