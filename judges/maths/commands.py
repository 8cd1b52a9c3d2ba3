"""LaTeX commands and named functions with their arguments: fractions, roots, logarithms, accents, matrices, domains."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from judges.maths import atoms
from judges.maths.tokens import Token, Unreadable
from judges.maths.vocabulary import CONSTANTS, FUNCTIONS, GREEK

if TYPE_CHECKING:
    from judges.maths.reading import Node, Reader


_BINOMIALS = {r"\binom", r"\dbinom", r"\tbinom"}


_ACCENTS = {
    r"\overline",
    r"\overrightarrow",
    r"\vec",
    r"\widehat",
    r"\hat",
    r"\bar",
    r"\tilde",
    r"\widetilde",
    r"\dot",
    r"\overset",
}


_ACCENTS |= {r"\overarc", r"\wideparen", r"\mathbf", r"\boldsymbol"}


_PAIRS = {r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil"), r"\lvert": (r"\rvert", "abs")}


_PAIRS |= {r"\|": (r"\|", "abs"), r"\lVert": (r"\rVert", "abs"), r"\Vert": (r"\Vert", "abs")}


_LABELS = {
    r"\angle": "angle ",
    r"\triangle": "triangle ",
    r"\measuredangle": "angle ",
    r"\odot": "odot ",
    r"\nabla": "nabla ",
}


# Every command that begins a factor, so that a multiplication without a sign goes on.
BEGINNING = frozenset(
    {*_BINOMIALS, *_ACCENTS, *_PAIRS, *_LABELS, *(f"\\{name}" for name in (*FUNCTIONS, *GREEK, *CONSTANTS))}
    | {r"\{", r"\langle", r"\begin", r"\emptyset", r"\varnothing", r"\mathbb", r"\operatorname", r"\mathrm"}
    | {r"\circ", r"\degree"}
)
_MATRICES = re.compile(r"(?:[pbBvV]?(?:small)?matrix\*?|array|[pbv]?smallmatrix)")


def command(reader: Reader, kind: str) -> Node:
    name = kind[1:]
    if kind in atoms.FRACTIONS:
        return ("div", argument(reader), argument(reader))
    if kind in _BINOMIALS:
        return ("fn", "binom", (argument(reader), argument(reader)))
    if name == "sqrt" or name == "cbrt":
        return _root(reader, name)
    if name in CONSTANTS:
        return ("const", CONSTANTS[name])
    if name in FUNCTIONS:
        return _function(reader, FUNCTIONS[name])
    if name in GREEK:
        return atoms.subscripted(reader, name.removeprefix("var"))
    if kind in _PAIRS:
        close, function = _PAIRS[kind]
        return ("fn", function, (atoms.within(reader, close),))
    if kind in _ACCENTS:
        return _accented(reader, name)
    if kind in _LABELS:
        return ("sym", _LABELS[kind] + _label(reader))
    if name in ("emptyset", "varnothing"):
        return ("set", ())
    if name in ("circ", "degree", "prime"):
        return ("sym", "circ" if name != "prime" else "prime")
    if name == "mathbb":
        return _domain(reader)
    if name == "begin":
        return _matrix(reader)
    if name in ("operatorname", "mathrm", "mathit", "text"):
        return atoms.atom(reader)
    raise Unreadable(f"`{kind[:30]}`")


def argument(reader: Reader) -> Node:
    r"""An argument of a LaTeX command: a group, else one digit or one atom, as in \frac12."""
    token = reader.next
    if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
        from judges.maths.reading import number

        reader.tokens[reader.at] = Token("num", token.text[1:], False)
        return number(token.text[0])
    if token.kind == "{":
        reader.take()
        return atoms.bracketed(reader, "{")
    return atoms.atom(reader)


def _root(reader: Reader, name: str) -> Node:
    degree: Node | None = ("num", Fraction(3)) if name == "cbrt" else None
    if reader.next.kind == "[":
        reader.take()
        degree = atoms.within(reader, "]")
    radicand = atoms.atom(reader)
    if radicand[0] == "seq":
        raise Unreadable("a root of several values")
    exponent: Node = ("num", Fraction(1, 2)) if degree is None else ("div", ("num", Fraction(1)), degree)
    if degree is not None and degree[0] == "num" and degree[1]:
        return ("fn", "root", (radicand, degree))
    return ("pow", radicand, exponent)


def _function(reader: Reader, name: str) -> Node:
    base: Node | None = None
    power: Node | None = None
    for _ in range(2):
        if base is None and reader.skip("_"):
            base = argument(reader)
        elif power is None and reader.skip("^", "**"):
            power = reader.exponent()
    if (
        name == "log"
        and base is None
        and reader.next.kind == "num"
        and not reader.next.spaced
        and reader.tokens[reader.at + 1].kind == "("
    ):
        base = atoms.atom(reader)  # log2(3)
    arguments = atoms.arguments(reader) if reader.next.kind == "(" else (_bare_argument(reader),)
    if name == "lg":
        name, base = "log", base or ("num", Fraction(10))
    if base is not None:
        arguments = (*arguments, base)
    if name in ("frac", "pow") and len(arguments) == 2:
        node: Node = ("div" if name == "frac" else "pow", *arguments)
    else:
        node = ("fn", name, arguments)
    if power is None:
        return node
    if power == ("neg", ("num", Fraction(1))) and name in ("sin", "cos", "tan"):
        return ("fn", f"arc{name}", arguments)
    return ("pow", node, power)


def _bare_argument(reader: Reader) -> Node:
    """The factors behind a function's name, up to a sign, a separator or the next function."""
    if reader.next.kind == "-":
        return reader.unary()
    factors = [reader.power()]
    while atoms.starts(reader) and reader.next.kind[1:] not in FUNCTIONS and reader.next.kind not in ("(", "[", "text"):
        factors.append(reader.power())
    return factors[0] if len(factors) == 1 else ("mul", tuple(factors))


