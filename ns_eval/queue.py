"""What to send next: one queue over benchmarks, questions and seeds, with the long questions first.

The slowest answers decide when a run ends, so they are started early. How long a question is, is known from its finished
seeds: every question is asked once, then the one with the longest answers goes first, all its seeds together (the engine's
prefix cache). A question whose first answer is still being written is taken for a long one. Nothing is decided before a
place in the engine is free.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class _Row(Generic[Item]):
    """One question: the items that are still to be sent, and what its finished ones took."""

    order: int
    waiting: deque[Item] = field(default_factory=deque)
    started: bool = False
    finished: int = 0
    tokens: int = 0
    version: int = 0

    @property
    def expected(self) -> float:
        return self.tokens / self.finished if self.finished else float("inf")


class Queue(Generic[Item]):
    """Items in groups that are expected to take equally long. `key` of a group is any hashable value."""

    def __init__(self) -> None:
        self._rows: dict[object, _Row[Item]] = {}
        self._fresh: deque[_Row[Item]] = deque()
        self._heap: list[tuple[float, int, int, _Row[Item]]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: object, items: Iterable[Item], known_tokens: Iterable[int] = ()) -> None:
        """A group with what it still needs and the lengths of those that were finished earlier."""
        row = self._rows.setdefault(key, _Row(order=len(self._rows)))
        row.waiting.extend(items)
        for tokens in known_tokens:
            row.finished += 1
            row.tokens += tokens
        self._count += len(row.waiting)
        if row.waiting:
            if row.finished:
                self._push(row)
            else:
                self._fresh.append(row)

    def take(self) -> Item:
        """The next item; IndexError where none waits."""
        if self._fresh:
            row = self._fresh.popleft()
        else:
            while self._heap[0][2] != self._heap[0][3].version:
                heapq.heappop(self._heap)
            row = heapq.heappop(self._heap)[3]
        item = row.waiting.popleft()
        self._count -= 1
        self._push(row)
        return item

    def finished(self, key: object, tokens: int) -> None:
        """One item of the group took that many tokens."""
        row = self._rows[key]
        row.finished += 1
        row.tokens += tokens
        self._push(row)

    def _push(self, row: _Row[Item]) -> None:
        row.version += 1
        if row.waiting:
            heapq.heappush(self._heap, (-row.expected, row.order, row.version, row))
