"""What a reader of a ranking must know: where the compared numbers were not made alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from summarize.rankings.evaluations import Evaluation
from summarize.rankings.grid import Grid
from summarize.rankings.scoring import Ranked


def warnings(found: Grid, ranked: Sequence[Ranked]) -> list[str]:
    """The grid's own notes (tasks left out, guessed chance levels), then what differs between the evaluations shown."""
    return [*found.notes, *_counts(ranked), *_budgets(found)]


def _counts(ranked: Sequence[Ranked]) -> Iterator[str]:
    """Adding the margin rewards few samples: 4 of 8 right scores .78."""
    for tier in ranked[0].tiers if ranked else ():
        for task in dict.fromkeys(task for item in ranked for task in item.tasks[tier]):
            totals = {
                item.evaluation.label: item.tasks[tier][task].total + item.tasks[tier][task].truncated
                for item in ranked
                if task in item.tasks[tier]
            }
            least, most = min(totals, key=lambda name: totals[name]), max(totals, key=lambda name: totals[name])
            if totals[most] > 2 * totals[least]:
                yield (
                    f"{task} ({tier}): {least} has {totals[least]} samples, {most} {totals[most]}: the margin that is added "
                    "favours few; --score_bound=center adds none"
                )


def _budgets(found: Grid) -> Iterator[str]:
    for task in found.tasks:
        limits: dict[str, str] = {}
        for item in found.evaluations:
            limit = _budget(item, task)
            if limit is not None:
                limits.setdefault(limit, item.label)
        if len(limits) > 1:
            told = ", ".join(f"{name} {limit}" for limit, name in limits.items())
            yield f"{task}: answers were given different numbers of tokens ({told}): more room, fewer cut answers"


def _budget(item: Evaluation, task: str) -> str | None:
    """The most tokens of an answer in words; None: not recorded."""
    path = next((found.folder / "expected.json" for found in item.benchmarks if found.name == task), None)
    if path is None or not path.is_file():
        return None
    settings = json.loads(path.read_bytes()).get("settings") or {}
    if "inference.tokens_to_generate" not in settings:
        return None
    limit = settings["inference.tokens_to_generate"]
    return "the whole context" if limit is None else str(limit)
