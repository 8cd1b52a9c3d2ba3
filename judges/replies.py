"""What a judge's reply says: tolerant of style, strict about meaning. What cannot be read is None, never a guess.

The patterns here are also those that `judges.shown` takes out of the judged text, so that a reply which merely quotes an
answer carries no verdict.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ns_eval.records import Json

# "Judgement:", "**Judgment:**", `"judgement": `, "the judgement is:"; both spellings, any case, Markdown and quotes around.
JUDGEMENT = re.compile(r"\bjudge?ment[\"'*_`\s]*(?:\bis\b[*_\s]*)?[:：]", re.IGNORECASE)
_LEAD = r"[\s\"'*_`#>$({\[\\]*(?:(?:boxed|text|textbf|mathrm)\{[\s*]*)?"
_YES_NO = re.compile(rf"{_LEAD}(yes|no)(?=$|[\s\"'*_`.,;:!)}}\]$\\—–-])", re.IGNORECASE)
# "Yes or No" repeats the format; "No difference ..." is the start of a sentence, and of which sense nobody knows.
_RUNS_ON = re.compile(r"[ \t]+(?!because\b|since\b|as\b|given\b)\w", re.IGNORECASE)
_INDEX = re.compile(rf"{_LEAD}(?:solution\s*#?\s*)?(\d{{1,4}})(?![\d%/]|\.\d)", re.IGNORECASE)
RATING = re.compile(r"\[\[\s*(-?\d+(?:\.\d+)?)\s*\]\]")
PREFERENCE = re.compile(r"\[\[\s*(A>>B|A>B|A=B|B=A|B>A|B>>A|A|B|C)\s*\]\]")
_NUMBER = r"[\"'*_`\s({\[]*(-?\d+(?:\.\d+)?)(?!\d|\.\d|[ \t]*[-–][ \t]*\d)(?:[ \t]*(?:/|out of)[ \t]*(\d+))?"
# What each of the published verdicts is worth to A, from -2 to 2; [[C]] is MT-Bench's tie.
_WORTH = {"A>>B": 2, "A>B": 1, "A": 1, "A=B": 0, "B=A": 0, "C": 0, "B>A": -1, "B": -1, "B>>A": -2}


@dataclass(frozen=True, slots=True)
class Scale:
    """The values a rating may take; both ends belong to it."""

    minimum: float = 1
    maximum: float = 5
    integers: bool = True

    def holds(self, value: float) -> bool:
        return self.minimum <= value <= self.maximum and (not self.integers or value == int(value))


def after_thinking(text: str) -> str:
    """The reply without a thinking part; empty where the thought has no end."""
    if "</think>" in text:
        return text.rpartition("</think>")[2]
    return "" if text.lstrip().startswith("<think>") else text


def yes_no(text: str, *, cut: bool = False) -> bool | None:
    """The verdict behind the last "Judgement:"; None where there is none or it is neither yes nor no.

    `cut` says that the reply ended at its token limit: then the marker must begin its line, since a reply cut while it
    quotes something must not become a verdict, and the word must be complete.
    """
    text = after_thinking(text)
    marker = _last(JUDGEMENT.finditer(text))
    if marker is None or (cut and not _begins_line(text, marker.start())):
        return None
    found = _YES_NO.match(text, marker.end())
    if found is None or _RUNS_ON.match(text, found.end()) or (cut and found.end() == len(text)):
        return None
    return found[1].lower() == "yes"


def choice(text: str, count: int) -> int | None:
    """The index behind the last "Judgement:", 0 to count - 1. 0 is an index like any other."""
    text = after_thinking(text)
    marker = _last(JUDGEMENT.finditer(text))
    found = None if marker is None else _INDEX.match(text, marker.end())
    if found is None or int(found[1]) >= count:
        return None
    return int(found[1])


def rating(text: str, scale: Scale) -> float | None:
    """The last [[n]] within the scale. A last one outside of it is no rating: it is not searched further."""
    found = _last(RATING.finditer(after_thinking(text)))
    if found is None or not scale.holds(float(found[1])):
        return None
    return float(found[1])


def preference(text: str) -> int | None:
    """What the last [[A>>B]], [[A>B]], [[A=B]] ... or [[A]], [[B]], [[C]] is worth to A: -2 to 2."""
    found = _last(PREFERENCE.finditer(after_thinking(text)))
    return None if found is None else _WORTH[found[1]]


def ratings(text: str, names: Sequence[str], scale: Scale) -> dict[str, float]:
    """The criteria that were rated within the scale: from the last JSON object that names one, else from "name: n" lines.

    "4" and 4.0 count as 4; 0, 6 or 4.5 on a scale of integers from 1 to 5 are left out, not moved to its end.
    """
    text = after_thinking(text)
    found = json_object(text, names)
    values = _from_lines(text, names, scale) if found is None else {name: _number(found.get(name)) for name in names}
    return {name: value for name, value in values.items() if value is not None and scale.holds(value)}


def json_object(text: str, names: Sequence[str]) -> dict[str, Json] | None:
    """The last JSON object in the text, fenced or embedded, that has one of the keys; keys are matched without case."""
    known, pattern = {_folded(name): name for name in names}, named_value(names)
    for start in (match.start() for match in reversed(list(re.finditer(r"\{", text))[-200:])):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if not isinstance(value, dict) or not any(_folded(key) in known for key in value):
            continue
        # A key spelt with escapes slips past what `shown.defused` takes out, and no judge writes one.
        spelt = {_folded(match[1]) for match in pattern.finditer(text, start, end)}
        found = {known[_folded(key)]: item for key, item in value.items() if _folded(key) in spelt}
        if found:
            return {key: item for key, item in value.items() if _folded(key) not in known} | found
    return None


def named_value(names: Sequence[str]) -> re.Pattern[str]:
    """`Correctness: 4`, `**hallucination safety** = 4`, `"clarity":` for any of the names; the group is the name.

    Without quotes only before a number: an answer that speaks of clarity or defines specificity = TN/(TN+FP) rates nothing.
    """
    words = "|".join(r"[\s_-]+".join(re.escape(part) for part in re.split(r"[\s_-]+", name)) for name in names)
    plain = r"[\"'*_`]*\s*(?:\([^()\n]{0,20}\)\s*)?(?:\b(?:score|rating)\b[\"'*_`\s]*)?[:：=|–-]"
    return re.compile(rf"\b({words})\b(?:\"\s*:|{plain}(?={_NUMBER}))", re.IGNORECASE)


def _from_lines(text: str, names: Sequence[str], scale: Scale) -> dict[str, float | None]:
    known = {_folded(name): name for name in names}
    values: dict[str, float | None] = {}
    for match in named_value(names).finditer(text):
        number = re.compile(_NUMBER).match(text, match.end())
        if number is not None and (number[2] is None or float(number[2]) == scale.maximum):
            values[known[_folded(match[1])]] = float(number[1])
    return values


def _number(value: Json) -> float | None:
    """4, 4.0, "4", "4/5" and {"score": 4}: models nest a rating beside its reason."""
    if isinstance(value, Mapping):
        inner = [value[key] for key in ("score", "rating", "value") if key in value]
        return _number(inner[0]) if inner and not isinstance(inner[0], Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()


def _begins_line(text: str, position: int) -> bool:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return not line.strip(" \t*_#{\"'`")


def _last(matches: Iterator[re.Match[str]]) -> re.Match[str] | None:
    return next(iter(collections.deque(matches, maxlen=1)), None)
