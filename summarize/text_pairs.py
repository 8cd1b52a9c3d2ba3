"""Predictions and their references, checked and put side by side; how long and how fast the answers are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ns_eval.errors import DataError, UsageError
from summarize.text_results import Profile

T = TypeVar("T")
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs with a reference that is not empty: `kept` are their places among the `asked` ones."""

    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    kept: tuple[int, ...]
    asked: int

    def chosen(self, given: Sequence[T], name: str) -> list[T]:
        """Of one thing a prediction those of the pairs that are kept.

        Raises:
            DataError: another number of them.
        """
        if len(given) != self.asked:
            raise DataError(f"{self.asked} predictions and {len(given)} {name}")
        return [given[at] for at in self.kept]

    def hashes(self) -> tuple[str, ...]:
        """Of each pair's references: two models are compared on the same ones."""
        return tuple(
            hashlib.sha256("\0".join(listed).encode(errors="replace")).hexdigest()[:16] for listed in self.references
        )


def paired(predictions: Sequence[str], references: Sequence[Any], ids: Sequence[str] | None) -> Pairs:
    """A reference is a text or a list of texts.

    Raises:
        DataError: lists of different length, a None among them, no reference that is not empty.
        UsageError: a text instead of a list.
    """
    for name, given in (("predictions", predictions), ("references", references)):
        if isinstance(given, str):
            raise UsageError(f"{name} is one text; expected a list of texts")
    texts, wanted = list(predictions), [[one] if isinstance(one, str) else one for one in references]
    if len(texts) != len(wanted):
        raise DataError(f"{len(texts)} predictions and {len(wanted)} references: each prediction needs its own")
    if not texts:
        raise DataError("there are no predictions")
    names = [str(at) for at in range(len(texts))] if ids is None else [str(name) for name in ids]
    if len(names) != len(texts):
        raise DataError(f"{len(texts)} predictions and {len(names)} ids")
    for at, (text, listed) in enumerate(zip(texts, wanted, strict=True)):
        _check(at, text, listed)
    full = [tuple(one for one in listed if one.strip()) for listed in wanted]
    kept = [at for at, listed in enumerate(full) if listed]
    if not kept:
        raise DataError(f"all {len(texts)} references are empty: there is nothing to compare with")
    columns = [tuple(column[at] for at in kept) for column in (names, texts)]
    return Pairs(columns[0], columns[1], tuple(full[at] for at in kept), tuple(kept), len(texts))


def _check(at: int, text: Any, listed: Any) -> None:
    if not isinstance(text, str):
        raise DataError(
            f"predictions[{at}] is {text!r:.40}, expected a text", hint="an answer that failed is no empty answer"
        )
    if not isinstance(listed, Sequence) or any(not isinstance(one, str) for one in listed):
        raise DataError(f"references[{at}] is {listed!r:.40}, expected a text or a list of texts")


def profile(pairs: Pairs, seconds: Sequence[float] | None, tokens: Sequence[int] | None) -> dict[str, Profile]:
    """Words are what blanks separate: in a language without blanks look at characters."""
    columns: dict[str, Floats] = {
        "words": np.array([len(text.split()) for text in pairs.predictions], dtype=np.float64),
        "characters": np.array([len(text) for text in pairs.predictions], dtype=np.float64),
    }
    for name, given in (("seconds", seconds), ("tokens", tokens)):
        if given is not None:
            columns[name] = np.array(pairs.chosen(given, name), dtype=np.float64)
    if seconds is not None and tokens is not None and (columns["seconds"] > 0).all():
        columns["tokens_per_second"] = columns["tokens"] / columns["seconds"]
    return {
        name: Profile(float(values.mean()), float(np.median(values)), float(np.quantile(values, 0.95)))
        for name, values in columns.items()
    }
