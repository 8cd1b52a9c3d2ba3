"""`ns category_report`: the score of a category with its datasets beside it, what was skipped, and what the answers cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ns_eval import benchmarks, models
from ns_eval.catalogue import entries
from ns_eval.catalogue.schema import CategoryConfig, MetricConfig
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.manifest import read
from ns_eval.schema import positional
from ns_eval.scores.columns import floats
from summarize.discover import discover
from summarize.efficiency import Cost, pareto_lines
from summarize.primary import Value, corrected, macro, primary, value_of
from summarize.questions import samples
from summarize.results import load_scores, run_labels
from summarize.tables import Options, Table, tables


@dataclass
class CategoryReportConfig:
    """Print the score of each category of one or more runs: the mean of its benchmarks' primary metrics over guessing.

    Examples:
        ns category_report out
        ns category_report out-a out-b --category=biomedical_specialists
        ns category_report out --format=json
    """

    results_dirs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders."""
    category: list[str] = field(default_factory=list)
    """Only these. Default: those that the run was asked for, else every one of which it has a benchmark."""
    format: str = "text"
    """text or json."""


@dataclass(frozen=True, slots=True)
class Line:
    """One benchmark of a run: its primary metric as it is, and with guessing taken out."""

    benchmark: str
    questions: int
    of: int | None
    samples: int
    chance: float | None
    found: Value
    over_chance: Value
    coverage: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder: its benchmarks, what was skipped in it, what its answers cost."""

    label: str
    model: str
    tables: Mapping[str, Table]
    lines: Mapping[str, Line]
    skipped: tuple[tuple[str, str, str], ...]
    categories: tuple[str, ...]
    cost: Cost


def main(config: CategoryReportConfig) -> int:
    """Prints the report.

    Raises:
        UsageError: an unknown category or format.
        DataError: no results, or none of the category.
    """
    if not config.results_dirs:
        raise UsageError("which results?", hint="ns category_report OUTPUT_DIR")
    if config.format not in ("text", "json"):
        raise UsageError(f"--format={config.format}: {suggest(config.format, ('text', 'json'))}")
    paths = [Path(path) for path in config.results_dirs]
    found = [_run(label, path) for label, path in zip(run_labels(paths), paths, strict=True)]
    chosen = _categories(config, found)
    if config.format == "json":
        print(json.dumps({run.label: {item.name: _as_json(run, item) for item in chosen} for run in found}, indent=2))
        return 0
    for run in found:
        print("\n".join(_text(run, chosen)))
    print("\n".join(pareto_lines([_with_accuracy(run, chosen) for run in found])))
    return 0


def _run(label: str, path: Path) -> Run:
    results = discover(path)
    made: dict[str, Table] = {}
    lines: dict[str, Line] = {}
    seconds, tokens = [], []
    for item in results.benchmarks:
        try:
            benchmark = benchmarks.find(item.name)
        except UsageError:
            continue  # a benchmark of another house: `ns summarize_results` prints it
        scores = load_scores(item.folder)
        whole, *parts = tables(benchmark.name, samples(scores), scores.meta, Options())
        made |= {benchmark.name: whole, **{part.name: part for part in parts}}
        lines[benchmark.name] = _line(made[benchmark.name], benchmark)
        seconds.append(floats(scores.table["seconds"]))
        tokens.append(floats(scores.table["completion_tokens"]))
    plan = _plan(path)
    skipped = tuple((item["name"], item["status"], item["reason"]) for item in plan.get("skipped", []))
    model = _model(path)
    entry = models.find(model)
    size = None if entry is None else entry.parameters
    active = None if entry is None else entry.active_parameters
    cost = Cost.of(label, np.concatenate(seconds or [np.zeros(0)]), np.concatenate(tokens or [np.zeros(0)]), size, active)
    return Run(label, model, made, lines, skipped, tuple(plan.get("categories", [])), cost)


def _line(table: Table, benchmark: BenchmarkConfig) -> Line:
    found = primary(table, benchmark)
    covered = table.coverage
    over = corrected(found, entries.primary_metric(benchmark), benchmark.chance)
    return Line(
        benchmark.name,
        covered.questions,
        covered.upstream_questions,
        covered.samples,
        benchmark.chance,
        found,
        over,
        covered.share,
    )


def _plan(path: Path) -> dict[str, Any]:
    file = path / "plan.json"
    if not file.is_file():
        return {}
    try:
        plan: dict[str, Any] = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error})", hint=f"it only names what was skipped: rm {file}") from error
    return plan


def _model(path: Path) -> str:
    try:
        commands = read(path).commands
    except DataError:
        return ""
    return str(commands[-1].config.get("model", "")) if commands else ""


def _categories(config: CategoryReportConfig, found: Sequence[Run]) -> list[CategoryConfig]:
    asked = config.category or list(dict.fromkeys(name for run in found for name in run.categories))
    chosen = [entries.category(name) for name in asked] or entries.categories()
    there = {name for run in found for name in (*run.lines, *(item[0] for item in run.skipped))}
    kept = [item for item in chosen if there & _names(item)]
    if not kept:
        raise DataError("no benchmark of a category has results here", hint="ns summarize_results prints what there is")
    return kept


def _names(category: CategoryConfig) -> set[str]:
    return {item.name for item in entries.benchmarks_of([category])}


def _score(run: Run, category: CategoryConfig) -> tuple[Value, list[Line]]:
    lines = [run.lines[item.name] for item in entries.benchmarks_of([category]) if item.name in run.lines]
    return macro([line.over_chance for line in lines]), lines


def _with_accuracy(run: Run, chosen: Sequence[CategoryConfig]) -> Cost:
    """What the answers cost, beside the mean over all benchmarks of the categories, each once."""
    names = dict.fromkeys(line.benchmark for item in chosen for line in _score(run, item)[1])
    return run.cost.with_accuracy(macro([run.lines[name].over_chance for name in names]).value)


def _text(run: Run, chosen: Sequence[CategoryConfig]) -> list[str]:
    title = f"{run.label}: {run.model}" if run.model else run.label
    found = [f" {title} ".center(100, "-")]
    for category in chosen:
        score, lines = _score(run, category)
        counted = sum(line.over_chance.value is not None for line in lines)
        found += ["", f"{category.name}: {_shown(score)} over guessing, mean of {counted} benchmarks"]
        found += _grid([_HEAD, *(_cells(line) for line in lines)]) if lines else []
        found += [f"  {line}" for line in _metric_lines(run, category)]
        inside = _names(category)
        found += [f"  skipped {name} [{status}]: {why}" for name, status, why in run.skipped if name in inside]
    return found


_HEAD = ("  benchmark", "metric", "questions", "seeds", "value, 95 %", "chance", "over guessing", "graded")


def _cells(line: Line) -> tuple[str, ...]:
    asked = f"{line.questions}" if line.of in (None, line.questions) else f"{line.questions} of {line.of}"
    metric = entries.primary_metric(benchmarks.find(line.benchmark))
    value = _shown(line.found, metric) if line.found.missing is None else "not known"
    over = "" if line.over_chance.value is None else f"{100 * line.over_chance.value:.1f}"
    chance = "" if line.chance is None else f"{100 * line.chance:.1f}"
    graded = f"{100 * line.coverage:.0f}%"
    return f"  {line.benchmark}", line.found.metric, asked, str(line.samples), value, chance, over, graded


def _metric_lines(run: Run, category: CategoryConfig) -> list[str]:
    """Each metric that the category names: its mean over the benchmarks that have it, or why there is none."""
    found = []
    for name in category.evaluation_config.metrics:
        value = metric_of(run, category, name)
        found.append(f"{name}: {value.missing}" if value.value is None else f"{name}: {_shown(value, entries.metric(name))}")
    return found


def metric_of(run: Run, category: CategoryConfig, name: str) -> Value:
    """A metric over the benchmarks of a category that have it."""
    metric = entries.metric(name)
    if metric.statistic in ("none", "table"):
        return Value(name, missing=metric.reason or "see the table of what the answers cost")
    k = int(name.rpartition("_")[2]) if name.startswith("pass_at_") and name[8:].isdecimal() else 1
    values = []
    for item in entries.benchmarks_of([category]):
        table = run.tables.get(f"{item.name}-{metric.subset}" if metric.subset else item.name)
        if table is not None and _measures(metric, item):
            values.append(value_of(table, item, metric, k))
    known = macro([item for item in values if item.value is not None])
    if known.value is not None:
        return known
    reasons = dict.fromkeys(item.missing for item in values if item.missing)
    return Value(name, missing="; ".join(reasons) or metric.reason or "no benchmark that ran measures it")


def _measures(metric: MetricConfig, benchmark: BenchmarkConfig) -> bool:
    """Whether a benchmark's results can hold a metric: it is its primary one, or reads a column of its own."""
    own = entries.primary_metric(benchmark)
    if metric.statistic == "gap":
        return benchmark.judge == "bias"
    if metric.subset:
        return own.column == metric.column
    return own.name == metric.name or metric.column.startswith("score_") or metric.column == f"{benchmark.judge}_correct"


def _shown(found: Value, metric: MetricConfig | None = None) -> str:
    """In per cent; a rating on its own scale, which is said."""
    if found.value is None:
        return f"none ({found.missing})"
    if metric is not None and metric.statistic == "rubric":
        ends = "" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
        return f"{found.value:.2f}{ends} of {metric.low:g} to {metric.high:g}"
    ends = "" if found.low is None or found.high is None else f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return f"{100 * found.value:.1f}{ends}"


def _grid(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _as_json(run: Run, category: CategoryConfig) -> dict[str, Any]:
    score, lines = _score(run, category)
    return {
        "score": asdict(score),
        "benchmarks": {line.benchmark: asdict(line) for line in lines},
        "metrics": {name: asdict(metric_of(run, category, name)) for name in category.evaluation_config.metrics},
        "skipped": [item for item in run.skipped if item[0] in _names(category)],
        "cost": asdict(_with_accuracy(run, [category])),
    }
