"""A judge's reliability in words, for the terminal and for a reader of its disagreements."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

from summarize.agreement import Interval
from summarize.judged import Judged, labelled, read_judged, read_labels
from summarize.references import Agreement
from summarize.reliability import Reliability, disagreements, reliability

_REFERENCES = {"symbolic": "the symbolic verdict", "label": "human labels"}


def report(folder: Path, *, judge: str = "judge", model: str = "", labels: Path | None = None) -> list[str]:
    """What is printed below a judged benchmark's table. `model` is the judged one, `labels` a file of human labels.

    Raises:
        DataError: no verdict of that judge in the folder, a broken line, or labels of other samples.
    """
    return describe(reliability(_read(folder, judge, labels), model=model))


def report_disagreements(folder: Path, *, judge: str = "judge", labels: Path | None = None, most: int = 20) -> str:
    """The samples to read, `most` of them.

    Raises:
        DataError: see `report`.
    """
    return describe_disagreements(disagreements(_read(folder, judge, labels)), most)


def _read(folder: Path, judge: str, labels: Path | None) -> list[Judged]:
    rows = read_judged(folder, judge)
    return rows if labels is None else labelled(rows, read_labels(labels))


def describe(found: Reliability) -> list[str]:
    """One line a fact; nothing about what the data does not hold."""
    return [
        *_counts(found),
        *_against(found),
        *_habits(found),
        *_corrected(found),
        *(f"! {text}" for text in found.warnings),
    ]


def describe_agreement(found: Agreement) -> list[str]:
    """The judge against one reference."""
    reference = _REFERENCES.get(found.reference, found.reference)
    lines = [
        f"against {reference}: agreement {_percent(found.agreed / found.n)} ({found.agreed} of {found.n}), "
        f"kappa {_value(found.kappa, found.kappa_interval)}, AC1 {_value(found.ac1, found.ac1_interval)}"
    ]
    counts = found.confusion
    if counts is not None:
        leaning = "" if counts.leaning is None else f"; leaning p = {counts.leaning:.3g}"
        lines += [
            f"  both right {counts.both_right}, only the judge {counts.judge_only}, "
            f"only the reference {counts.reference_only}, both wrong {counts.both_wrong}{leaning}",
            f"  of what is right it accepts {_percent(counts.sensitivity)}, of what is wrong it refuses "
            f"{_percent(counts.specificity)}",
        ]
    return lines


def describe_disagreements(rows: Sequence[Judged], most: int = 20) -> str:
    """The first `most` calls on which the judge is contradicted, with what one needs to decide who is right.

    Samples that share a call are read once.
    """
    calls: dict[Hashable, list[Judged]] = {}
    for row in rows:
        calls.setdefault((row.key or (row.question, row.seed), row.label), []).append(row)
    blocks = [_block(shared) for shared in list(calls.values())[:most]]
    left = len(rows) - sum(map(len, list(calls.values())[:most]))
    if left:
        blocks.append(f"... and {left} more sample{'s' * (left > 1)}")
    return "\n\n".join(blocks) if blocks else "The judge is contradicted nowhere."


def _block(shared: Sequence[Judged]) -> str:
    """The samples of one call."""
    row = shared[0]
    reference = row.label if row.label is not None else float(bool(row.symbolic))
    name = "label" if row.label is not None else "symbolic"
    judgement = row.judgement.strip() or "(no text kept)"
    who = "; ".join(f"{question} {_seeds(seeds)}" for question, seeds in _by_question(shared).items())
    return "\n".join(
        [
            f"{who}: judge {row.value:g}, {name} {reference:g}",
            f"  problem    {_short(row.problem, 300)}",
            f"  expected   {_short(row.expected, 200)}",
            f"  predicted  {_short(row.predicted, 200)}",
            f"  judgement  {_short(judgement, 400)}",
        ]
    )


def _by_question(rows: Sequence[Judged]) -> dict[str, list[int | None]]:
    found: dict[str, list[int | None]] = {}
    for row in rows:
        found.setdefault(row.question, []).append(row.seed)
    return found


def _seeds(seeds: Sequence[int | None]) -> str:
    named = ["greedy" if seed is None else str(seed) for seed in seeds]
    return f"seed{'s' * (len(named) > 1)} {', '.join(named)}"


def _counts(found: Reliability) -> Iterator[str]:
    free = sum(count for source, count in found.sources.items() if source != "model")
    asked = found.sources.get("model", 0)
    details = ", ".join(f"{count} {source}" for source, count in sorted(found.sources.items()) if source != "model")
    yield f"judged by the model: {asked} of {found.samples} samples; without a call: {free}" + (
        f" ({details})" if free else ""
    )
    if found.missing:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.reasons.items()))
        bounds = "" if found.bounds is None else f"; score {_range(found.bounds)}, if all were wrong to if all were right"
        yield f"missing: {found.missing} ({reasons}){bounds}"


def _against(found: Reliability) -> Iterator[str]:
    for agreement in found.agreements:
        yield from describe_agreement(agreement)
    if found.ratings is not None:
        kappa = _value(found.ratings.kappa, found.ratings.kappa_interval)
        yield (
            f"against human ratings: {found.ratings.n} samples, equal {_percent(found.ratings.equal)}, "
            f"within one {_percent(found.ratings.within_one)}, weighted kappa {kappa}"
        )


def _habits(found: Reliability) -> Iterator[str]:
    if found.flips is not None:
        flips = found.flips
        alpha = f", alpha {flips.alpha:.3f}" if flips.alpha is not None else ""
        share = f"{_percent(flips.rate)} ({_range(flips.interval)})"
        yield f"asked again, {flips.flipped} of {flips.calls} calls changed: {share}{alpha}"
    if found.swap is not None:
        swap = found.swap
        yield (
            f"both orders agree on {swap.consistent} of {swap.pairs} pairs: {_percent(swap.consistent / swap.pairs)} "
            f"({_range(swap.interval)}); of the others {swap.first} prefer the first answer, {swap.second} the second"
        )
    if found.length is not None:
        slope = found.length
        held = " at equal correctness" if slope.matched else ""
        low, high = slope.interval
        yield f"an answer twice as long scores {slope.per_doubling:+.4f} ({low:+.4f} to {high:+.4f}){held}"


def _corrected(found: Reliability) -> Iterator[str]:
    for item in found.corrected:
        yield (
            f"corrected by {item.labels} labels ({item.method}): {item.score:.4f} ± {item.se:.4f} "
            f"({item.interval[0]:.4f} to {item.interval[1]:.4f}), of the samples judged by the model"
        )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"


def _range(bounds: Interval) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _value(value: float | None, bounds: Interval | None) -> str:
    if value is None:
        return "- (not defined: nothing varies)"
    return f"{value:.3f}" + ("" if bounds is None else f" ({bounds[0]:.3f} to {bounds[1]:.3f})")


def _short(text: str, characters: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= characters else f"{flat[: characters - 1]}…"
