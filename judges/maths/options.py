"""The switches of the symbolic judge and their defaults: conventions on which graders legitimately differ."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class SymbolicOptions:
    """conf/judge/symbolic.yaml; `++judge_options.<name>=<value>` on the command line."""

    extract_from_boxed: bool = True
    r"""Take the last \boxed or \fbox of the answer."""
    extract_regex: str = ""
    """Take the last match of this pattern (its first group) where there is no box, or instead of boxes."""
    relaxed: bool = True
    """Where there is no box, take what follows "the answer is", "Answer:" or "####", or a whole one-line answer."""
    boxes: str = "joined"
    """Boxes that one sentence joins ("\\boxed{1} and \\boxed{2}"): joined (a list) or last."""
    end_reasoning_string: str = "</think>"
    """Where a thinking part ends; nothing before it is an answer."""
    unfinished_reasoning: str = "none"
    """A thinking part that does not end: none (no answer) or text (look for one in it all the same)."""
    percent: str = "sign"
    """sign: 10% = 10, and = 0.1 where the gold has the sign; value: 10% = 0.1 too whichever has it; strict: 0.1 alone."""
    rounding: str = "printed"
    """printed: a decimal gold takes an exact or long answer that rounds to it; exact: never."""
    list_order: str = "ignored"
    """Order of a comma list without brackets: ignored or kept."""
    interval: str = "same"
    """Interval against inequality: same or different."""
    missing_base: str = "accepted"
    """110_2 against 110: accepted or refused. Two different bases are never equal."""
    mixed_numbers: str = "sum"
    r"""3\frac{1}{2}: sum (3.5) or product (1.5)."""
    decimal_comma: bool = False
    """Read 0,5 as 0.5 where it is no list."""
    units: str = "checked"
    """checked: known units on both sides must agree, one missing is fine; ignored; required: the gold's must be there."""
    text_case: str = "ignored"
    """Case of answers that are words: ignored or kept."""
    take_modulo: int = 0
    """Compare whole numbers modulo this."""
    unparsed: str = "wrong"
    """An answer that exists but cannot be compared: unjudged (correct: null, counted apart) or wrong."""
    heavy: bool = True
    """Ask math-verify where our own reader fails; its known false positives are refused."""
    compat: str = ""
    """nemo-skills: decide as its math_grader does, for comparison with old numbers."""


CHOICES = {
    "boxes": ("joined", "last"),
    "unfinished_reasoning": ("none", "text"),
    "percent": ("sign", "value", "strict"),
    "rounding": ("printed", "exact"),
    "list_order": ("ignored", "kept"),
    "interval": ("same", "different"),
    "missing_base": ("accepted", "refused"),
    "mixed_numbers": ("sum", "product"),
    "units": ("checked", "ignored", "required"),
    "text_case": ("ignored", "kept"),
    "unparsed": ("unjudged", "wrong"),
    "compat": ("", "nemo-skills"),
}


def wrong_choice(options: SymbolicOptions) -> str | None:
    """What is wrong with a value, in words; None where every value is one of its choices."""
    for item in fields(options):
        value, known = getattr(options, item.name), CHOICES.get(item.name)
        if known is not None and value not in known:
            return f"`{item.name}` must be one of {', '.join(repr(choice) for choice in known)}, found {value!r}"
    return None
