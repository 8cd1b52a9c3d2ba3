"""Generators for the checker's property tests: formulas with a value, other ways to write them, small changes to them."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import strategies as st

_whole = st.integers(-999, 999)
_positive = st.integers(1, 999)
_prime = st.sampled_from([2, 3, 5, 7, 11, 13])
_name = st.sampled_from("abcxyzmnpt")


def _fraction(parts: tuple[int, int]) -> str:
    above, below = parts
    return f"{'-' if above < 0 else ''}\\frac{{{abs(above)}}}{{{below}}}"


fractions = st.tuples(_whole.filter(bool), st.integers(2, 99)).map(_fraction)
surds = st.tuples(st.integers(2, 40), _prime).map(lambda parts: f"{parts[0]}\\sqrt{{{parts[1]}}}")
sums = st.tuples(_positive, st.sampled_from("+-"), surds).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]}")
pies = st.tuples(st.integers(2, 99), st.integers(2, 12)).map(lambda parts: f"\\frac{{{parts[0]}\\pi}}{{{parts[1]}}}")
polynomials = st.tuples(st.integers(2, 20), _name, st.integers(2, 5), st.integers(1, 30)).map(
    lambda parts: f"{parts[0]}{parts[1]}^{{{parts[2]}}}+{parts[3]}"
)
complexes = st.tuples(_positive, st.sampled_from("+-"), st.integers(2, 99)).map(lambda p: f"{p[0]}{p[1]}{p[2]}i")
wholes = _whole.map(str)
values = st.one_of(wholes, fractions, surds, sums, pies, polynomials, complexes)
tuples = st.lists(st.one_of(wholes, fractions, surds), min_size=2, max_size=4).map(lambda items: f"({', '.join(items)})")
lists = st.lists(wholes, min_size=2, max_size=5, unique=True).map(", ".join)
intervals = st.tuples(st.sampled_from("(["), _whole, _positive, st.sampled_from(")]")).map(
    lambda parts: f"{parts[0]}{parts[1]}, {parts[1] + parts[2]}{parts[3]}"
)
matrices = st.lists(st.tuples(wholes, wholes), min_size=1, max_size=3).map(
    lambda rows: "\\begin{pmatrix} " + " \\\\ ".join(" & ".join(row) for row in rows) + " \\end{pmatrix}"
)
equations = st.tuples(_name, values).map(lambda parts: f"{parts[0]} = {parts[1]}")
bases = st.tuples(st.integers(1, 4444).filter(lambda n: not set(str(n)) & set("56789")), st.integers(5, 8)).map(
    lambda parts: f"{parts[0]}_{parts[1]}"
)
golds = st.one_of(values, tuples, lists, intervals, matrices, equations, bases)

# Each takes a gold and writes the same in another way; one that does not apply gives it back as it is.
REWRITES: dict[str, Callable[[str], str]] = {
    "dfrac": lambda gold: gold.replace("\\frac", "\\dfrac"),
    "spaces": lambda gold: re.sub(r"([+,=])", r" \1 ", gold),
    "thin spaces": lambda gold: gold.replace(", ", ",\\; "),
    "dollars": lambda gold: f"${gold}$",
    "final dot": lambda gold: f"{gold}.",
    "box": lambda gold: f"Therefore the answer is $\\boxed{{{gold}}}$.",
    "display": lambda gold: f"So we get\n\\[\n\\boxed{{{gold}}}\n\\]",
    "bold": lambda gold: f"**{gold}**",
    "left right": lambda gold: gold.replace("(", "\\left(").replace(")", "\\right)") if gold[0] + gold[-1] == "()" else gold,
    "plain roots": lambda gold: re.sub(r"\\sqrt\{(\d+)\}", r"sqrt(\1)", gold),
    "unicode roots": lambda gold: re.sub(r"\\sqrt\{(\d+)\}", r"√\1", gold),
    "unicode minus": lambda gold: gold.replace("-", "−"),
    "unicode pi": lambda gold: gold.replace("\\pi", "π"),
    "plain fractions": lambda gold: re.sub(r"\\frac\{([^{}]*)\}\{(\d+)\}", r"(\1)/(\2)", gold),
    "unreduced": lambda gold: re.sub(
        r"\\frac\{(\d+)\}\{(\d+)\}", lambda m: f"\\frac{{{3 * int(m[1])}}}{{{3 * int(m[2])}}}", gold
    ),
    "under the root": lambda gold: re.sub(
        r"(?<!\d)(\d+)\\sqrt\{(\d+)\}", lambda m: f"\\sqrt{{{int(m[1]) ** 2 * int(m[2])}}}", gold
    ),
    "terms swapped": lambda gold: re.sub(r"^(\d+)\+([^,()=]+)$", r"\2+\1", gold),
    "powers": lambda gold: gold.replace("^{", "**{"),
    "times": lambda gold: re.sub(r"(\d)(\\sqrt|\\pi)", r"\1 \\cdot \2", gold),
    "bmatrix": lambda gold: gold.replace("pmatrix", "bmatrix"),
    "and": lambda gold: gold.replace(", ", " \\text{ and } ") if re.fullmatch(r"-?\d+, -?\d+", gold) else gold,
    "braces": lambda gold: f"\\{{{gold}\\}}" if re.fullmatch(r"-?\d+(, -?\d+)+", gold) else gold,
    "right side": lambda gold: gold.partition(" = ")[2] or gold,
    "sides swapped": lambda gold: " = ".join(reversed(gold.split(" = "))),
    "label": lambda gold: f"x = {gold}" if re.fullmatch(r"-?\d+", gold) else gold,
    "unit": lambda gold: f"{gold}\\text{{ cm}}" if re.fullmatch(r"-?\d+", gold) else gold,
    "braced base": lambda gold: re.sub(r"_(\d)$", r"_{\1}", gold),
    "base in words": lambda gold: re.sub(r"_(\d)$", r"_{\\text{\1}}", gold),
    "full width": lambda gold: gold.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)}),
}


def _other_number(match: re.Match[str]) -> str:
    return str(int(match[0]) + 1)


# Each changes what a gold says; one that does not apply gives it back as it is.
CHANGES: dict[str, Callable[[str], str]] = {
    "first number plus one": lambda gold: re.sub(r"\d+", _other_number, gold, count=1),
    "last number plus one": lambda gold: re.sub(r"(\d+)(?=\D*$)", _other_number, gold, count=1),
    "another digit": lambda gold: f"{gold}7" if re.fullmatch(r"-?\d+", gold) else gold,
    "an item more": lambda gold: f"{gold}, 1001" if re.fullmatch(r"-?\d+(, -?\d+)*", gold) else gold,
    "an item less": lambda gold: gold.rpartition(", ")[0] if re.fullmatch(r"-?\d+(, -?\d+)+", gold) else gold,
    "closed end": lambda gold: f"[{gold[1:]}" if gold.startswith("(") else gold,
    "open end": lambda gold: f"{gold[:-1]})" if gold.startswith(("(", "[")) and gold.endswith("]") else gold,
    "half as much again": lambda gold: f"{gold}\\sqrt{{2}}" if re.fullmatch(r"-?[1-9]\d*", gold) else gold,
    "root as power": lambda gold: gold.replace("\\sqrt", ""),
    "conjugate": lambda gold: gold.replace("+", "-", 1) if gold.endswith("i") else gold,
    "another power": lambda gold: re.sub(r"\^\{(\d)\}", lambda m: f"^{{{int(m[1]) + 1}}}", gold),
    "another name": lambda gold: re.sub(r"^([a-z]) = ", lambda m: f"{'w' if m[1] != 'w' else 'v'} = ", gold),
    "another base": lambda gold: re.sub(r"_(\d)$", "_9", gold),
    "a prose answer": lambda gold: "it cannot be determined",
}
