"""Estimators over k of n samples of one question, each the exact expectation over all k-subsets. Imports numpy only.

Every function gives all k at once, as an array indexed by k; entry 0 is NaN, since no sample is no estimate.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
# C(n, n/2) leaves the range of a float beyond this; for more samples majority@k is known at k = n only.
MOST_SAMPLES = 1000
_BATCH = 1024
_BLOCK = 128
# A class that may win: its size, how many samples have no answer, the sizes of its rivals, largest first.
_Standing: TypeAlias = tuple[int, int, tuple[int, ...]]


def none_of_k(n: int, c: int | Integers) -> Floats:
    """P(k of n samples hold none of the c marked ones) = C(n-c, k)/C(n, k); shape (..., n+1).

    As the product of (n-c-i)/(n-i), i < k: no binomial is formed, so nothing overflows or cancels.
    """
    marked = np.asarray(c, dtype=np.int64)[..., None]
    drawn = np.arange(n)
    shares = np.clip(n - marked - drawn, 0, None) / (n - drawn)
    first = np.full((*marked.shape[:-1], 1), np.nan)
    return np.concatenate([first, np.cumprod(shares, axis=-1)], axis=-1)


def pass_at_k(n: int, c: int | Integers) -> Floats:
    """P(at least one of k is right), unbiased for every k <= n. Chen et al. 2021, arXiv:2107.03374, section 2.1."""
    return 1.0 - none_of_k(n, c)


def pass_hat_k(n: int, c: int | Integers) -> Floats:
    """P(all k are right) = C(c, k)/C(n, k)."""
    return none_of_k(n, n - np.asarray(c, dtype=np.int64))


@functools.lru_cache(maxsize=256)
def at_least_of_k(n: int, c: int) -> Floats:
    """P(at least i of k are right), shape (n+1, n+2), indexed [k, i]: the hypergeometric upper tail."""
    # One sample more at a time: k right ones grow to k+1 with probability (c - right)/(n - k).
    mass = np.zeros((n + 1, n + 2))
    mass[0, 0] = 1.0
    right = np.arange(n + 2)
    for k in range(n):
        gain = mass[k] * np.clip(c - right, 0, None) / (n - k)
        mass[k + 1] = mass[k] - gain
        mass[k + 1, 1:] += gain[:-1]
    tail = np.cumsum(np.clip(mass, 0.0, None)[:, ::-1], axis=1)[:, ::-1]
    tail[0] = np.nan
    return tail


def g_pass_at_k(n: int, c: int, threshold: float) -> Floats:
    """P(at least max(ceil(threshold * k), 1) of k are right). Liu et al. 2024, arXiv:2412.13147."""
    tail = at_least_of_k(n, c)
    k = np.arange(n + 1)
    # The rounding keeps ceil(0.7 * 10) at 7: the product is 7.000000000000001 in floats.
    needed = np.maximum(np.ceil(np.round(threshold * k, 9)), 1).astype(np.int64)
    return tail[k, needed]


def mean_g_pass_at_k(n: int, c: int) -> Floats:
    """mG-Pass@k: twice the mean of P(at least i of k) over i above k/2."""
    tail = at_least_of_k(n, c)
    values = np.full(n + 1, np.nan)
    for k in range(1, n + 1):
        values[k] = 2.0 / k * tail[k, -(-k // 2) + 1 : k + 1].sum()
    return values


def best_of_k(scores: Sequence[float] | Floats, values: Sequence[float] | Floats) -> Floats:
    """The value of the best-scored of k, equal scores sharing; with `values` = `scores` it is the expected maximum."""
    ranked = np.asarray(scores, dtype=np.float64)
    worth = np.asarray(values, dtype=np.float64)
    n = len(ranked)
    levels, group = np.unique(ranked, return_inverse=True)
    counts = np.bincount(group, minlength=len(levels))
    means = np.bincount(group, weights=worth, minlength=len(levels)) / counts
    # P(all k at or below a level), then what each level adds to it is P(the best is there).
    below = none_of_k(n, n - np.cumsum(counts))
    return means @ np.diff(below, axis=0, prepend=np.where(np.arange(n + 1) > 0, 0.0, np.nan)[None, :])


@dataclass(frozen=True, slots=True)
class Votes:
    """The answers of one question: the size of each class, whether it is right, how many samples have no answer."""

    sizes: tuple[int, ...]
    right: tuple[bool, ...]
    unanswered: int = 0

    @property
    def n(self) -> int:
        return sum(self.sizes) + self.unanswered


def majority_at_k(votes: Sequence[Votes]) -> Floats:
    """The expected score of a vote among k, for questions of one n; shape (questions, n+1). Ties share the credit.

    Samples without an answer do not vote; if none of k has one the score is 0. With X_j the count of class j in the subset,

        E = sum over right j, t >= 1 of P(X_j = t, all others <= t) / (1 + number of others at t)

    and 1/(1 + r) is the integral of s^r over [0, 1], so the ties need no bookkeeping: the others' generating function is
    a product of sum_{x<t} C(m,x) z^x + s C(m,t) z^t, and Gauss-Legendre nodes integrate it exactly. Terms are positive, so
    nothing cancels. stats.md calls the same number the cluster polynomial; it is checked against enumeration.
    """
    n = votes[0].n
    if n > MOST_SAMPLES:
        return np.stack([_vote_of_all(item) for item in votes])
    credit: dict[_Standing, list[int]] = {}
    for at, item in enumerate(votes):
        for standing, times in _right_classes(item).items():
            # Right classes of one size are alike, and so are questions with the same rivals: counted out once.
            credit.setdefault(standing, []).extend([at] * times)
    total = np.zeros((len(votes), n + 1))
    standings = list(credit)
    for start in range(0, len(standings), _BATCH):
        batch = standings[start : start + _BATCH]
        wins = _wins(batch, n)
        shares = [len(credit[standing]) for standing in batch]
        np.add.at(total, [at for standing in batch for at in credit[standing]], np.repeat(wins, shares, axis=0))
    expected = total / _binomials(n)[n]
    expected[:, 0] = np.nan
    # A sure thing is exactly one: what follows treats 0/1 values differently from shares.
    snapped: Floats = np.where(expected > 1.0 - 1e-12, 1.0, expected)
    return snapped


def _vote_of_all(votes: Votes) -> Floats:
    values = np.full(votes.n + 1, np.nan)
    top = max(votes.sizes, default=0)
    tops = [right for size, right in zip(votes.sizes, votes.right, strict=True) if size == top > 0]
    values[votes.n] = sum(tops) / len(tops) if tops else 0.0
    return values


def _right_classes(votes: Votes) -> Counter[_Standing]:
    """(its size, how many samples have no answer, the rivals' sizes, largest first) of each right class."""
    sizes = sorted((size for size in votes.sizes if size), reverse=True)
    found: Counter[_Standing] = Counter()
    for size, times in Counter(size for size, right in zip(votes.sizes, votes.right, strict=True) if right and size).items():
        at = sizes.index(size)
        found[size, votes.unanswered, (*sizes[:at], *sizes[at + 1 :])] = times
    return found


def _wins(standings: Sequence[_Standing], n: int) -> Floats:
    """For each class the number of k-subsets, ties weighted, in which it is on top; shape (classes, n+1)."""
    size, unanswered = (np.array([item[place] for item in standings]) for place in (0, 1))
    rivals = np.zeros((len(standings), max(1, *(len(others) for *_, others in standings))), np.int64)
    for row, (*_, others) in enumerate(standings):
        rivals[row, : len(others)] = others
    # One row for each class and each count t that it can win with; rows of like t stand together.
    owner = np.repeat(np.arange(len(size)), size)
    t = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size) + 1
    order = np.argsort(t, kind="stable")
    total = np.zeros((len(size), n + 1))
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        own, top = owner[rows], t[rows]
        # Classes smaller than t cannot rival: with the unanswered they are (1+z)^small, whatever s is.
        reaching = np.where(rivals[own] >= top[:, None], rivals[own], 0)
        small = unanswered[own] + rivals[own].sum(axis=1) - reaching.sum(axis=1)
        counts = _others(reaching, small, top, n) * _binomials(n)[size[own], top][:, None]
        for count in np.unique(top):
            same = top == count
            np.add.at(total[:, count:], own[same], counts[same, : n + 1 - count])
    return total


