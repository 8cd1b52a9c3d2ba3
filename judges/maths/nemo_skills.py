"""NeMo-Skills' math_grader as it decides at its commit 0b012df8, for comparison with numbers that it gave.

Its rules, faults included: nemo_skills/evaluation/math_grader.py. It hangs where math-verify hangs: run it in a worker.
"""

from __future__ import annotations

import logging
import re

_CHOICE = re.compile(r"[A-J]")
_PERCENT = re.compile(r"(-?[\d.,]+)\s*\\?%")
_LETTERS_ONLY = re.compile(r"[a-zA-Z,\s]+")
_FIGURES_ONLY = re.compile(r"[0-9\s]+")
_LATEX_ENVIRONMENT = re.compile(r"\$|\\\(|\\\[|\\boxed\{|\\begin\{")


class NemoSkills:
    """`compare` as its `math_equal` does; True or False, never None."""

    def warm(self) -> None:
        """Loads sympy and the grammar."""
        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        self.compare(r"\frac{1}{2}", r"x^2")

    def compare(self, gold: str, given: str) -> bool:
        """Whether it counts the pair as equal."""
        from math_verify import LatexExtractionConfig, StringExtractionConfig, parse, verify

        gold, given = str(gold).strip(), str(given).strip()
        if _CHOICE.fullmatch(gold):
            letter = StringExtractionConfig(strings=tuple("ABCDEFGHIJ"))
            found = parse(given, [letter], parsing_timeout=None)
            if verify(parse(gold, [letter], parsing_timeout=None), found, timeout_seconds=None):
                return True
        gold, given = _normalised(gold), _normalised(given)
        if gold.replace(" ", "") == given.replace(" ", ""):
            return True
        for literal in (_LETTERS_ONLY, _FIGURES_ONLY):
            if literal.fullmatch(gold) and literal.fullmatch(given):
                return False
        sides = [
            parse(text if _LATEX_ENVIRONMENT.search(text) else f"${text}$", [LatexExtractionConfig()], parsing_timeout=None)
            for text in (gold, given)
        ]
        return bool(verify(*sides, numeric_precision=15, timeout_seconds=None))


def _normalised(text: str) -> str:
    from latex2sympy2_extended.math_normalization import NormalizationConfig, normalize_latex

    match = _PERCENT.fullmatch(text)
    text = match[1] if match else text
    return str(normalize_latex(text.rstrip(".\\"), NormalizationConfig()))
