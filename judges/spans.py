"""Spans and relations that a model lists as JSON, against those that people marked: counts, of which F1 is made.

    judge: spans
    judge_options: {column: relations}      # in conf/benchmark/<name>.yaml; the default is entities

A span counts when its words and its type are right: case and blanks do not matter, and one that does not stand in the text
is a false claim. A text that was marked twice has to be listed twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from judges.answers import Extraction, after_reasoning
from ns_eval.errors import UsageError
from ns_eval.records import Generation, Json, Question, Verdict

# A span is (type, text), a relation (type, head, tail), in lower case.
Item: TypeAlias = tuple[str, ...]
_FIELDS = {"entities": ("type", "text"), "relations": ("type", "head", "tail")}
# Relations of SciERC whose ends may be given in either order.
_SYMMETRIC = ("compare", "conjunction")
# The one type of sets whose spans have none.
_UNTYPED = "entity"


class SpansJudge:
    """`column` is entities or relations. `correct`: exactly what people marked. F1 of a benchmark is made of the counts."""

    name = "spans"
    version = "spans-1"

    def __init__(self, column: str = "entities", end_reasoning_string: str = "</think>") -> None:
        if column not in _FIELDS:
            raise UsageError(f"judge_options.column={column}: expected one of {', '.join(_FIELDS)}")
        self._column = column
        self._rules = Extraction(end_reasoning_string)

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """Counts true and false positives and false negatives; without a list everything is missed."""
        gold = self._items(question.meta.get(self._column) or [])
        untyped = {item[0] for item in gold} == {_UNTYPED}
        listed = last_list(after_reasoning(generation.text, self._rules))
        found = self._items(listed or [], untyped=untyped)
        claimed = Counter({item: count for item, count in found.items() if self._stands(item, question.problem)})
        right = (gold & claimed).total()
        counts = {
            "true_positives": float(right),
            "false_positives": float(found.total() - right),
            "false_negatives": float(gold.total() - right),
        }
        comment = "no list in the answer" if listed is None else f"{right} of {gold.total()}, {found.total()} listed"
        return Verdict(
            self.name,
            listed is not None and found == gold,
            answer=None if listed is None else json.dumps(sorted(found.elements()), ensure_ascii=False),
            scores=counts,
            comment=comment,
        )

    def same(self, a: str, b: str) -> bool:
        return a == b

    def _items(self, listed: list[Json], *, untyped: bool = False) -> Counter[Item]:
        return Counter(item for entry in listed if (item := self._item(entry, untyped)) is not None)

    def _item(self, entry: Json, untyped: bool) -> Item | None:
        """What is no object with its fields is a claim all the same: it matches nothing."""
        fields = _FIELDS[self._column]
        if not isinstance(entry, Mapping):
            return ("", plain(entry))
        kind, *texts = (plain(entry.get(name, "")) for name in fields)
        if kind in _SYMMETRIC:
            texts.sort()
        return (_UNTYPED if untyped else kind, *texts)

    def _stands(self, item: Item, text: str) -> bool:
        whole = plain(text)
        return all(part and part in whole for part in item[1:])


def plain(text: Json) -> str:
    """Lower case, one blank between words and none around signs: tokenised texts write `( IL - 2 )`."""
    words = re.sub(r"\s+", " ", str(text)).strip().lower()
    return re.sub(r"\s*([^\w\s])\s*", r"\1", words)


def last_list(text: str) -> list[Json] | None:
    """The last JSON list of a text that is one; None where there is none. Lists inside it are parts of it."""
    decoder = json.JSONDecoder()
    found: list[Json] | None = None
    end = 0
    for start in _brackets(text):
        if start < end:
            continue
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list):
            found = value
    return found


def _brackets(text: str) -> Iterator[int]:
    return (match.start() for match in re.finditer(r"\[", text))
