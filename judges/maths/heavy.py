"""The last step: math-verify and sympy, for what our own reader cannot read. It may hang or eat memory: run it in a worker.

What math-verify 0.9.0 is known to say wrongly is refused: a number picked out of a text that did not parse, a dropped
subscript, an equation against a number, lists of different length (its issues #47, #60, #64).
"""

from __future__ import annotations

import logging
import re
from typing import Any

_PLAIN_NUMBER = re.compile(r"[\s\d.,/+\-{}()]*(?:\\[dt]?frac[\s\d{}\-]*)?[\s\d.,/+\-{}()]*")
_TOP_COMMA = re.compile(r"[({\[]|[)}\]]|,|\\(?:text\{)?\s*(?:and|or)\b")


class MathVerify:
    """`compare` two bare answers; holds nothing but the loaded library."""

    def warm(self) -> None:
        """Loads sympy, the grammar and their caches, so that the first case does not pay for it."""
        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
        self.compare(r"\int_0^1 x\,dx", r"\frac{1}{2}")

    def compare(self, gold: str, given: str) -> bool | None:
        """Whether math-verify finds the two equal; None where it cannot read one of them or its reading is refused."""
        from math_verify import verify

        ours, theirs = _parsed(gold), _parsed(given)
        if ours is None or theirs is None or _commas(gold) != _commas(given):
            return None
        if _is_relation(ours) != _is_relation(theirs) or _names(ours) != _names(theirs):
            return False
        return bool(verify([ours], [theirs], numeric_precision=30, float_rounding=30, timeout_seconds=None))


def _parsed(text: str) -> Any:
    """The sympy object, or None: nothing was read, or only a number inside something else."""
    from math_verify import LatexExtractionConfig, parse

    found = parse(
        f"${text}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None, fallback_mode="no_fallback"
    )
    if not found or isinstance(found[0], str):
        return None
    value = found[0]
    if getattr(value, "is_number", False) and getattr(value, "is_Atom", False) and not _PLAIN_NUMBER.fullmatch(text):
        return None
    if "_" in text and getattr(value, "is_Atom", False):
        return None
    return value


def _is_relation(value: Any) -> bool:
    return bool(getattr(value, "is_Relational", False))


def _names(value: Any) -> set[str]:
    return {str(symbol) for symbol in getattr(value, "free_symbols", ())}


def _commas(text: str) -> int:
    """Separators outside brackets."""
    depth = count = 0
    for match in _TOP_COMMA.finditer(text):
        if match[0] in "({[":
            depth += 1
        elif match[0] in ")}]":
            depth -= 1
        elif depth == 0:
            count += 1
    return count
