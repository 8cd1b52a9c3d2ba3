"""± written out: a ± b stands for two values, alone, in a list or in a set."""

from __future__ import annotations

from judges.maths.numeric import children
from judges.maths.reading import Node


def spread(node: Node) -> Node:
    """± written out: a ± b is the list of its two values, also inside a list or a set."""
    if node[0] in ("list", "set"):
        items = [part for item in node[1] for part in _both_signs(item)]
        return (node[0], tuple(items)) if len(items) > len(node[1]) else node
    both = _both_signs(node)
    return ("list", tuple(both)) if len(both) > 1 else node


def _both_signs(node: Node) -> list[Node]:
    signs = _count_signs(node)
    if not signs or len(signs) > 3:
        return [node]
    if -1 in signs:  # ± and ∓ go together
        return [_signed(node, [turn * sign for sign in signs]) for turn in (1, -1)]
    choices: list[list[int]] = [[]]
    for _ in signs:
        choices = [[*choice, sign] for choice in choices for sign in (1, -1)]
    return [_signed(node, choice) for choice in choices]


def _count_signs(node: Node) -> list[int]:
    found: list[int] = []
    for part in _parts(node):
        found += _count_signs(part)
    return [*found, node[1]] if node[0] == "pm" else found


def _parts(node: Node) -> list[Node]:
    return [child for child in children(node) if child and isinstance(child[0], str)]


def _signed(node: Node, signs: list[int]) -> Node:
    """The tree with its ± signs replaced in order; uses the list up."""
    if node[0] == "pm":
        before = None if node[2] is None else _signed(node[2], signs)
        after = _signed(node[3], signs)
        term = after if signs.pop(0) > 0 else ("neg", after)
        return term if before is None else ("add", (before, term))
    built = []
    for part in node:
        if isinstance(part, tuple) and part and isinstance(part[0], tuple):
            built.append(tuple(_signed(item, signs) if isinstance(item[0], str) else item for item in part))
        else:
            built.append(_signed(part, signs) if isinstance(part, tuple) and part else part)
    return tuple(built)
