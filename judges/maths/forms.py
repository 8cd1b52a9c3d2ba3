"""Exact arithmetic: sums of monomials with rational coefficients over roots of primes, pi, e, i, names and opaque parts.

Roots of primes are linearly independent over the rationals (Besicovitch 1940), so two forms without opaque parts are
equal exactly where their terms are. Names stand for positive numbers: sqrt(x^2) is x.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

# An atom is a prime with an exponent in (0, 1), or a name, constant or opaque part with any rational exponent.
Monomial: TypeAlias = tuple[tuple[str, Fraction], ...]


Terms: TypeAlias = dict[Monomial, Fraction]


MOST_TERMS = 300


MOST_BITS = 40_000


ONE: Monomial = ()


_PRIMES = [n for n in range(2, 1000) if all(n % p for p in range(2, math.isqrt(n) + 1))]


class TooLarge(Exception):
    """The form would not fit any bound on terms or digits."""


@dataclass(frozen=True, slots=True)
class Form:
    """`exact`: no opaque part, so that different terms mean different values. `text` is the canonical string."""

    terms: Terms
    exact: bool

    @property
    def number(self) -> Fraction | None:
        if not self.terms:
            return Fraction(0)
        return self.terms.get(ONE) if len(self.terms) == 1 else None

    @property
    def text(self) -> str:
        return " + ".join(_term_text(m, c) for m, c in sorted(self.terms.items(), key=order_key)) or "0"


def order_key(item: tuple[Monomial, Fraction]) -> tuple[int, str]:
    return (0 if item[0] else 1, str(item[0]))


def _term_text(monomial: Monomial, coefficient: Fraction) -> str:
    factors = [atom if power == 1 else f"{atom}^{_power_text(power)}" for atom, power in monomial]
    if coefficient != 1 or not factors:
        factors.insert(0, rational_text(coefficient))
    return "*".join(factors)


def _power_text(power: Fraction) -> str:
    return str(power) if power.denominator == 1 and power > 0 else f"({power})"


def rational_text(value: Fraction) -> str:
    """p or p/q in lowest terms; hexadecimal past the digits that Python turns into text."""
    parts = (value.numerator, value.denominator)
    if max(abs(part).bit_length() for part in parts) > 13_000:
        return "/".join(f"{part:#x}" for part in parts if part != 1)
    return str(value)


def constant(value: Fraction | int) -> Form:
    return Form({ONE: Fraction(value)} if value else {}, True)


def name(text: str) -> Form:
    return Form({((text, Fraction(1)),): Fraction(1)}, True)


def opaque(text: str) -> Form:
    return Form({((text, Fraction(1)),): Fraction(1)}, False)


def add(a: Form, b: Form) -> Form:
    terms = dict(a.terms)
    for monomial, coefficient in b.terms.items():
        total = terms.get(monomial, Fraction(0)) + coefficient
        if total:
            terms[monomial] = total
        else:
            terms.pop(monomial, None)
    return _bounded(terms, a.exact and b.exact)


def multiply(a: Form, b: Form) -> Form:
    if len(a.terms) * len(b.terms) > 10 * MOST_TERMS:
        raise TooLarge
    terms: Terms = {}
    for left, x in a.terms.items():
        for right, y in b.terms.items():
            monomial, factor = (left or right, Fraction(1)) if not (left and right) else _product(left, right)
            total = terms.get(monomial, Fraction(0)) + x * y * factor
            if total:
                terms[monomial] = total
            else:
                terms.pop(monomial, None)
    return _bounded(terms, a.exact and b.exact)


def _bounded(terms: Terms, exact: bool) -> Form:
    if len(terms) > MOST_TERMS:
        raise TooLarge
    for value in terms.values():
        if value.numerator.bit_length() + value.denominator.bit_length() > MOST_BITS:
            raise TooLarge
    return Form(terms, exact)


def _product(a: Monomial, b: Monomial) -> tuple[Monomial, Fraction]:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, Fraction(0)) + power
    return _reduced(powers)


def _reduced(powers: dict[str, Fraction]) -> tuple[Monomial, Fraction]:
    """Whole powers of primes and of i become factors."""
    factor = Fraction(1)
    kept: list[tuple[str, Fraction]] = []
    for atom, power in powers.items():
        if atom == "i" and power.denominator == 1:
            turns = int(power) % 4
            factor *= -1 if turns in (2, 3) else 1
            power = Fraction(turns % 2)
        elif atom.isdigit():
            whole = math.floor(power)
            if abs(whole) * int(atom).bit_length() > MOST_BITS:
                raise TooLarge
            factor *= Fraction(int(atom)) ** whole
            power -= whole
        if power:
            kept.append((atom, power))
    return tuple(sorted(kept)), factor


def raise_to(base: Form, power: Fraction) -> Form | None:
    """base ** power, or None where the result has no form of its own."""
    if power == 1:
        return base
    if not base.terms:
        return constant(0) if power > 0 else None
    if len(base.terms) > 1:
        return _sum_to(base, power)
    ((monomial, coefficient),) = base.terms.items()
    if power.denominator > 1 and (coefficient < 0 or any(atom == "i" for atom, _ in monomial)):
        return _negative_root(coefficient, power) if monomial == ONE else None
    head = _number_to(coefficient, power)
    if head is None:
        return None
    powers = {atom: exponent * power for atom, exponent in monomial}
    rest, factor = _reduced(powers)
    return multiply(head, Form({rest: factor}, base.exact))


def _sum_to(base: Form, power: Fraction) -> Form | None:
    if power.denominator > 1 or not 0 <= power <= 12:
        return None
    result = constant(1)
    for _ in range(int(power)):
        result = multiply(result, base)
    return result


def _negative_root(value: Fraction, power: Fraction) -> Form | None:
    """(-n)^(k/2) is a power of i; other roots of negatives have several readings."""
    if power.denominator != 2:
        return None
    head = _number_to(-value, power)
    monomial, factor = _reduced({"i": Fraction(power.numerator % 4)})
    return None if head is None else multiply(head, Form({monomial: factor}, True))


def _number_to(value: Fraction, power: Fraction) -> Form | None:
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if value not in (1, -1) and bits * abs(power) > MOST_BITS:
        raise TooLarge
    if power.denominator == 1:
        return constant(value ** int(power))
    powers: dict[str, Fraction] = {}
    exact = True
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, count in _factors(part):
            powers[str(prime)] = powers.get(str(prime), Fraction(0)) + sign * count * power
            exact = exact and prime < 1_000_000
    monomial, factor = _reduced(powers)
    return Form({monomial: factor}, exact)


@functools.lru_cache(maxsize=4096)
def _factors(number: int) -> tuple[tuple[int, int], ...]:
    """Prime factors up to 1000; what is left counts as one, its root taken where it is a square."""
    found = []
    for prime in _PRIMES:
        if prime * prime > number:
            break
        count = 0
        while number % prime == 0:
            number //= prime
            count += 1
        if count:
            found.append((prime, count))
    if number > 1:
        root = math.isqrt(number)
        found.append((root, 2) if root * root == number else (number, 1))
    return tuple(found)
