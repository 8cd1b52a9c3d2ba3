"""A plan as a person reads it before anything runs: `--dry_run`, and the lines that announce a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ns_eval import runs
from ns_eval.options import AskConfig
from ns_eval.plan import Plan
from ns_eval.records import Json
from ns_eval.runs import BenchmarkRun
from ns_eval.variants import Variant


def described(found: Plan, config: AskConfig) -> str:
    """The plan and the first request of each benchmark, for `--dry_run`."""
    head = ("benchmark", "split", "questions", "seeds", "samples", "prompt", "judge")
    rows = [head, *(_row(run) for run in found.runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", f"model   {found.model} on {config.server_type}", f"output  {found.output_dir}"]
    if config.adapter:
        lines += [f"        {variant.folder.name}/  {_made(found, variant)}" for variant in found.variants.asked]
    lines += [f"jobs    {len(found.shares)}", *(f"code    {line}" for line in code_lines(found.runs))]
    first = [run for run in found.runs if run.adapter == found.runs[0].adapter]
    lines += [line for run in first for line in _first_request(run)]
    return "\n".join(lines)


def _made(found: Plan, variant: Variant) -> str:
    if not variant.adapter:
        return "the base"
    merge = found.variants.merges.get(variant.adapter)
    how = f"merged into {merge.output_model} first" if merge else "served beside the base"
    return f"adapter {variant.adapter}, {how}"


def _row(run: BenchmarkRun) -> tuple[str, ...]:
    questions = str(run.rows) if run.upstream_rows is None else f"{run.rows} of {run.upstream_rows}"
    seeds = ", ".join([*(["greedy"] if None in run.seeds else []), *_ranges([s for s in run.seeds if s is not None])])
    judge = str(run.judge.get("_target_", "none")).rpartition(".")[2]
    name = f"{run.name} ({run.adapter})" if run.adapter else run.name
    return name, run.split, questions, seeds, str(run.rows * len(run.seeds)), run.prompt.name, judge


def code_lines(found: Sequence[BenchmarkRun]) -> list[str]:
    """What holds for the code that the model writes, one line for each kind of it; nothing where none is run."""
    kinds = {
        f"up to {run.code.config.max_code_executions} executions an answer, "
        f"{run.code.config.code_execution_timeout:g} s each; {run.code.told}": None
        for run in found
        if run.code is not None
    }
    return [*kinds]


def _ranges(seeds: Sequence[int]) -> list[str]:
    return [str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}"] if seeds else []


def _first_request(run: BenchmarkRun) -> list[str]:
    seed = run.seeds[0]
    sampling = run.greedy if seed is None else run.sampling
    asked = runs.request_of(run, runs.questions_of(run)[0], seed)
    parts = [("text", asked.text)] if asked.messages is None else [(m["role"], _readable(m)) for m in asked.messages]
    shown = {item.name: getattr(sampling, item.name) for item in dataclasses.fields(sampling)}
    drawn = ", ".join(f"{name}={value}" for name, value in shown.items() if value not in (None, (), {}))
    lines = ["", f"first request of {run.name}, {'greedy' if seed is None else f'seed {seed}'} ({drawn})"]
    return [*lines, *(f"  {role}: {line}" for role, text in parts for line in str(text).splitlines())]


def _readable(message: Mapping[str, Json]) -> str:
    """The words of a message; a picture is no text for a screen."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] if part["type"] == "text" else "(a picture)" for part in content)
