"""Which calls a judge is spared and which it makes all the same: seeded shares over distinct calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from judges.asking import chance
from ns_eval.errors import UsageError
from ns_eval.records import Sample, Verdict


@dataclass(frozen=True, slots=True)
class SeededShare:
    """A share of calls, at least `minimum` of them, drawn by a hash of their keys: order, chunks and resumes change nothing.

    `limit` is what `drawn_from` found for the whole run; without it the share is taken as it is.
    """

    purpose: str
    share: float
    minimum: int
    seed: int
    limit: float | None = None

    def drawn_from(self, keys: Iterable[str]) -> SeededShare:
        """The same share with the limit that gives at least `minimum` of these keys, or all where there are fewer."""
        drawn = sorted(self._chance(key) for key in set(keys))
        if self.share <= 0 or not drawn:
            return self
        least = drawn[min(self.minimum, len(drawn)) - 1] if self.minimum > 0 else 0.0
        return SeededShare(self.purpose, self.share, self.minimum, self.seed, max(self.share, least))

    def has(self, key: str) -> bool:
        if self.share <= 0:
            return False
        return self._chance(key) <= (self.share if self.limit is None else self.limit)

    def _chance(self, key: str) -> float:
        return chance(self.seed, self.purpose, key)


@dataclass(frozen=True)
class RepeatOptions:
    """How often a judge is asked the same, to measure how often it contradicts itself."""

    repeats: int = 1
    """Replies to each repeated call."""
    repeat_share: float = 0.1
    """The share of calls that is repeated."""
    repeat_minimum: int = 50
    """At least this many."""
    seed: int = 0
    """Draws the share."""

    def drawn(self) -> SeededShare:
        """The share as it is; nothing where there are no repeats.

        Raises:
            UsageError: a share outside 0 to 1, or fewer than one reply.
        """
        if not 0 <= self.repeat_share <= 1 or self.repeats < 1:
            raise UsageError(
                f"judge: repeats {self.repeats} must be 1 or more, repeat_share {self.repeat_share} from 0 to 1"
            )
        return SeededShare("repeat", self.repeat_share if self.repeats > 1 else 0.0, self.repeat_minimum, self.seed)


class Keyed(Protocol):
    """What says which calls are made."""

    def shortcut(self, sample: Sample) -> Verdict | None: ...

    def call_key(self, sample: Sample) -> str: ...


def drawn_over(share: SeededShare, judge: Keyed, samples: Iterable[Sample]) -> SeededShare:
    """The share, drawn from the calls that this judge makes for these samples; nothing is computed where there is none."""
    if share.share <= 0:
        return share
    return share.drawn_from(judge.call_key(sample) for sample in samples if judge.shortcut(sample) is None)