def _others(rivals: Integers, small: Integers, t: Integers, n: int) -> Floats:
    """The others' generating function, row by row at most t each, ties weighted; shape (rows, n+1)."""
    reach = (rivals > 0).sum(axis=1)
    # Most rivals first: the rows that still have one of the next rank are the first so many.
    order = np.argsort(-reach, kind="stable")
    rivals, reach, small, t = rivals[order], reach[order], small[order], t[order]
    longest, degree = int(t.max()), int(small.max())
    nodes, weights = _nodes(int(np.minimum(reach, n // t).max()) // 2 + 1)
    product = np.repeat(_binomials(n)[small][:, None, :], len(nodes), axis=1)
    powers = np.arange(longest + 1)
    for rank in range(int(reach[0])):
        count = int(np.sum(reach > rank))
        tied = t[:count, None] == powers
        kernel = np.where(t[:count, None] >= powers, _binomials(n)[rivals[:count, rank], : longest + 1], 0.0)
        factors = kernel[:, None, :] * np.where(tied[:, None, :], nodes[:, None], 1.0)
        grown = min(n, degree + longest)
        product[:count, :, : grown + 1] = _times(product[:count, :, : degree + 1], factors, grown)
        degree = grown
    found = np.empty((len(order), n + 1))
    found[order] = np.einsum("g,rgz->rz", weights, product)
    return found


def _times(product: Floats, factors: Floats, degree: int) -> Floats:
    """The product of polynomials in z, (rows, nodes, powers) each, up to z^degree."""
    rows, count, width = product.shape
    longest = factors.shape[2] - 1
    padded = np.zeros((rows, count, degree + 1 + longest))
    padded[:, :, longest : longest + width] = product
    windows = np.lib.stride_tricks.sliding_window_view(padded, longest + 1, axis=2)
    result: Floats = np.einsum("rgzx,rgx->rgz", windows, factors[:, :, ::-1])
    return result


@functools.cache
def _nodes(count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre on [0, 1]: exact for polynomials below degree 2 * count."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return (places + 1) / 2, weights / 2


@functools.cache
def _binomials(n: int) -> Floats:
    """Pascal's triangle up to row n, shape (n+1, n+1)."""
    rows = np.zeros((n + 1, n + 1))
    rows[:, 0] = 1.0
    for at in range(1, n + 1):
        rows[at, 1:] = rows[at - 1, 1:] + rows[at - 1, :-1]
    return rows
