"""Which tier a question is in: as its row says, as a file of conf/tier says, or by how hard it proved to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ns_eval.errors import DataError, UsageError
from ns_eval.resources import conf_file
from ns_eval.schema import build, load_yaml
from summarize.rankings.points import Points, distinct

EVERY = "all"
_ORDER = ("easy", "medium", "hard")


@dataclass
class TierConfig:
    """Which benchmark or subset is which tier. conf/tier/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line."""
    tiers: list[str] = field(default_factory=lambda: list(_ORDER))
    """The tiers, easiest first."""
    benchmarks: dict[str, Any] = field(default_factory=dict)
    """Benchmark -> its tier, or subset -> tier. None named: the tiers of the rows."""


def read(name: str, given: Mapping[str, Any]) -> TierConfig | None:
    """The tiers of a name; None for `quantiles`. What a dataset file says stands before `rows`."""
    if name == "quantiles":
        return None
    if name == "rows" and given:
        return TierConfig("dataset", "", [*_ORDER], dict(given))
    path = conf_file("tier", name)
    config = build(TierConfig, load_yaml(path), str(path))
    if not config.tiers:
        raise UsageError(f"{path}: `tiers` is empty", hint="tiers: [easy, medium, hard]")
    return config


def of_task(task: str, parts: Sequence[Points], config: TierConfig | None) -> dict[tuple[str, int], str]:
    """The tier of every question that any evaluation answered.

    Raises:
        DataError: evaluations whose rows put one question into two tiers; a benchmark or subset that the file does not name.
    """
    if config is None:
        return _by_difficulty(parts)
    found: dict[tuple[str, int], str] = {}
    for questions in distinct(parts):
        for key, tier, subset in zip(questions.keys, questions.tiers, questions.subsets, strict=True):
            own = _named(task, subset, config) if config.benchmarks else _of_row(tier, subset, config.tiers)
            if found.setdefault(key, own) != own:
                raise DataError(f"{task}: one question is `{found[key]}` in one evaluation and `{own}` in another")
    return found


def order(tiers: Sequence[str], config: TierConfig | None) -> list[str]:
    """Easiest first, then those that no file orders."""
    known = list(_ORDER) if config is None else config.tiers
    return [*(tier for tier in known if tier in tiers), *sorted({*tiers} - {*known})]


def _of_row(tier: str | None, subset: str | None, known: Sequence[str]) -> str:
    if tier is not None:
        return tier
    return subset if subset is not None and subset in known else EVERY


def _named(task: str, subset: str | None, config: TierConfig) -> str:
    said = config.benchmarks.get(task)
    if isinstance(said, Mapping):
        said = said.get(subset)
    if not isinstance(said, str):
        place = f"`{task}`" if subset is None or task not in config.benchmarks else f"subset `{subset}` of `{task}`"
        raise DataError(
            f"tier file `{config.name}` does not say which tier {place} is",
            hint="add it there, or leave the task out with --tasks",
        )
    return said


def _by_difficulty(parts: Sequence[Points]) -> dict[tuple[str, int], str]:
    """Thirds of the questions by the mean score of all evaluations; cut answers are wrong ones."""
    right: dict[tuple[str, int], list[float]] = {}
    for part in parts:
        total = part.graded + part.truncated
        for at in np.flatnonzero(total):
            right.setdefault(part.questions.keys[at], []).append(float(part.right[at] / total[at]))
    easiest = sorted(right, key=lambda key: (-float(np.mean(right[key])), key))
    return {key: _ORDER[3 * place // len(easiest)] for place, key in enumerate(easiest)}
