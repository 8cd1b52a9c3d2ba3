"""How much pass@k and majority@k of k < n samples would vary if the same questions were asked again.

Both are means over all k-subsets of n samples. Leaving out one sample at a time shows how far each of them moves the mean;
from that follows the variance (the delete-one jackknife; Efron and Stein 1981: never too small on average). For k up to n/4
it is right to a tenth or so, at n/2 it is up to twice too large; at k = n there is one subset, which shows nothing: NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from summarize.at_k import Votes, pass_at_k
from summarize.voting import Floats, Integers, expected_votes


def pass_variances(n: Integers, right: Integers, width: int) -> Floats:
    """Of pass@k of each question with `right` of n samples right; shape (questions, width), by k."""
    found = np.full((len(n), width), np.nan)
    for size in np.unique(n[n > 1]):
        rows = np.flatnonzero(n == size)
        c = right[rows]
        # A class of none has no sample to leave out; its weight is 0, its curve any.
        curves = np.stack([pass_at_k(size - 1, np.clip(c - 1, 0, None)), pass_at_k(size - 1, np.minimum(c, size - 1))])
        found[rows, :size] = _variance(curves, np.stack([c, size - c]))
    return found


def vote_variances(tables: Sequence[Votes], width: int) -> Floats:
    """Of majority@k of each table; shape (tables, width), by k. A class keeps its verdict."""
    left, owner, times = list[Votes](), list[int](), list[int]()
    for at, table in enumerate(tables):
        for shorter, count in _without_one(table):
            left.append(shorter)
            owner.append(at)
            times.append(count)
    found = np.full((len(tables), width), np.nan)
    curves = expected_votes(left, width)
    first = np.searchsorted(owner, np.arange(len(tables) + 1))
    for at, table in enumerate(tables):
        if table.n > 1:
            own = slice(first[at], first[at + 1])
            found[at, : table.n] = _variance(curves[own, : table.n], np.array(times[own]))
    return found


def _without_one(table: Votes) -> list[tuple[Votes, int]]:
    """The tables with a sample left out, and how many samples leave that one."""
    found = []
    for at, size in enumerate(table.sizes):
        if not size:
            continue
        sizes = (*table.sizes[:at], size - 1, *table.sizes[at + 1 :])
        kept = sorted(((own, verdict) for own, verdict in zip(sizes, table.right, strict=True) if own), reverse=True)
        shorter = Votes(tuple(own for own, _ in kept), tuple(verdict for _, verdict in kept), table.unanswered)
        found.append((shorter, size))
    if table.unanswered:
        found.append((Votes(table.sizes, table.right, table.unanswered - 1), table.unanswered))
    return found


def _variance(curves: Floats, times: Integers) -> Floats:
    """(n-1)/n times the summed squares of the left-out values around their mean; `curves[i]` stands for `times[i]`."""
    n = times.sum(axis=0)
    weights = times[..., None]
    mean = (weights * curves).sum(axis=0) / n[..., None]
    found: Floats = ((n - 1) / n)[..., None] * (weights * (curves - mean) ** 2).sum(axis=0)
    return found
