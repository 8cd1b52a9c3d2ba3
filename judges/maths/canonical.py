"""The canonical string of an answer: equal answers get the same one wherever an exact form exists. Votes count it."""

from __future__ import annotations

from judges.maths.labels import is_label
from judges.maths.reading import Node
from judges.maths.readings import Reading
from judges.maths.values import form_of


def canonical(reading: Reading, *, choice: bool = False) -> str:
    """The canonical string, the normal form without blanks at worst. `choice`: a letter is asked for."""
    if choice and reading.letter:
        return reading.letter.upper()
    if reading.words:
        return reading.words
    if reading.node is None:
        return reading.letter.upper() or reading.normal.replace(" ", "")
    text = _text(reading.node)
    return text if text is not None else reading.normal.replace(" ", "")


def _text(node: Node) -> str | None:
    kind = node[0]
    if kind in ("list", "set"):
        return _joined(node[1], "{", "}", sort=True)
    if kind == "seq":
        return _joined(node[3], node[1], node[2])
    if kind == "matrix":
        rows = [_joined(row, "", "", between=" & ") for row in node[1]]
        inner = r" \\ ".join(str(row) for row in rows)
        return None if None in rows else rf"\begin{{pmatrix}} {inner} \end{{pmatrix}}"
    if kind == "base":
        return f"{node[1].lstrip('0') or '0'}_{node[2]}"
    if kind == "rel":
        return _relation(node)
    if kind == "approx":
        return _text(node[1])
    found = form_of(node)
    return None if found is None else found.text


def _joined(nodes: tuple[Node, ...], opening: str, closing: str, *, sort: bool = False, between: str = ", ") -> str | None:
    texts = [_text(node) for node in nodes]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    return opening + between.join(sorted(known) if sort else known) + closing


def _relation(node: Node) -> str | None:
    """`x = 3` is 3: a label is dropped, as it is when answers are compared; other relations keep their sides."""
    if all(sign == "=" for sign in node[1]) and is_label(node[2][0]):
        return _text(node[2][-1])
    if all(sign == "=" for sign in node[1]) and is_label(node[2][-1]) and len(node[2]) == 2:
        return _text(node[2][0])
    if node[1] == ("in",):
        return _text(node[2][1])
    sides = [_text(side) for side in node[2]]
    if None in sides:
        return None
    signs = [*node[1], ""]
    return " ".join(f"{side} {sign}".strip() for side, sign in zip(sides, signs, strict=True))
