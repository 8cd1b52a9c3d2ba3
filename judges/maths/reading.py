"""Reads a normal form into a tree: a Pratt parser for answers in LaTeX and in plain text. It evaluates nothing.

A node is a tuple whose first item names it:

    ("num", Fraction)  ("dec", Fraction, digits, places)  ("const", "pi" | "e" | "i" | "inf")  ("sym", name)
    ("add", nodes)  ("mul", nodes)  ("neg", a)  ("div", a, b)  ("pow", a, b)  ("fn", name, nodes)  ("pm", sign, a | None, b)
    ("deg", a)  ("pct", a)  ("unit", a, name)  ("base", digits, base)  ("word", text)  ("ratio", nodes)
    ("seq", open, close, nodes)  ("set", nodes)  ("list", nodes)  ("matrix", rows)
    ("rel", signs, nodes)  ("join", "cup" | "cap" | "setminus", a, b)  ("approx", a, b)  ("domain", "R")
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

from judges.maths import atoms
from judges.maths.tokens import Token, Unreadable, tokens

# A node's items are of many kinds; the comparer looks at the name before it takes one out.
Node: TypeAlias = tuple[Any, ...]

DEEPEST = 60
# Factors, quotients and unions that one tree may hang on each other.
LONGEST_CHAIN = 150
_RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": ">=", "!=": "!=",
    r"\lt": "<", r"\gt": ">", r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\leqq": "<=", r"\ge": ">=", r"\geq": ">=",
    r"\geqslant": ">=", r"\geqq": ">=", r"\ne": "!=", r"\neq": "!=", r"\in": "in", r"\approx": "approx", r"\simeq": "approx",
    r"\sim": "approx", r"\equiv": "=", r"\coloneqq": "=",
}  # fmt: skip
_JOINS = {r"\cup": "cup", r"\bigcup": "cup", r"\cap": "cap", r"\setminus": "setminus", r"\backslash": "setminus"}
_TIMES = {"*", r"\cdot", r"\times", r"\ast", r"\cdotp"}
_OVER = {"/", r"\div"}
_SEPARATORS = {",", r"\&"}
_DOTS = {"...", r"\dots", r"\ldots", r"\cdots", r"\dotsc"}
_ENDS = {",", ";", "end", ")", "]", r"\}"}


class Reader:
    """One pass over the tokens of one text. `absolute` counts open | signs, since the same sign closes them."""

    def __init__(self, text: str, mixed: bool = True) -> None:
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0
        self.mixed = mixed  # whether 3\frac12 is a mixed number
        self.absolute = 0
        self.open_end = False  # within ]a, b[ the sign [ closes

    # What atoms.py needs too.

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def skip(self, *kinds: str) -> bool:
        if self.tokens[self.at].kind in kinds:
            self.at += 1
            return True
        return False

    def expect(self, kind: str) -> None:
        if not self.skip(kind):
            raise Unreadable(f"expected `{kind}`, found `{self.next.text[:20]}`")

    # From the loosest binding to the tightest.

    def answer(self) -> Node:
        """Groups parted by `;`, each a list parted by commas, `and` or `or`."""
        groups = [self.items()]
        while self.skip(";"):
            if self.next.kind != "end":
                groups.append(self.items())
        if self.next.kind != "end":
            raise Unreadable(f"`{self.next.text[:20]}` at the end")
        if len(groups) == 1:
            return groups[0]
        flat = [("seq", "(", ")", group[1]) if group[0] == "list" else group for group in groups]
        return ("list", tuple(flat))

    def items(self) -> Node:
        found = [self.relation()]
        while self.next.kind in _SEPARATORS:
            while self.skip(*_SEPARATORS):
                pass
            if self.next.kind in ("end", ";"):
                break
            found.append(self.relation())
        return found[0] if len(found) == 1 else ("list", tuple(found))

    def relation(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("nested too deep")
        if self.next.kind in _DOTS and self.tokens[self.at + 1].kind in _ENDS:
            self.take()
            self.depth -= 1
            return ("word", "...")
        if self.next.kind in (r"\approx", r"\sim", "="):  # "≈ 3", "= 3"
            self.take()
        nodes, signs = [self.join()], []
        while self.next.kind in _RELATIONS:
            signs.append(_RELATIONS[self.take().kind])
            nodes.append(self.join())
        self.depth -= 1
        return _related(nodes, signs)

    def join(self) -> Node:
        node = self.ratio()
        for _ in range(LONGEST_CHAIN):
            if self.next.kind not in _JOINS:
                return node
            node = ("join", _JOINS[self.take().kind], node, self.ratio())
        raise Unreadable("too long a union")

    def ratio(self) -> Node:
        parts = [self.sum()]
        while self.skip(":", r"\colon"):
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else ("ratio", tuple(parts))

    def sum(self) -> Node:
        terms: list[Node] = []
        while True:
            sign = self.next.kind
            if sign in ("+", "-", r"\pm", r"\mp"):
                self.take()
                if sign == "+" and self.next.kind == "-":  # "+ -1" and, typed for ±, "+-1"
                    continue
            elif terms:
                break
            term = self.product()
            if sign in (r"\pm", r"\mp"):
                before = ("add", tuple(terms)) if len(terms) > 1 else terms[0] if terms else None
                terms = [("pm", 1 if sign == r"\pm" else -1, before, term)]
            else:
                terms.append(("neg", term) if sign == "-" else term)
        return terms[0] if len(terms) == 1 else ("add", tuple(terms))

    def product(self) -> Node:
        node = self.unary()
        for _ in range(LONGEST_CHAIN):
            kind = self.next.kind
            if kind in _TIMES:
                self.take()
                node = _times(node, self.unary())
            elif kind in _OVER:
                self.take()
                node = ("div", node, self.unary())
            elif atoms.starts(self):
                node = atoms.mixed(self, node) or _times(node, self.power())
            else:
                return node
        raise Unreadable("too long a product")

    def unary(self) -> Node:
        if self.skip("-"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise Unreadable("nested too deep")
            node: Node = ("neg", self.unary())
            self.depth -= 1
            return node
        self.skip("+")
        return self.power()

    def power(self) -> Node:
        base = atoms.postfixed(self, atoms.atom(self))
        while self.next.kind in ("^", "**"):
            self.take()
            exponent = self.exponent()
            if exponent == ("sym", "circ"):
                base = ("deg", base)
            elif exponent == ("sym", "prime"):
                base = ("sym", f"{base[1]}'") if base[0] == "sym" else base
            else:
                base = ("pow", base, exponent)
            base = atoms.postfixed(self, base)
        return base

    def exponent(self) -> Node:
        """A group, or one signed atom with its own exponents: a^b^c is a^(b^c)."""
        if self.skip("-"):
            return ("neg", self.exponent())
        self.skip("+")
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("nested too deep")
        node = atoms.atom(self)
        if self.next.kind in ("^", "**"):
            self.take()
            node = ("pow", node, self.exponent())
        elif self.next.kind == "!":
            node = atoms.postfixed(self, node)
        self.depth -= 1
        return node


def _related(nodes: list[Node], signs: list[str]) -> Node:
    if not signs:
        return nodes[0]
    if "approx" in signs:
        cut = signs.index("approx")
        return ("approx", _related(nodes[: cut + 1], signs[:cut]), _related(nodes[cut + 1 :], signs[cut + 1 :]))
    return ("rel", tuple(signs), tuple(nodes))


def _times(left: Node, right: Node) -> Node:
    return ("mul", (*left[1], right)) if left[0] == "mul" else ("mul", (left, right))


def read(text: str, *, mixed: bool = True) -> Node:
    """The tree of a normal form.

    Raises:
        Unreadable: it is no mathematics that this reader knows, or too long or too deep.
    """
    try:
        return Reader(text, mixed).answer()
    except (RecursionError, OverflowError, ZeroDivisionError, ValueError) as error:
        raise Unreadable(type(error).__name__) from error


def number(text: str) -> Node:
    """A numeral as written: with a decimal point its digits and places are kept, for the rules of rounding."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(text) > 4000 or len(exponent) > 6:
        raise Unreadable("a numeral of more than 4000 digits")
    value = Fraction(int(mantissa)) if mantissa.isdigit() else Fraction(mantissa.rstrip("."))
    if exponent:
        if abs(int(exponent)) > 4000:
            raise Unreadable("an exponent of more than 4000")
        value *= Fraction(10) ** int(exponent)
    whole, point, places = mantissa.partition(".")
    if not point or not places:
        return ("num", value)
    digits = len((whole + places).lstrip("0"))
    return ("dec", value, digits, len(places) - (int(exponent) if exponent else 0))
