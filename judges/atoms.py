"""The parts of a formula that bind tightest: numerals, names, functions, brackets, fractions, roots, matrices."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from judges.tokens import CONSTANTS, FUNCTIONS, GREEK, Token, Unreadable

if TYPE_CHECKING:
    from judges.reading import Node, Reader

_FRACTIONS = {r"\frac", r"\dfrac", r"\tfrac", r"\cfrac", r"\sfrac", r"\nicefrac", r"\flatfrac"}
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
_NEVER_START = {
    "=",
    ")",
    "]",
    "}",
    ",",
    ";",
    "&",
    "end",
    r"\}",
    "<",
    ">",
    "+",
    "-",
    "*",
    "/",
    "^",
    "_",
    "!",
    ":",
    "%",
    r"\%",
    "'",
    "**",
}
_MATRICES = re.compile(r"(?:[pbBvV]?(?:small)?matrix\*?|array|[pbv]?smallmatrix)")
_NUMERALS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"}
# Letters that, before a bracket, name a function rather than a factor.
_CALLED = set("fghFGHPO")


def starts(reader: Reader) -> bool:
    """Whether the next token begins a factor, so that a multiplication without a sign goes on."""
    token = reader.next
    if token.kind == "[" and reader.open_end:
        return False
    if token.kind in ("num", "word", "text", "(", "[", "{"):
        return token.kind != "num" or reader.tokens[reader.at - 1].kind not in ("num",)
    if token.kind == "|":
        return reader.absolute == 0
    if token.kind in _NEVER_START or not token.kind.startswith("\\"):
        return False
    name = token.kind[1:]
    return (
        token.kind in _FRACTIONS | _BINOMIALS | _ACCENTS | _PAIRS.keys() | _LABELS.keys()
        or name in FUNCTIONS or name in GREEK or name in CONSTANTS
        or name in ("{", "pi", "langle", "begin", "emptyset", "varnothing", "mathbb", "operatorname", "mathrm", "circ", "degree")
    )  # fmt: skip


def atom(reader: Reader) -> Node:
    token = reader.take()
    kind = token.kind
    if kind == "num":
        return _numeral(reader, token)
    if kind == "word":
        return _name(reader, token.text)
    if kind == "text":
        return _marked(reader, token.text)
    if kind in ("(", "[", "{", r"\{", r"\langle", "]", r"\lbrack"):
        return _bracketed(reader, kind)
    if kind == "|":
        reader.absolute += 1
        inner = _within(reader, "|")
        reader.absolute -= 1
        return ("fn", "abs", (inner,))
    if kind.startswith("\\"):
        return _command(reader, kind)
    raise Unreadable(f"`{token.text[:20]}` where a value is expected")


def _within(reader: Reader, close: str) -> Node:
    node = reader.relation()
    reader.expect(close)
    return node


def _numeral(reader: Reader, token: Token) -> Node:
    from judges.reading import number

    node = number(token.text)
    following = reader.next
    if following.kind == r"\overline" and not following.spaced and "." in token.text:
        return _repeating(reader, token.text)
    if following.kind == "_":
        return _based(reader, token.text)
    if following.kind == "num" and following.spaced and reader.tokens[reader.at + 1].kind == "/":
        return _plain_mixed(reader, node)
    return node


def _repeating(reader: Reader, text: str) -> Node:
    r"""0.1\overline{6} as a fraction."""
    reader.take()
    reader.expect("{")
    period = reader.take()
    reader.expect("}")
    whole, _, fixed = text.partition(".")
    if not period.text.isdigit() or len(period.text) + len(fixed) > 200:
        raise Unreadable("a period that is no digits")
    scale = 10 ** len(fixed)
    tail = Fraction(int(period.text), (10 ** len(period.text) - 1) * scale)
    return ("num", Fraction(int((whole or "0") + fixed), scale) + tail)


def _based(reader: Reader, digits: str) -> Node:
    r"""110_2, 110_{2}, 110_{\text{two}}; the subscript may be a letter."""
    reader.expect("_")
    grouped = reader.skip("{")
    base = reader.take()
    if base.kind == "text":
        named = re.search(r"\d+", base.text)
        text = named[0] if named else base.text
    else:
        text = base.text
    if grouped:
        reader.expect("}")
    text = _NUMERALS.get(text.casefold(), text)
    if base.kind not in ("num", "word", "text") or "." in text:
        raise Unreadable("a subscript of a numeral")
    return ("base", digits, text)


def _plain_mixed(reader: Reader, whole: Node) -> Node:
    """3 1/2; anything else of two numerals side by side is unreadable."""
    tokens = reader.tokens[reader.at : reader.at + 3]
    if whole[0] != "num" or tokens[2].kind != "num" or not (tokens[0].text.isdigit() and tokens[2].text.isdigit()):
        raise Unreadable("two numerals side by side")
    reader.at += 3
    return ("num", whole[1] + Fraction(int(tokens[0].text), int(tokens[2].text)))


def mixed(reader: Reader, whole: Node) -> Node | None:
    r"""3\frac{1}{2} is three and a half where both parts are integers; None where the juxtaposition is a product."""
    if reader.next.kind not in _FRACTIONS or reader.tokens[reader.at - 1].kind != "num" or whole[0] not in ("num", "neg"):
        return None
    negative = whole[0] == "neg"
    amount = whole[1] if negative else whole
    if amount[0] != "num" or amount[1].denominator != 1:
        return None
    start = reader.at
    part = atom(reader)
    if part[0] == "div" and all(side[0] == "num" for side in part[1:]) and part[1][1] < part[2][1]:
        node: Node = ("num", amount[1] + part[1][1] / part[2][1])
        return ("neg", node) if negative else node
    reader.at = start
    return None


def _name(reader: Reader, letter: str) -> Node:
    if letter == "C" and reader.next.kind == "(":
        return _call_or_product(reader, letter)
    if letter in _CALLED and reader.next.kind == "(" and not reader.next.spaced:
        return ("fn", f"?{letter}", _arguments(reader))
    if letter == "e" and reader.next.kind != "_":
        return ("const", "e")
    if letter == "i" and reader.next.kind != "_":
        return ("const", "i")
    return subscripted(reader, letter)


def _call_or_product(reader: Reader, letter: str) -> Node:
    """C(n, k) is a binomial, C(x) a product."""
    arguments = _arguments(reader)
    if len(arguments) == 2:
        return ("fn", "binom", arguments)
    return ("mul", (("sym", letter), *arguments))


def subscripted(reader: Reader, name: str) -> Node:
    """A name with its subscript and primes; a digit right behind a letter counts as its subscript."""
    if reader.next.kind == "num" and not reader.next.spaced and reader.next.text.isdigit() and name.isalpha():
        name = f"{name}_{reader.take().text}"
    if reader.skip("_"):
        if reader.skip("{"):
            parts = []
            while reader.next.kind not in ("}", "end"):
                parts.append(reader.take().text)
            reader.expect("}")
            name = f"{name}_{''.join(parts)}"
        else:
            name = f"{name}_{reader.take().text}"
    while reader.skip("'"):
        name += "'"
    return ("sym", name)


def _marked(reader: Reader, text: str) -> Node:
    if text.casefold() in ("no", "none", "empty set") or not text:
        raise Unreadable("words")
    return subscripted(reader, f"{text} ")


def _bracketed(reader: Reader, opening: str) -> Node:
    if opening == "{" and reader.skip("}"):
        return ("num", Fraction(1)) if reader.at > 2 else ("set", ())
    if opening == r"\{" and reader.skip(r"\}"):
        return ("set", ())
    outer, reader.absolute = reader.absolute, 0
    reader.open_end = opening == "]"
    items = [reader.relation()]
    while reader.skip(",", ";"):
        if reader.next.kind in (")", "]", "}", r"\}"):
            break
        items.append(reader.relation())
    reader.absolute = outer
    reader.open_end = False
    close = reader.take().kind
    if opening == r"\{":
        if close != r"\}":
            raise Unreadable("a set that does not close")
        return ("set", tuple(items))
    if opening == "{":
        if close not in ("}", r"\}"):
            raise Unreadable("a group that does not close")
        return items[0] if len(items) == 1 else ("set", tuple(items))
    if opening == r"\langle" and close == r"\rangle":
        return ("seq", "(", ")", tuple(items))
    # ]a, b[ is the French way to write an open end.
    opening, close = {"]": "("}.get(opening, opening), {"[": ")"}.get(close, close)
    if opening not in ("(", "[") or close not in (")", "]"):
        raise Unreadable("brackets that do not match")
    if len(items) == 1 and (opening, close) in (("(", ")"), ("[", "]")):
        return items[0]
    return ("seq", opening, close, tuple(items))


def _command(reader: Reader, kind: str) -> Node:
    name = kind[1:]
    if kind in _FRACTIONS:
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
        return subscripted(reader, name.removeprefix("var"))
    if kind in _PAIRS:
        close, function = _PAIRS[kind]
        return ("fn", function, (_within(reader, close),))
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
        return atom(reader)
    raise Unreadable(f"`{kind[:30]}`")


def argument(reader: Reader) -> Node:
    r"""An argument of a LaTeX command: a group, else one digit or one atom, as in \frac12."""
    token = reader.next
    if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
        from judges.reading import number

        reader.tokens[reader.at] = Token("num", token.text[1:], False)
        return number(token.text[0])
    if token.kind == "{":
        reader.take()
        return _bracketed(reader, "{")
    return atom(reader)


def _root(reader: Reader, name: str) -> Node:
    degree: Node | None = ("num", Fraction(3)) if name == "cbrt" else None
    if reader.next.kind == "[":
        reader.take()
        degree = _within(reader, "]")
    radicand = atom(reader)
    if radicand[0] == "seq":
        raise Unreadable("a root of several values")
    exponent: Node = ("num", Fraction(1, 2)) if degree is None else ("div", ("num", Fraction(1)), degree)
    if degree is not None and degree[0] == "num" and degree[1]:
        return ("fn", "root", (radicand, degree))
    return ("pow", radicand, exponent)


def _arguments(reader: Reader) -> tuple[Node, ...]:
    reader.expect("(")
    inner = _bracketed(reader, "(")
    return inner[3] if inner[0] == "seq" else (inner,)


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
        base = atom(reader)  # log2(3)
    arguments = _arguments(reader) if reader.next.kind == "(" else (_bare_argument(reader),)
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
    while starts(reader) and reader.next.kind[1:] not in FUNCTIONS and reader.next.kind not in ("(", "[", "text"):
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
    return inner if plain else subscripted(reader, f"{label}~{name}")


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
            if reader.skip("["):
                while reader.take().kind not in ("]", "end"):
                    pass
    return ("fn", "det", (("matrix", tuple(rows)),)) if name.startswith("v") else ("matrix", tuple(rows))


def postfixed(reader: Reader, node: Node) -> Node:
    while True:
        kind = reader.next.kind
        if kind == "!":
            reader.take()
            node = ("fn", "factorial", (node,))
        elif kind in ("%", r"\%"):
            reader.take()
            node = ("pct", node)
        elif kind in (r"\circ", r"\degree"):
            reader.take()
            node = ("deg", node)
        elif kind == "text" and node[0] in ("num", "dec", "div"):
            node = ("unit", node, reader.take().text)
        else:
            return node
