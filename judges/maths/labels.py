"""What stands left of an equals sign: a label that an answer may drop, or something that is computed with."""

from __future__ import annotations

from judges.maths.numeric import names_in
from judges.maths.reading import Node

_FUNCTION_NAMES = [("sym", name) for name in "fgh"]


def solved(node: Node) -> tuple[Node | None, Node] | None:
    """(label, value) of `x = 3`, `3 = x`, `f(x) = x + 1`, `AB = 5`, `x \\in S`, `x = 2 + 1 = 3`, `2 + 1 = 3`; else None."""
    if node[0] != "rel":
        return None
    signs, sides = node[1], node[2]
    if signs == ("in",):
        return sides[0], sides[1]
    if any(sign != "=" for sign in signs):
        return None
    if is_label(sides[0]):
        return sides[0], sides[-1]
    if len(sides) == 2 and is_label(sides[1]):
        return sides[1], sides[0]
    return (None, sides[-1]) if not any(names_in(side) for side in sides) else None


def is_label(node: Node) -> bool:
    """Whether a left side names a quantity rather than computing with it: x, x_1, f(x), AB, |AB|, S:T, (x, y), tan θ."""
    kind = node[0]
    if kind == "sym":
        return True
    if kind == "const":
        return node[1] in ("e", "i") and False
    if kind == "fn":
        return bool(names_in(node)) or node[1].startswith("?")
    if kind == "mul" and node[1][0][0] == "pow" and node[1][0][1] in _FUNCTION_NAMES:
        return True  # f^{-1}(x)
    if kind == "mul":
        return all(part[0] == "sym" and (part[1][:1].isupper() or len(part[1]) > 3) for part in node[1])
    if kind in ("seq", "list", "ratio"):
        return all(is_label(part) for part in node[-1])
    if kind == "div":
        return all(is_label(part) and part[0] in ("mul", "sym") and str(part).count("'sym'") > 1 for part in node[1:])
    if kind == "deg":
        return is_label(node[1])
    return False


def same_label(a: Node | None, b: Node | None) -> bool:
    """Two different single names are two different quantities; y and f(x) are not, nor is a name beside a longer label."""
    if a is None or b is None or a == b:
        return True
    if a[0] == "sym" and b[0] == "sym":
        return len(a[1]) > 2 or len(b[1]) > 2
    return not (a[0] == b[0] == "seq" and len(a[3]) != len(b[3]))
