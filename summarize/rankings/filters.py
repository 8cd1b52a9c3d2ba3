"""Which evaluations of a dataset: by group, by id, by words."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from ns_eval.errors import UsageError, suggest
from summarize.rankings.evaluations import Evaluation

_FACETS = ("groups", "eval_id")
_EXAMPLE = """--filters '{"groups": ["size:large"]}' or '{"eval_id": [0, 3]}'"""


def chosen(evaluations: Sequence[Evaluation], filters: str | None) -> list[Evaluation]:
    """Those that a `--filters` text keeps: all of its facets must agree.

    Raises:
        UsageError: no JSON, an unknown facet, group or id (with the nearest), nothing left.
    """
    if filters is None:
        return list(evaluations)
    asked = _parsed(filters)
    kept = list(evaluations)
    if "groups" in asked:
        kept = in_groups(evaluations, asked["groups"])
    if "eval_id" in asked:
        wanted = _by_id(evaluations, asked["eval_id"])
        kept = [item for item in kept if item in wanted]
    if not kept:
        raise UsageError(
            f"--filters={filters}: none of the {len(evaluations)} evaluations agrees", hint="ns evals lists them"
        )
    return kept


def _parsed(filters: str) -> dict[str, Any]:
    try:
        asked = json.loads(filters)
    except ValueError as error:
        raise UsageError(f"--filters is not JSON: {error}", hint=_EXAMPLE) from error
    if not isinstance(asked, dict):
        raise UsageError(f"--filters: expected an object, found {type(asked).__name__}", hint=_EXAMPLE)
    for facet in asked:
        if facet not in _FACETS:
            raise UsageError(f"--filters: unknown key `{facet}`, {suggest(facet, _FACETS)}", hint=_EXAMPLE)
    return asked


def in_groups(evaluations: Sequence[Evaluation], asked: Any) -> list[Evaluation]:
    """Those in the groups. In a flat list: any value of each facet, all facets; nested lists: all of one of them.

    ["family:qwen", "size:medium", "size:large"] is a Qwen of either size; [["family:qwen", "size:large"], ["family:llama"]]
    is a large Qwen, or any Llama.
    """
    _check_groups(evaluations, asked)
    if any(isinstance(item, list) for item in asked):
        return [item for item in evaluations if any(set(one) <= set(item.groups) for one in asked)]
    facets: dict[str, set[str]] = {}
    for group in asked:
        facets.setdefault(group.partition(":")[0], set()).add(group)
    return [item for item in evaluations if all(values & set(item.groups) for values in facets.values())]


def _check_groups(evaluations: Sequence[Evaluation], asked: Any) -> None:
    flat = isinstance(asked, list) and all(isinstance(item, str) for item in asked)
    nested = isinstance(asked, list) and all(
        isinstance(item, list) and all(isinstance(group, str) for group in item) for item in asked
    )
    if not (flat or nested) or not asked:
        raise UsageError("groups: expected a list of facet:value, or a list of such lists", hint=_EXAMPLE)
    known = {group for item in evaluations for group in item.groups}
    for group in asked if flat else [group for item in asked for group in item]:
        if group not in known:
            facets = {name.partition(":")[0] for name in known}
            facet = group.partition(":")[0]
            if ":" in group and facet not in facets:
                raise UsageError(
                    f"unknown facet `{facet}` in `{group}`, {suggest(facet, facets)}", hint="ns evals lists groups"
                )
            raise UsageError(
                f"no evaluation is in the group `{group}`, {suggest(group, known)}", hint="ns evals lists groups"
            )


def _by_id(evaluations: Sequence[Evaluation], asked: Any) -> list[Evaluation]:
    if not isinstance(asked, list) or not all(isinstance(item, str | int) and not isinstance(item, bool) for item in asked):
        raise UsageError("eval_id: expected a list of numbers or hashes", hint=_EXAMPLE)
    named: dict[int | str, Evaluation] = {}
    for item in evaluations:
        named |= {item.eval_id: item, item.eval_hash: item}
    for one in asked:
        if one not in named:
            near = (
                sorted((item.eval_id for item in evaluations), key=lambda number: abs(number - one))[:3]
                if isinstance(one, int)
                else []
            )
            told = (
                "nearest: " + ", ".join(map(str, near))
                if near
                else suggest(str(one), [item.eval_hash for item in evaluations])
            )
            raise UsageError(f"no evaluation has the eval_id {one}, {told}", hint="ns evals lists them")
    return [named[one] for one in asked]


def searched(evaluations: Sequence[Evaluation], text: str) -> list[Evaluation]:
    """Those whose label, model or ids hold every word of the text, whatever its case and punctuation; best first."""
    words = [_plain(word) for word in text.split()]
    found = []
    for item in evaluations:
        where = [_plain(name) for name in (item.label, item.model, item.hf_id or "", item.eval_hash, str(item.eval_id))]
        if all(any(word in name for name in where) for word in words):
            near = max(difflib.SequenceMatcher(None, "".join(words), name).ratio() for name in where[:2])
            found.append((-near, item.eval_id, item))
    return [item for *_, item in sorted(found, key=lambda one: one[:2])]


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
