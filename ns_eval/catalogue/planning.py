"""The plan as text: what is asked and what it may cost, what is skipped and why; and plan.json, for the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ns_eval import runs
from ns_eval.catalogue.estimate import Estimate, estimate, observed, summed
from ns_eval.catalogue.selection import Selection
from ns_eval.files import write_text
from ns_eval.options import EvalConfig
from ns_eval.runs import BenchmarkRun

_HEAD = ("benchmark", "questions", "seeds", "requests", "prompt tokens", "answer tokens", "hours", "US$")


def text(config: EvalConfig, found: Sequence[BenchmarkRun], selection: Selection) -> str:
    """What `--plan` prints. Tokens after `~` are guessed from characters; `?`: nobody has asked these questions yet."""
    earlier = [Path(folder) for folder in config.pilot or [config.output_dir]]
    places = min(config.max_concurrent_requests, config.server.max_num_seqs or config.max_concurrent_requests)
    rows: list[tuple[str, ...]] = [_HEAD]
    costs, guessed = [], False
    for run in found:
        seen = observed(earlier, run.name)
        cost = estimate(runs.questions_of(run), len(run.seeds), seen, places=places, price=config.price)
        costs.append(cost)
        guessed |= seen is None
        asked = f"{run.rows}" if run.upstream_rows is None else f"{run.rows} of {run.upstream_rows}"
        rows.append((run.name, asked, str(len(run.seeds)), *_cells(cost, seen is None)))
    if len(found) > 1:
        rows.append(("all", "", "", *_cells(summed(costs), guessed)))
    lines = [f"{config.model} on {config.server_type}: {len(found)} benchmarks, {len(selection.skipped)} skipped"]
    lines += _grid(rows)
    if guessed:
        lines.append("? not known: ask a few (--samples=5 --output_dir=PILOT), then --pilot=PILOT estimates the rest")
    lines += skipped_lines(selection)
    return "\n".join(lines)


def skipped_lines(selection: Selection) -> list[str]:
    """Each benchmark that is not asked, with its reason."""
    width = max((len(item.name) for item in selection.skipped), default=0)
    return [f"skipped  {item.name:<{width}}  [{item.status}] {item.reason}" for item in selection.skipped]


def save(folder: Path, found: Sequence[BenchmarkRun], selection: Selection) -> None:
    """plan.json: what the report needs to say what was asked and what was not."""
    plan = {
        "categories": list(selection.categories),
        "benchmarks": {run.name: {"questions": run.rows, "of": run.upstream_rows, "drawn": run.drawn} for run in found},
        "skipped": [{"name": item.name, "status": item.status, "reason": item.reason} for item in selection.skipped],
    }
    write_text(folder / "plan.json", json.dumps(plan, indent=1) + "\n")


def _cells(cost: Estimate, guessed: bool) -> tuple[str, ...]:
    prompt = f"{'~' if guessed else ''}{cost.prompt_tokens:,.0f}"
    answers, dollars = _number(cost.answer_tokens, ",.0f"), _number(cost.dollars, ".2f")
    return f"{cost.requests:,}", prompt, answers, _hours(cost.hours), dollars


def _hours(hours: float | None) -> str:
    if hours is None:
        return "?"
    return f"{hours:.1f}" if hours >= 0.1 else "< 0.1"


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def _grid(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    first = [f"{row[0]:<{widths[0]}}" for row in rows]
    rest = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)) for row in rows]
    return [f"{name}  {cells}".rstrip() for name, cells in zip(first, rest, strict=True)]
