"""Base against PEFT on the same questions, with the same metrics: the table of stats.md 5.2."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ns_eval.errors import DataError, UsageError, suggest
from summarize.intervals import Interval, standard_error
from summarize.paired import detectable, holm
from summarize.text_paired import Metric, corpus_bleu, corpus_chrf, gap_intervals, mean_metric, perplexity_of, swap_test
from summarize.text_results import Change, Comparison, Evaluation

_OF_SUMS = {"bleu": corpus_bleu, "chrf": corpus_chrf, "perplexity": perplexity_of}


def compared(base: Evaluation, peft: Evaluation, how: Interval, primary: str) -> Comparison:
    """A row a metric that has a direction, Holm over all of them.

    Raises:
        DataError: other questions or references, or other settings; the key is named.
    """
    _require_alike(base, peft)
    names = [name for name, found in base.metrics.items() if found.higher_is_better is not None and name in base.examples]
    chosen = primary if primary in names else next((name for name in names if name.startswith(primary)), None)
    if chosen is None:
        raise UsageError(f"primary: no metric `{primary}` was computed, {suggest(primary, names)}")
    ours, theirs = ([_metric(found, name) for name in names] for found in (base, peft))
    ends = gap_intervals(ours, theirs, how.level, how.draws, how.seed)
    p = [swap_test(one, other, how.seed) for one, other in zip(ours, theirs, strict=True)]
    rows = zip(ours, theirs, ends, p, holm(p), strict=True)
    words = base.profile["words"].mean
    return Comparison(
        changes=tuple(
            _change(one, other, ends, (raw, adjusted), how, one.name == chosen, base.metrics[one.name].source)
            for one, other, ends, raw, adjusted in rows
        ),
        questions=len(base),
        level=how.level,
        draws=how.draws,
        seed=how.seed,
        length_ratio=peft.profile["words"].mean / words if words else None,
        same=sum(one == other for one, other in zip(base.predictions, peft.predictions, strict=True)),
        notes=tuple(_notes(base, peft)),
    )


def _require_alike(base: Evaluation, peft: Evaluation) -> None:
    for key in base.settings:
        if base.settings[key] != peft.settings.get(key):
            raise DataError(
                f"`{key}` is {base.settings[key]} for the base and {peft.settings.get(key)} for PEFT",
                hint="evaluate both with the same Evaluator",
            )
    if base.ids != peft.ids or base.pairs != peft.pairs:
        differs = [
            at
            for at, (a, b) in enumerate(zip(base.ids, peft.ids, strict=False))
            if a != b or base.pairs[at] != peft.pairs[at]
        ]
        where = f"question `{base.ids[differs[0]]}` is another one" if differs else "one has more of them"
        raise DataError(
            f"base and PEFT answered other questions ({len(base)} and {len(peft)}): {where}",
            hint="ask both the same questions, in the same order",
        )


def _metric(found: Evaluation, name: str) -> Metric:
    values = found.column(name)
    better = found.metrics[name].higher_is_better
    if name in found.parts:
        return Metric(name, values, np.array(found.parts[name], dtype=np.float64), _OF_SUMS[name], better)
    return mean_metric(name, values, higher_is_better=better)


def _change(
    base: Metric,
    peft: Metric,
    ends: tuple[float, float] | None,
    p: tuple[float, float],
    how: Interval,
    primary: bool,
    source: str,
) -> Change:
    good = peft.values - base.values if base.higher_is_better else base.values - peft.values
    wins, losses = int(np.sum(good > 0)), int(np.sum(good < 0))
    delta = peft.value - base.value
    found = p[1] < 1 - how.level and delta != 0
    verdict = "no difference found" if not found else "improved" if (delta > 0) == base.higher_is_better else "worse"
    return Change(
        metric=base.name,
        base=base.value,
        peft=peft.value,
        delta=delta,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        relative=delta / base.value if base.value else None,
        wins=wins,
        ties=len(good) - wins - losses,
        losses=losses,
        p=p[0],
        p_holm=p[1],
        detectable=_detectable(base, peft, ends, how),
        verdict=verdict,
        higher_is_better=bool(base.higher_is_better),
        primary=primary,
        source=source,
    )


def _detectable(base: Metric, peft: Metric, ends: tuple[float, float] | None, how: Interval) -> float | None:
    """Of a corpus score the error is read off its bootstrap interval."""
    if base.is_mean:
        error = standard_error(peft.values - base.values)
    else:
        error = None if ends is None else (ends[1] - ends[0]) / (2 * detectable(1.0, how.level, 0.5))
    # Without any spread nothing was tried.
    return detectable(error, how.level) if error else None


def _notes(base: Evaluation, peft: Evaluation) -> Iterator[str]:
    if base.left_out:
        yield f"left out: {base.left_out} pairs with an empty reference"
    for label, found in (("base", base), ("PEFT", peft)):
        yield from (f"{label}: {note}" for note in found.notes)
