"""Sets of real numbers: intervals, unions, inequalities and excluded points as one sorted list of pieces."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from judges.maths.functions import Undefined
from judges.maths.numeric import Evaluator, names_in
from judges.maths.reading import Node
from judges.maths.values import equal_values

_INFINITY: Node = ("const", "inf")
_LOWEST: Node = ("neg", _INFINITY)
_SIGNS = {"<": (True, False), "<=": (True, True), ">": (False, False), ">=": (False, True)}


@dataclass(frozen=True, slots=True)
class Piece:
    """From `low` to `high`; an end belongs to the piece where its flag says so. A point has both ends equal."""

    low: Node
    high: Node
    low_in: bool
    high_in: bool


def region(node: Node) -> list[Piece] | None:
    """The pieces of a node that means a set of real numbers, sorted and merged; None where it means none."""
    try:
        pieces = _pieces(node)
        return None if pieces is None or any(_is_backward(piece) for piece in pieces) else _merged(pieces)
    except Undefined:
        return None


def same_region(a: list[Piece], b: list[Piece]) -> bool:
    return len(a) == len(b) and all(
        x.low_in == y.low_in and x.high_in == y.high_in and _same_end(x.low, y.low) and _same_end(x.high, y.high)
        for x, y in zip(a, b, strict=True)
    )


def _same_end(a: Node, b: Node) -> bool:
    return a == b or equal_values(a, b)[0] is True


def _pieces(node: Node) -> list[Piece] | None:
    kind = node[0]
    if kind == "seq" and len(node[3]) == 2:
        return [Piece(node[3][0], node[3][1], node[1] == "[", node[2] == "]")]
    if kind == "set":
        return [Piece(item, item, True, True) for item in node[1]]
    if kind == "domain" and node[1] == "R":
        return [Piece(_LOWEST, _INFINITY, False, False)]
    if kind == "join":
        return _joined(node)
    if kind == "rel":
        return _from_relation(node)
    if kind == "list":
        return _from_list(node)
    return None


def _joined(node: Node) -> list[Piece] | None:
    left, right = _pieces(node[2]), _pieces(node[3])
    if left is None or right is None:
        return None
    if node[1] == "cup":
        return left + right
    if node[1] == "cap":
        return [both for a in left for b in right if (both := _overlap(a, b)) is not None]
    holes = _complement(_merged(right))
    return [both for a in left for b in holes if (both := _overlap(a, b)) is not None]


def _from_relation(node: Node) -> list[Piece] | None:
    """x < 3, 3 > x, -1 <= x < 2, x != 3, x in [0, 1]."""
    signs, sides = node[1], node[2]
    if signs == ("in",):
        return _pieces(sides[1]) if sides[0][0] == "sym" else None
    if len(sides) == 2 and sides[1][0] == "sym" and sides[0][0] != "sym":
        return _from_relation(("rel", (_turned(signs[0]),), (sides[1], sides[0])))
    if len(sides) == 2 and sides[0][0] == "sym" and not names_in(sides[1]):
        if signs[0] == "!=":
            return _complement([Piece(sides[1], sides[1], True, True)])
        if signs[0] not in _SIGNS:
            return None
        upper, closed = _SIGNS[signs[0]]
        return [Piece(_LOWEST, sides[1], False, closed) if upper else Piece(sides[1], _INFINITY, closed, False)]
    if len(sides) == 3 and sides[1][0] == "sym" and not names_in(sides[0]) | names_in(sides[2]):
        if all(sign in ("<", "<=") for sign in signs):
            return [Piece(sides[0], sides[2], signs[0] == "<=", signs[1] == "<=")]
        if all(sign in (">", ">=") for sign in signs):
            return [Piece(sides[2], sides[0], signs[1] == ">=", signs[0] == ">=")]
    return None


def _turned(sign: str) -> str:
    return {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)


def _from_list(node: Node) -> list[Piece] | None:
    """`x < 1, x > 3` is a union, `x > 1, x < 3` an intersection: whichever says something; intervals are a union."""
    parts = [_pieces(item) for item in node[1]]
    if any(part is None for part in parts) or not all(item[0] in ("rel", "seq", "join") for item in node[1]):
        return None
    known = [part for part in parts if part is not None]
    relations = [item for item in node[1] if item[0] == "rel" and item[1] != ("in",)]
    union = [piece for part in known for piece in part]
    if len(relations) < len(node[1]) or len({name for item in relations for name in names_in(item)}) != 1:
        return union if not relations else None
    merged = _merged(union)
    if len(merged) > 1 or not _is_everything(merged):
        if all(item[1] == ("!=",) for item in relations):
            return _all_overlaps(known)
        return union
    return _all_overlaps(known)


def _all_overlaps(parts: list[list[Piece]]) -> list[Piece]:
    common = parts[0]
    for part in parts[1:]:
        common = [both for a in common for b in part if (both := _overlap(a, b)) is not None]
    return common


def _is_everything(pieces: list[Piece]) -> bool:
    return len(pieces) == 1 and pieces[0].low == _LOWEST and pieces[0].high == _INFINITY


def _place(node: Node) -> tuple[int, Any]:
    """A key to sort ends by: minus infinity, a real number, infinity."""
    if node == _INFINITY or node == ("add", (_INFINITY,)):
        return (1, Fraction(0))
    if node == _LOWEST:
        return (-1, Fraction(0))
    if names_in(node):
        raise Undefined("an end that is no number")
    evaluator = Evaluator()
    evaluator.mp.dps = 30
    value = evaluator.value(node)
    if evaluator.mp.im(value) != 0:
        raise Undefined("an end that is not real")
    return (0, +evaluator.mp.re(value))


def _before(a: Node, b: Node) -> bool:
    return not _same_end(a, b) and _place(a) < _place(b)


def _merged(pieces: list[Piece]) -> list[Piece]:
    kept = [piece for piece in pieces if not _is_empty(piece)]
    kept.sort(key=lambda piece: (_place(piece.low), not piece.low_in))
    merged: list[Piece] = []
    for piece in kept:
        last = merged[-1] if merged else None
        if last is None or not _touch(last, piece):
            merged.append(piece)
        elif _same_end(last.high, piece.high):
            merged[-1] = Piece(last.low, last.high, last.low_in, last.high_in or piece.high_in)
        elif _before(last.high, piece.high):
            merged[-1] = Piece(last.low, piece.high, last.low_in, piece.high_in)
    return merged


def _is_backward(piece: Piece) -> bool:
    """No interval: (6, 2) is a pair of numbers, and so is (2, 2)."""
    if _same_end(piece.low, piece.high):
        return not (piece.low_in and piece.high_in)
    return _before(piece.high, piece.low)


def _is_empty(piece: Piece) -> bool:
    if _same_end(piece.low, piece.high):
        return not (piece.low_in and piece.high_in)
    return _before(piece.high, piece.low)


def _touch(left: Piece, right: Piece) -> bool:
    if _same_end(left.high, right.low):
        return left.high_in or right.low_in
    return _before(right.low, left.high)


def _overlap(a: Piece, b: Piece) -> Piece | None:
    low, low_in = (b.low, b.low_in) if _before(a.low, b.low) else (a.low, a.low_in)
    high, high_in = (b.high, b.high_in) if _before(b.high, a.high) else (a.high, a.high_in)
    if _same_end(a.low, b.low):
        low_in = a.low_in and b.low_in
    if _same_end(a.high, b.high):
        high_in = a.high_in and b.high_in
    both = Piece(low, high, low_in, high_in)
    return None if _is_empty(both) else both


def _complement(pieces: list[Piece]) -> list[Piece]:
    rest = []
    low, low_in = _LOWEST, False
    for piece in pieces:
        rest.append(Piece(low, piece.low, low_in, not piece.low_in))
        low, low_in = piece.high, not piece.high_in
    rest.append(Piece(low, _INFINITY, low_in, False))
    return [piece for piece in rest if not _is_empty(piece)]
