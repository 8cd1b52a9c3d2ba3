"""Compares two trees by what they are: values, lists, tuples, sets, intervals, matrices, equations, bases."""

from __future__ import annotations

import itertools

from judges.maths import regions
from judges.maths.functions import Undefined
from judges.maths.labels import same_label, solved
from judges.maths.numeric import names_in, same_equation
from judges.maths.options import SymbolicOptions
from judges.maths.reading import Node
from judges.maths.signs import spread
from judges.maths.values import Decision, equal_values, form_of

_GROUPS = ("list", "set", "seq")
_REGIONS = ("join", "domain")
# A list longer than this is compared in order only: matching is quadratic.
_LONGEST_UNORDERED = 200


def compare(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    """(verdict, the step that decided); None where it cannot be told."""
    if gold == given:
        return True, "same tree"
    if gold[0] == "approx" or given[0] == "approx":
        return _about(gold, given, options)
    gold, given = spread(gold), spread(given)
    if gold[0] == "rel" or given[0] == "rel":
        return _relations(gold, given, options)
    if gold[0] == given[0] == "domain":
        return gold[1] == given[1], "sets of numbers"
    if gold[0] in _REGIONS or given[0] in _REGIONS:
        return _as_regions(gold, given, options)
    if gold[0] == "matrix" or given[0] == "matrix":
        return _matrices(gold, given, options)
    if gold[0] in _GROUPS or given[0] in _GROUPS:
        return _groups(gold, given, options)
    if gold[0] == "word" or given[0] == "word":
        return False, "an open list"
    if gold[0] == given[0] == "neg":
        gold, given = gold[1], given[1]
    if gold[0] == "base" or given[0] == "base":
        return _bases(gold, given, options)
    if gold[0] == "ratio" and given[0] == "ratio":
        return _ratios(gold, given)
    return equal_values(gold, given, rounding=options.rounding)


def _about(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    """`a ≈ b`: the exact side counts; the decimal only where the gold is a decimal itself."""
    if gold[0] == "approx":
        return compare(gold[1], given[1] if given[0] == "approx" else given, options)
    verdict = compare(gold, given[1], options)
    if verdict[0] is not True and gold[0] == "dec":
        return compare(gold, given[2], options)
    return verdict


# Relations


def _relations(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    a, b = solved(gold), solved(given)
    if gold[0] == "rel" and given[0] == "rel":
        if a is not None and b is not None:
            if not same_label(a[0], b[0]):
                return False, "equation: another name"
            return compare(a[1], b[1], options)
        return _two_relations(gold, given, options)
    if gold[0] == "rel":
        if a is not None:
            return compare(a[1], given, options)
    elif b is not None:
        return compare(gold, b[1], options)
    if _is_order(gold) or _is_order(given):
        return _as_regions(gold, given, options)
    return False, "an equation against a value"


def _is_order(node: Node) -> bool:
    return bool(node[0] == "rel" and node[1][0] != "=")


def _two_relations(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    if _is_order(gold) != _is_order(given):
        return False, "an equation against an inequality"
    if _is_order(gold):
        decided = _as_regions(gold, given, options)
        return decided if decided[0] is not None else _orders(gold, given)
    if len(gold[2]) != 2 or len(given[2]) != 2:
        return None, "equations"
    if solved(gold) is not None and not names_in(solved(gold)[1]):  # type: ignore[index]
        return False, "an equation left unsolved"
    try:
        return same_equation(_difference(gold[2]), _difference(given[2])), "equations"
    except Undefined:
        return None, "equations"


def _difference(sides: tuple[Node, ...]) -> Node:
    return ("add", (sides[0], ("neg", sides[1])))


def _orders(gold: Node, given: Node) -> Decision:
    """Inequalities in several names: the same signs, each side pair equal up to turning it round."""
    ours, theirs = _pairs(gold), _pairs(given)
    if len(ours) != len(theirs):
        return False, "inequalities"
    for sign, left, right in ours:
        if not any(
            sign == other and equal_values(left, x)[0] and equal_values(right, y)[0] for other, x, y in theirs
        ) and not any(
            sign == other and equal_values(_difference((left, right)), _difference((x, y)))[0] for other, x, y in theirs
        ):
            return False, "inequalities"
    return True, "inequalities"


def _pairs(node: Node) -> list[tuple[str, Node, Node]]:
    found = []
    for sign, left, right in zip(node[1], node[2], node[2][1:], strict=False):
        found.append((sign.replace(">", "<"), right, left) if sign[0] == ">" else (sign, left, right))
    return found


def _as_regions(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    if options.interval == "different" and _is_order(gold) != _is_order(given):
        return False, "interval against inequality"
    ours, theirs = regions.region(gold), regions.region(given)
    if ours is None or theirs is None:
        both_sets = all(node[0] in (*_GROUPS, *_REGIONS, "rel") for node in (gold, given))
        return (None if both_sets else False), "sets of real numbers"
    return regions.same_region(ours, theirs), "sets of real numbers"


# Groups


def _groups(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    if gold[0] not in _GROUPS:
        return _one_of(gold, given, options)
    if given[0] not in _GROUPS:
        verdict, step = _one_of(given, gold, options)
        return verdict, step
    if gold[0] == "seq" and given[0] == "seq":
        return _tuples(gold, given, options)
    if "seq" in (gold[0], given[0]):
        return _tuple_and_list(gold, given, options)
    ordered = options.list_order == "kept" and gold[0] == given[0] == "list"
    if ordered or len(gold[1]) > _LONGEST_UNORDERED:
        return _each(gold[1], given[1], options, "list, in order")
    return _matched(gold, given, options)


def _one_of(value: Node, group: Node, options: SymbolicOptions) -> Decision:
    """A value and a group are equal only where the group is a set of that one value."""
    if group[0] in ("list", "set") and len(group[1]) == 1:
        return compare(value, group[1][0], options)
    return False, "one value against several"


def _tuples(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    if gold[1:3] != given[1:3]:
        return False, "brackets"
    return _each(gold[3], given[3], options, "tuple")


def _tuple_and_list(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    """A tuple against a list without brackets: in order. Against a set: never. Intervals in a list: as a union."""
    sequence, other = (gold, given) if gold[0] == "seq" else (given, gold)
    if other[0] == "list" and all(item[0] == "seq" for item in other[1]):
        return False, "one tuple against several"
    labels = [str(item[2][0]) for item in other[1] if item[0] == "rel"]
    if len(set(labels)) < len(labels):
        return False, "alternatives against a tuple"  # x = 1 or x = 2
    plain = sequence[1] + sequence[2] == "()" or (sequence[1] + sequence[2] == "[]" and len(other[1]) != 2)
    if other[0] == "set" or not plain:
        return False, "tuple against set"
    ours, theirs = (sequence[3], other[1]) if sequence is gold else (other[1], sequence[3])
    return _each(ours, theirs, options, "tuple")


def _each(ours: tuple[Node, ...], theirs: tuple[Node, ...], options: SymbolicOptions, step: str) -> Decision:
    if len(ours) != len(theirs):
        return False, f"{step}: another length"
    verdicts = []
    for a, b in zip(ours, theirs, strict=True):
        verdict = compare(a, b, options)[0]
        if verdict is False:
            return False, step
        verdicts.append(verdict)
    return (None if None in verdicts else True), step


def _matched(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    """Lists and sets in any order; a set, and a list of tuples, counts a repeated item once."""
    ours, theirs = list(gold[1]), list(given[1])
    if "set" in (gold[0], given[0]) or all(item[0] == "seq" for item in (*ours, *theirs)):
        ours, theirs = _distinct(ours, options), _distinct(theirs, options)
    if len(ours) != len(theirs):
        return _as_union(gold, given, options)
    unsure = False
    for item in ours:
        for other in theirs:
            verdict = compare(item, other, options)[0]
            if verdict is True:
                theirs.remove(other)
                break
            unsure = unsure or verdict is None
        else:
            return (None, "list") if unsure else _as_union(gold, given, options)
    return True, "list"


def _as_union(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    """Lists of intervals or inequalities may cut one set in different ways."""
    items = (*gold[1], *given[1])
    if gold[0] == "list" and all(item[0] in ("seq", "rel", "join") for item in items) and not all(map(_is_pair, items)):
        ours, theirs = regions.region(gold), regions.region(given)
        if ours is not None and theirs is not None:
            return regions.same_region(ours, theirs), "sets of real numbers"
    return False, "list"


def _is_pair(item: Node) -> bool:
    """(a, b) with finite ends may be a point as well as an open interval: a list of them is a list of points."""
    return item[0] == "seq" and item[1] + item[2] == "()" and not any("inf" in str(end) for end in item[3])


def _distinct(items: list[Node], options: SymbolicOptions) -> list[Node]:
    kept: list[Node] = []
    for item in items:
        if not any(compare(item, other, options)[0] is True for other in kept):
            kept.append(item)
    return kept


# Matrices, bases, ratios


def _matrices(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    ours, theirs = _rows(gold), _rows(given)
    if ours is None or theirs is None:
        return False, "matrix against another kind"
    if gold[0] != given[0]:  # a tuple may stand for a column or a row
        ours, theirs = _flat(ours), _flat(theirs)
    if len(ours) != len(theirs) or any(len(a) != len(b) for a, b in zip(ours, theirs, strict=True)):
        return False, "matrix: another shape"
    return _each(tuple(itertools.chain(*ours)), tuple(itertools.chain(*theirs)), options, "matrix")


def _rows(node: Node) -> list[tuple[Node, ...]] | None:
    if node[0] == "matrix":
        return list(node[1])
    if node[0] == "seq" and all(item[0] == "seq" for item in node[3]):
        return [item[3] for item in node[3]]
    return [node[3]] if node[0] == "seq" and node[1] == "(" else None


def _flat(rows: list[tuple[Node, ...]]) -> list[tuple[Node, ...]]:
    return [tuple(row[0] for row in rows)] if len(rows) > 1 and all(len(row) == 1 for row in rows) else rows


def _bases(gold: Node, given: Node, options: SymbolicOptions) -> Decision:
    if gold[0] == given[0]:
        same = gold[2] == given[2] and gold[1].lstrip("0") == given[1].lstrip("0")
        return same, "digits in a base"
    based, other = (gold, given) if gold[0] == "base" else (given, gold)
    if options.missing_base == "refused" or other[0] != "num" or not based[1].isdigit():
        return False, "a base against none"
    return other[1] == int(based[1]), "digits, one base missing"


def _ratios(gold: Node, given: Node) -> Decision:
    ours, theirs = gold[1], given[1]
    if len(ours) != len(theirs):
        return False, "ratio: another length"
    if any((found := form_of(part)) is None or not found.terms for part in (*ours, *theirs)):
        return all(equal_values(a, b)[0] is True for a, b in zip(ours, theirs, strict=True)), "ratio"  # 12:00
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        verdict, step = equal_values(("mul", (ours[0], b)), ("mul", (theirs[0], a)))
        if verdict is not True:
            return verdict, f"ratio, {step}"
    return True, "ratio"
