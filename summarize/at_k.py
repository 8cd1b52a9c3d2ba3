"""Estimators over k of n samples of one question, each the exact expectation over all k-subsets. Imports numpy only.

Every function gives all k at once, as an array indexed by k; entry 0 is NaN, since no sample is no estimate.
"""

from __future__ import annotations

import functools
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
_BLOCK = 256


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
    total = np.zeros((len(votes), n + 1))
    for start in range(0, len(votes), _BATCH):
        _add_wins(total[start : start + _BATCH], votes[start : start + _BATCH])
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


def _add_wins(total: Floats, votes: Sequence[Votes]) -> None:
    """Adds the subsets, by size, in which a right class is on top, ties weighted. Right classes of one size are alike."""
    found = []
    for at, item in enumerate(votes):
        counts = sorted((size for size in item.sizes if size), reverse=True)
        winning = [size for size, right in zip(item.sizes, item.right, strict=True) if right and size]
        for size in set(winning):
            others = list(counts)
            others.remove(size)
            found.append((at, winning.count(size), size, item.unanswered, others))
    if not found:
        return
    width = max(1, *(len(others) for *_, others in found))
    rivals = np.zeros((len(found), width), np.int64)
    for row, (*_, others) in enumerate(found):
        rivals[row, : len(others)] = others
    sizes, unanswered = (np.array([item[place] for item in found]) for place in (2, 3))
    wins = _wins(sizes, rivals, unanswered, total.shape[1] - 1)
    np.add.at(total, [item[0] for item in found], wins * np.array([item[1] for item in found])[:, None])


def _wins(size: Integers, rivals: Integers, unanswered: Integers, n: int) -> Floats:
    """For each row the subsets in which a class of `size` is on top of `rivals`, which are sorted, largest first."""
    choose = _binomials(n)
    total = np.zeros((len(size), n + 1))
    for t in range(1, int(size.max()) + 1):
        reach = (rivals >= t).sum(axis=1)
        # Classes smaller than t cannot rival: with the unanswered they are (1+z)^small, whatever s is.
        small = unanswered + np.where(rivals < t, rivals, 0).sum(axis=1)
        # Rows with most rivals first: those that still have one of the next rank are the first so many.
        rows = np.flatnonzero(size >= t)
        rows = rows[np.argsort(-reach[rows], kind="stable")]
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            others = _others(rivals[block], reach[block], small[block], t, n)
            total[block, t:] += choose[size[block], t][:, None] * others[:, : n + 1 - t]
    return total


def _others(rivals: Integers, reach: Integers, small: Integers, t: int, n: int) -> Floats:
    """The others' generating function at most t each, ties weighted: shape (rows, n+1)."""
    choose = _binomials(n)
    most, degree = int(reach[0]), int(small.max())
    nodes, weights = _nodes(min(most, n // t) // 2 + 1)
    product = np.repeat(choose[small][:, None, :], len(nodes), axis=1)
    for rank in range(most):
        count = int(np.sum(reach > rank))
        grown = min(n, degree + t)
        factors = choose[rivals[:count, rank], : t + 1]
        product[:count, :, : grown + 1] = _times(product[:count, :, : degree + 1], factors, nodes, grown)
        degree = grown
    found: Floats = np.einsum("g,rgz->rz", weights, product)
    return found


def _times(product: Floats, kernel: Floats, nodes: Floats, degree: int) -> Floats:
    """The product (rows, nodes, powers of z) with sum_{x<t} kernel[x] z^x + s kernel[t] z^t, up to z^degree."""
    rows, count, width = product.shape
    t = kernel.shape[1] - 1
    padded = np.zeros((rows, count, degree + 1 + t))
    padded[:, :, t : t + width] = product
    windows = np.lib.stride_tricks.sliding_window_view(padded, t, axis=2)[:, :, 1:]
    result: Floats = np.einsum("rgzx,rx->rgz", windows, kernel[:, t - 1 :: -1])
    result += (kernel[:, t, None] * nodes)[:, :, None] * padded[:, :, : degree + 1]
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
