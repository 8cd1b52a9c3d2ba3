"""The parts of a formula that bind tightest: numerals, names, functions, brackets, fractions, roots, matrices."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from judges.maths import commands
from judges.maths.tokens import Token, Unreadable

if TYPE_CHECKING:
    from judges.maths.reading import Node, Reader

FRACTIONS = {r"\frac", r"\dfrac", r"\tfrac", r"\cfrac", r"\sfrac", r"\nicefrac", r"\flatfrac"}
_MOST_POSTFIXES = 10
_NUMERALS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
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
    return token.kind in FRACTIONS or token.kind in commands.BEGINNING


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
        return bracketed(reader, kind)
    if kind == "|":
        reader.absolute += 1
        inner = within(reader, "|")
        reader.absolute -= 1
        return ("fn", "abs", (inner,))
    if kind.startswith("\\"):
        return commands.command(reader, kind)
    raise Unreadable(f"`{token.text[:20]}` where a value is expected")


def within(reader: Reader, close: str) -> Node:
    node = reader.relation()
    reader.expect(close)
    return node


def _numeral(reader: Reader, token: Token) -> Node:
    from judges.maths.reading import number

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
    if (
        not reader.mixed
        or reader.next.kind not in FRACTIONS
        or reader.tokens[reader.at - 1].kind != "num"
        or whole[0] not in ("num", "neg")
    ):
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
    if reader.next.kind == "(" and not reader.next.spaced and (letter in _CALLED or _names_a_value(reader)):
        return ("fn", f"?{letter}", arguments(reader))
    if letter == "e" and reader.next.kind != "_":
        return ("const", "e")
    if letter == "i" and reader.next.kind != "_":
        return ("const", "i")
    return subscripted(reader, letter)


def _names_a_value(reader: Reader) -> bool:
    """a(n) = …, p(2) = …: one token in brackets before an equals sign is an argument, not a factor."""
    _, argument, close, sign = (*reader.tokens[reader.at : reader.at + 4], *[reader.tokens[-1]] * 4)[:4]
    return argument.kind in ("num", "word") and close.kind == ")" and sign.kind == "="


def _call_or_product(reader: Reader, letter: str) -> Node:
    """C(n, k) is a binomial, C(x) a product."""
    given = arguments(reader)
    return ("fn", "binom", given) if len(given) == 2 else ("mul", (("sym", letter), *given))


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
    if reader.next.kind == "(" and len(name) > 1 and _names_a_value(reader):
        return ("fn", f"?{name}", arguments(reader))
    return ("sym", name)


def _marked(reader: Reader, text: str) -> Node:
    if text.casefold() in ("no", "none", "empty set") or not text:
        raise Unreadable("words")
    return subscripted(reader, f"{text} ")


def bracketed(reader: Reader, opening: str) -> Node:
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


def arguments(reader: Reader) -> tuple[Node, ...]:
    reader.expect("(")
    inner = bracketed(reader, "(")
    return inner[3] if inner[0] == "seq" else (inner,)


def postfixed(reader: Reader, node: Node) -> Node:
    for _ in range(_MOST_POSTFIXES):
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
    raise Unreadable("too many signs behind a value")
