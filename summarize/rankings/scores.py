"""`ns scores` and `ns evals`: source 002's commands over run folders and dataset files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ns_eval.errors import UsageError, suggest
from ns_eval.files import write_text
from ns_eval.schema import positional
from summarize.coverage import coverage
from summarize.questions import samples
from summarize.rankings import cells, pareto
from summarize.rankings.evaluations import Evaluation, described, load
from summarize.rankings.filters import chosen, in_groups, searched
from summarize.rankings.grid import Choice, Grid, grid
from summarize.rankings.pareto import COSTS
from summarize.rankings.scoring import How, Ranked, Scored, TaskScore, rank
from summarize.rankings.warnings import warnings
from summarize.results import load_scores

_FORMATS = {"md": "md", "markdown": "md", "json": "json", "png": "png", "csv": "csv", "html": "html"}
_SORTS = ("score", "score_token", "name")


@dataclass
class EvalsConfig:
    """List evaluations: their ids, groups, samples and coverage.

    Examples:
        ns evals runs/*
        ns evals data/dataset.json --search "gpt-4"
        ns evals data/dataset.json --groups size:small,family:llama --format json
    """

    data: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, globs of them, or one dataset file (.json, .yaml)."""
    search: str | None = None
    """Only those whose label, model or id hold every word, whatever its case; best first."""
    groups: list[str] = field(default_factory=list)
    """Only those in these groups: one of each facet that is named."""
    format: str = "table"
    """table, json or markdown."""


@dataclass
class ScoresConfig:
    """Rank evaluations by ReasonScore, per tier and task, with score per token.

    Examples:
        ns scores runs/* --output scores.md
        ns scores data/dataset.json --filters '{"groups": ["size:large"]}' --format png --output scores.png
        ns scores runs/* --tier_by=quantiles --sort=score_token --show-token-counts
    """

    data: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, globs of them, or one dataset file (.json, .yaml)."""
    filters: str | None = None
    """JSON: {"groups": [...], "eval_id": [...]}. One of each facet that is named; nested lists: all of one of them."""
    tasks: list[str] = field(default_factory=list)
    """Only these benchmarks."""
    tiers: list[str] = field(default_factory=list)
    """Only these tiers."""
    tier_by: str = "rows"
    """rows (what the question files or the dataset file say), quantiles (thirds by difficulty), or a file of conf/tier."""
    score: str | None = None
    """Which score: symbolic_correct, judge_correct, … Default: the first one."""
    sort: str | None = None
    """score, score_token or name. Default: score, for a picture score_token."""
    format: str | None = None
    """md, json, png, csv or html. Default: what the name of --output says, else md."""
    output: str | None = None
    """Write into this file instead of the terminal; a picture needs one."""
    show_token_counts: bool = False
    """Add the mean tokens of each task."""
    show_groups: bool = False
    """Add groups and the share of samples without an answer."""
    score_bound: str = "upper"
    """upper (the source's rule), center or lower end of each task's interval."""
    score_version: int = 1
    """1, or 2: no tiers, cut answers are wrong ones."""
    overall: str = "geometric"
    """geometric or arithmetic mean of the tiers."""
    draws: int = 2000
    """Draws of the bootstrap behind the intervals; 0: none."""
    level: float = 0.95
    """The confidence level of the intervals."""
    seed: int = 0
    """Of the bootstrap."""
    strict: bool = False
    """Refuse a task whose questions differ between evaluations, instead of leaving it out."""
    safe_colors: bool = False
    """A picture for colour-blind readers: dark violet to bright yellow instead of red to green."""
    pareto: bool = False
    """Add tables of accuracy against tokens, latency, price and parameters, those marked that nobody beats in both."""
    plot: str | None = None
    """Draw those tables into this file (.png, .svg)."""


def evals(config: EvalsConfig) -> int:
    """Prints the listing; a search without a hit is no error."""
    if config.format not in ("table", "json", "markdown"):
        raise UsageError(f"--format={config.format}: {suggest(config.format, ('table', 'json', 'markdown'))}")
    found = list(load(config.data).evaluations)
    found = in_groups(found, config.groups) if config.groups else found
    if config.search is not None:
        found = searched(found, config.search)
    listed = [described(item) | _coverage(item) for item in found]
    if config.format == "json":
        print(_json(listed))
        return 0
    if not found:
        print(f"no evaluation holds `{config.search}`" if config.search is not None else "no evaluation is in these groups")
        return 0
    lines = [["eval_id", "hash", "label", "groups", "samples", "coverage"]]
    lines += [
        [
            str(item["eval_id"]),
            item["eval_hash"],
            item["label"],
            " ".join(item["groups"]) or "—",
            str(item["samples"]),
            f"{100 * item['coverage']:.1f}%",
        ]
        for item in listed
    ]
    print(cells.pipes(lines) if config.format == "markdown" else _plain(lines), end="")
    return 0


def scores(config: ScoresConfig) -> int:
    """Prints or writes the ranking."""
    kind = _check(config)
    dataset = load(config.data)
    kept = chosen(dataset.evaluations, config.filters)
    choice = Choice(tuple(config.tasks), tuple(config.tiers), config.tier_by, config.score, config.strict)
    found = grid(dataset, choice).only(kept)
    how = How(config.score_bound, config.score_version, config.overall, config.draws, config.level, config.seed)
    ranked = _sorted(rank(found, how), config.sort or ("score_token" if kind == "png" else "score"))
    if kind == "png":
        from summarize.rankings.heat import draw

        draw(Path(config.output or ""), ranked, found.tasks, safe=config.safe_colors)
        print(f"The picture is {config.output}")
    else:
        _deliver(_text(kind, config, found, ranked), config.output)
    if config.plot is not None:
        pareto.draw(Path(config.plot), ranked)
        print(f"The picture is {config.plot}")
    return 0


def _check(config: ScoresConfig) -> str:
    """The format, which the name of the output may say."""
    ending = Path(config.output or "").suffix.removeprefix(".")
    asked = config.format or (ending if ending in _FORMATS else "md")
    for name, value, known in (
        ("format", asked, tuple(_FORMATS)),
        ("sort", config.sort or "score", _SORTS),
        ("score_bound", config.score_bound, ("upper", "center", "lower")),
        ("overall", config.overall, ("geometric", "arithmetic")),
    ):
        if value not in known:
            raise UsageError(f"--{name}={value}: {suggest(value, known)}")
    if config.score_version not in (1, 2):
        raise UsageError(f"--score_version={config.score_version}: expected 1 or 2")
    if config.draws < 0:
        raise UsageError(f"--draws={config.draws}: expected 0 (no intervals) or more, such as 2000")
    if not 0 < config.level < 1:
        raise UsageError(f"--level={config.level}: expected a share between 0 and 1, such as 0.95")
    if asked == "png" and config.output is None:
        raise UsageError("--format png needs a file", hint="--output scores.png")
    return _FORMATS[asked]


def _sorted(ranked: Sequence[Ranked], by: str) -> list[Ranked]:
    """Best first; equal ones by name, unknown ones last."""

    def value(item: Ranked) -> float:
        own = item.overall.reasonscore if by == "score" else item.overall.score_token
        return float("inf") if own is None else -own

    return sorted(
        ranked, key=lambda item: (0.0 if by == "name" else value(item), item.evaluation.label, item.evaluation.eval_id)
    )


def _text(kind: str, config: ScoresConfig, found: Grid, ranked: Sequence[Ranked]) -> str:
    if kind == "json":
        return _json([as_record(item) for item in ranked]) + "\n"
    if kind == "csv":
        return cells.as_csv(ranked)
    main = cells.table(ranked, found.tasks, tokens=config.show_token_counts, groups=config.show_groups)
    beyond = cells.ranks(ranked, config.level)
    notes = warnings(found, ranked)
    fronts = {cost: lines for cost in COSTS if (lines := pareto.lines(ranked, cost))} if config.pareto else {}
    if kind == "html":
        return cells.as_html("Scores", [("ReasonScore", main), ("Ranks", beyond), *fronts.items()], notes)
    drawn = f"; intervals: bootstrap over questions and samples, {config.draws:,} draws, seed {config.seed}"
    notes.insert(0, f"accuracy counts cut answers as wrong{drawn if config.draws else ''}")
    tables = [main, beyond, *fronts.values()]
    return "\n".join(cells.pipes(table) for table in tables) + "\n" + "".join(f"- {note}\n" for note in notes)


def as_record(item: Ranked) -> dict[str, Any]:
    """One evaluation of the JSON: source 002's fields, then ours. Numbers only; what is not known is null or absent."""
    own = item.evaluation
    return {
        "eval_id": own.eval_id,
        "model": own.label,
        **_scored(item.overall),
        "tiers": {
            tier: _scored(scored) | {"tasks": {task: _task(one) for task, one in item.tasks[tier].items()}}
            for tier, scored in item.tiers.items()
        },
        "eval_hash": own.eval_hash,
        "groups": list(own.groups),
        "tags": list(own.tags),
        "hf_id": own.hf_id,
    }


def _scored(scored: Scored) -> dict[str, Any]:
    # Not `asdict`: it copies every number of thousands of cells with `deepcopy`.
    return {name: getattr(scored, name) for name in Scored.__slots__}


def _task(task: TaskScore) -> dict[str, Any]:
    found = {name: getattr(task, name) for name in TaskScore.__slots__}
    skill = found.pop("skill") or (None, None)
    return found | {"skill_low": skill[0], "skill_high": skill[1]}


def _coverage(item: Evaluation) -> dict[str, Any]:
    graded = expected = ended = 0
    for found in item.benchmarks:
        own = load_scores(found.folder)
        covered = coverage(samples(own), own.meta, whole=True)
        graded, expected, ended = graded + covered.graded, expected + covered.expected, ended + covered.graded
    return {
        "benchmarks": [found.name for found in item.benchmarks],
        "samples": ended,
        "coverage": graded / expected if expected else 0.0,
    }


def _plain(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _deliver(text: str, output: str | None) -> None:
    if output is None:
        print(text, end="")
        return
    try:
        write_text(Path(output), text)
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error.strerror}") from error
    print(f"Scores are saved to {output}")
