"""The votes of a table: answer classes -> vote tables -> majority@k, and how much that would vary from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from summarize.at_k import Votes, majority_at_k

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


def expected_votes(tables: Sequence[Votes], width: int) -> Floats:
    """majority@k of each table, shape (tables, width), NaN for k > n; equal tables are computed once."""
    voted = np.full((len(tables), width), np.nan)
    alike: dict[Votes, list[int]] = {}
    for row, table in enumerate(tables):
        alike.setdefault(table, []).append(row)
    by_size: dict[int, list[Votes]] = {}
    for table in alike:
        by_size.setdefault(table.n, []).append(table)
    for size, chosen in by_size.items():
        if size:
            for table, expected in zip(chosen, majority_at_k(chosen), strict=True):
                voted[alike[table], : size + 1] = expected
    return voted


def votes(question: Integers, classes: Integers, value: Floats, unanswered: Integers) -> tuple[list[Votes], Integers]:
    """The vote table of every question, and how many of its classes hold verdicts of both kinds.

    A class has one verdict, that of most of its samples; where they are even it is wrong.
    """
    count = len(unanswered)
    voting = classes >= 0
    if not voting.any():
        return [Votes((), (), int(silent)) for silent in unanswered], np.zeros(count, np.int64)
    width = int(classes.max()) + 1
    key, place = np.unique(question[voting] * width + classes[voting], return_inverse=True)
    sizes = np.bincount(place)
    rights = np.bincount(place, weights=value[voting])
    owner = key // width
    conflicts = np.bincount(owner[(rights > 0) & (rights < sizes)], minlength=count)
    grouped: list[list[tuple[int, bool]]] = [[] for _ in range(count)]
    for at, size, verdict in zip(owner.tolist(), sizes.tolist(), (2 * rights > sizes).tolist(), strict=True):
        grouped[at].append((size, verdict))
    tables = []
    for at, classes_of in enumerate(grouped):
        ordered = sorted(classes_of, reverse=True)
        tables.append(
            Votes(tuple(size for size, _ in ordered), tuple(verdict for _, verdict in ordered), int(unanswered[at]))
        )
    return tables, conflicts