def _accented(reader: Reader, name: str) -> Node:
    if name == "overset":
        argument(reader)
    inner = argument(reader)
    letters = inner if inner[0] == "mul" else ("mul", (inner,))
    if not all(factor[0] in ("sym", "const") for factor in letters[1]):
        raise Unreadable(f"\\{name} over a formula")
    label = "".join(factor[1] for factor in letters[1])
    plain = name in ("overline", "vec", "overrightarrow", "mathbf", "boldsymbol", "overarc", "wideparen") and label.isupper()
    return inner if plain else atoms.subscripted(reader, f"{label}~{name}")


def _label(reader: Reader) -> str:
    letters = []
    while reader.next.kind in ("word", "num") or reader.next.kind[1:] in GREEK:
        letters.append(reader.take().text)
    if not letters:
        raise Unreadable("a sign without a name")
    return "".join(letters)


def _domain(reader: Reader) -> Node:
    grouped = reader.skip("{")
    letter = reader.take().text
    if grouped:
        reader.expect("}")
    return ("domain", letter)


def _matrix(reader: Reader) -> Node:
    name = reader.tokens[reader.at - 1].text
    if not _MATRICES.fullmatch(name):
        raise Unreadable(f"the environment {name[:30]}")
    if name == "array" and reader.next.kind == "{":
        while reader.take().kind != "}":
            if reader.next.kind == "end":
                raise Unreadable("an array that does not close")
    rows: list[tuple[Node, ...]] = []
    while not reader.skip(r"\end"):
        row = [reader.relation()]
        while reader.skip("&"):
            row.append(reader.relation())
        rows.append(tuple(row))
        while reader.skip("\\\\", r"\cr", r"\hline"):
            _skip_row_distance(reader)
    return ("fn", "det", (("matrix", tuple(rows)),)) if name.startswith("v") else ("matrix", tuple(rows))


def _skip_row_distance(reader: Reader) -> None:
    r"""The [2pt] of `\\[2pt]`."""
    if reader.skip("["):
        while reader.take().kind not in ("]", "end"):
            pass
