"""What is wrong with answers, as data: refusals, loops, answers cut at the limit, off topic, far too short or too long."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from summarize.text_results import Evaluation

KINDS = ("empty", "refusal", "loop", "truncated", "off topic", "too short", "too long")
_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|not able|unable)"
    r"|I (?:can(?:no|')t|won't|am unable to) (?:help|answer|assist|provide|give)"
    r"|as an AI|consult a (?:professional|financial advisor))",
    re.IGNORECASE,
)
# A text of this length that packs to less than a sixth says the same over and over; prose packs to a third at best.
_LOOP_CHARACTERS, _LOOP_RATIO = 200, 1 / 6
_LENGTH_FACTOR = 3.0
# Chosen, not measured: an answer about something else shares little but stop words with its reference.
_OFF_TOPIC = {"semantic_similarity": 0.25, "f1": 0.05, "rouge1": 0.05}


def failures(found: Evaluation, truncated: Sequence[bool] | None = None) -> dict[str, tuple[str, ...]]:
    """Kind of failure -> ids of the pairs that show it, the most common kind first; a pair may show several.

    `truncated` says of every pair whether its answer ended at the token limit.
    """
    topic = next((name for name in _OFF_TOPIC if name in found.examples), None)
    shown: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for at, (name, text) in enumerate(zip(found.ids, found.predictions, strict=True)):
        wanted = max(len(one.split()) for one in found.references[at])
        kinds = _kinds(text, wanted)
        if truncated is not None and truncated[at]:
            kinds.add("truncated")
        if text.strip() and topic is not None and found.examples[topic][at] < _OFF_TOPIC[topic]:
            kinds.add("off topic")
        for kind in kinds:
            shown[kind].append(name)
    ordered: Mapping[str, list[str]] = dict(sorted(shown.items(), key=lambda item: -len(item[1])))
    return {kind: tuple(names) for kind, names in ordered.items() if names}


def _kinds(text: str, wanted: int) -> set[str]:
    if not text.strip():
        return {"empty"}
    words = len(text.split())
    packed = text.encode("utf-8", "replace")
    found = {"refusal"} if _REFUSAL.search(text) else set[str]()
    if len(packed) >= _LOOP_CHARACTERS and len(zlib.compress(packed)) < _LOOP_RATIO * len(packed):
        found.add("loop")
    if words * _LENGTH_FACTOR < wanted:
        found.add("too short")
    if words > wanted * _LENGTH_FACTOR:
        found.add("too long")
    return found
