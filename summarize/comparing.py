"""`ns compare A B [C …]`: paired differences of runs on the same questions, and a gate for nightly jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from ns_eval.errors import DataError, GateError, UsageError, suggest
from ns_eval.schema import positional
from summarize.discover import discover, run_folders
from summarize.intervals import Interval, interval
from summarize.paired import Pair, differences, holm, letters
from summarize.questions import GREEDY, Floats, Integers, Samples, per_question, samples
from summarize.render import amount, grid
from summarize.results import load_scores, run_labels

_MODE = re.compile(r"(?P<kind>pass|majority|maj)@(?P<k>\d+)(?:\[(?:avg-of-)?\d+\])?")


@dataclass
class CompareConfig:
    """Compare runs question by question: difference, interval, p, what could have been found.

    Examples:
        ns compare out-a out-b
        ns compare out-a out-b out-c --benchmarks=aime24,aime25 --metric=majority@64
        ns compare base tuned --subsets                         # each level or domain as well
        ns compare new old --gate=0.02 --junit=compare.xml      # exit code 7 where new is worse
        ns compare out --semantic_similarity_model=sbert        # base against adapter of `ns eval --adapter`
        ns compare data/dataset.json --clusters --by=tier        # which models cannot be told apart
    """

    runs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, or folders of one benchmark each; or one folder of a base and its adapters. Differences are those of the
    earlier minus the later one, but adapter minus base for texts. With --clusters also globs, or a dataset file."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these. Default: all that every run has."""
    metric: str = "pass@1"
    """pass@1 (the mean of all samples), pass@k or majority@k."""
    score: str | None = None
    """Which score: symbolic_correct, judge_correct, score_bleu, … Default: the first one."""
    subsets: bool = False
    """Compare each subset of a benchmark (a level, a domain) as well, in the same family of tests."""
    common: bool = False
    """Compare the questions that all runs have, and say how many are left out; else other questions are refused."""
    level: float = 0.95
    """The confidence level; 1 - level is where a difference counts as found, after Holm."""
    format: str = "text"
    """text, markdown or json."""
    gate: float | None = None
    """The drop of the first run below each other one that is allowed, such as 0.02; beyond it and noise: exit code 7."""
    semantic_similarity_model: str | None = None
    """Of texts, compare their meaning too: sbert, bertscore, or either with :PATH_OR_ID."""
    perplexity: bool = False
    """Of texts, compare too how likely each model holds the references: as its server told (++reference_logprobs=true in ns
    eval), else by transformers."""
    nemo_evaluator: bool = False
    """Of texts, compare too by the metrics of an installed nemo-evaluator."""
    junit: str | None = None
    """Write what the gate decided into this JUnit XML file."""
    clusters: bool = False
    """Instead of pairs print the groups of models that cannot be told apart."""
    by: str = "overall"
    """Clusters of what: overall (the mean over tasks), tier or task."""
    edge: str = "test"
    """Two are not told apart where a paired test finds nothing (test), or where their intervals overlap (overlap)."""
    tier_by: str = "rows"
    """Clusters' tiers: rows, quantiles, or a file of conf/tier."""
    filters: str | None = None
    """Clusters of some evaluations: JSON, as for ns scores."""
    plot: str | None = None
    """Draw the clusters into this file (.png, .svg)."""


@dataclass(frozen=True, slots=True)
class Values:
    """One benchmark in all runs: question values, one array a run, in one order; None in `clusters`: each is its own."""

    benchmark: str
    score: str
    names: tuple[str, ...]
    runs: tuple[Floats, ...]
    clusters: Integers | None
    left_out: int
    rated: bool = False
    scale: tuple[float, float] | None = None


def main(config: CompareConfig) -> int:
    """Prints the comparison.

    Raises:
        DataError: the runs answered different questions, or none in common.
        GateError: the first run is worse than allowed, beyond noise.
    """
    if config.clusters:
        from summarize.rankings.clusters import main as clusters

        _check(config)
        return clusters(config)
    if len(config.runs) == 1:
        config = replace(config, runs=[str(path) for path in run_folders(Path(config.runs[0]))])
    _check(config)
    if config.score is None and config.gate is None:
        from summarize import text_runs

        paths = [Path(run) for run in config.runs]
        if text_runs.are_texts(paths, config.benchmarks):
            text_runs.show(paths, text_runs.extra_of(config), config.benchmarks, config.format)
            return 0
    tables, pairs = found(config)
    print(rendered(config, tables, pairs), end="")
    if config.gate is None:
        return 0
    from summarize.gate import failures, write_junit

    labels = run_labels([Path(run) for run in config.runs])
    failed = failures(pairs, config.gate, config.level, labels)
    if config.junit is not None:
        write_junit(Path(config.junit), pairs, failed, labels, config.gate)
    if failed:
        raise GateError("; ".join(failed.values()), hint="ns compare without --gate shows all differences")
    return 0


def found(config: CompareConfig) -> tuple[list[Values], list[Pair]]:
    """The question values of every benchmark, and all pairs of runs on them.

    Raises:
        UsageError, DataError: see `main`.
    """
    _check(config)
    tables = _values(config, run_labels([Path(run) for run in config.runs]))
    return tables, compared(tables, config.level)


def rendered(config: CompareConfig, tables: Sequence[Values], pairs: Sequence[Pair]) -> str:
    """What is printed of them."""
    labels = run_labels([Path(run) for run in config.runs])
    if config.format == "json":
        return _as_json(config, labels, tables, pairs) + "\n"
    own = {table.benchmark: [pair for pair in pairs if pair.benchmark == table.benchmark] for table in tables}
    return "".join(_text(config, labels, table, own[table.benchmark]) for table in tables)


def _check(config: CompareConfig) -> None:
    for name, value, known in (("by", config.by, ("overall", "tier", "task")), ("edge", config.edge, ("test", "overlap"))):
        if value not in known:
            raise UsageError(f"--{name}={value}: {suggest(value, known)}")
    if config.clusters and (config.gate is not None or config.metric != "pass@1" or config.subsets):
        raise UsageError("--clusters compares pass@1, and has no gate", hint="leave --metric, --gate and --subsets out")
    if not config.clusters and (config.plot or config.filters):
        raise UsageError("--plot and --filters are for --clusters", hint="ns compare DATA --clusters")
    if len(config.runs) < 2 and not config.clusters:
        raise UsageError("two runs are needed", hint="ns compare OUTPUT_DIR_A OUTPUT_DIR_B")
    if config.format not in ("text", "markdown", "json"):
        raise UsageError(f"--format={config.format}: {suggest(config.format, ('text', 'markdown', 'json'))}")
    if not _MODE.fullmatch(config.metric):
        raise UsageError(f"--metric={config.metric}: expected pass@1, pass@K or majority@K")
    if config.gate is not None and not 0 <= config.gate < 1:
        raise UsageError(f"--gate={config.gate}: expected a share such as 0.02, which allows a drop of two points")


def compared(tables: Sequence[Values], level: float) -> list[Pair]:
    """Every pair of runs on every benchmark; Holm over the whole family."""
    raw = [
        (table, first, second, found)
        for table in tables
        for (first, second), found in differences(table.runs, table.clusters, level).items()
    ]
    adjusted = holm([found.p for *_, found in raw])
    return [
        Pair(table.benchmark, first, second, found, p, table.rated)
        for (table, first, second, found), p in zip(raw, adjusted, strict=True)
    ]


def _values(config: CompareConfig, labels: Sequence[str]) -> list[Values]:
    loaded = []
    for run in config.runs:
        found = discover(Path(run), config.benchmarks).benchmarks
        loaded.append({item.name: samples(load_scores(item.folder)) for item in found})
    shared = [name for name in loaded[0] if all(name in run for run in loaded)]
    if all(len(run) == 1 for run in loaded) and not shared:
        # Folders of one benchmark each, under names of their own.
        shared = [next(iter(loaded[0]))]
        loaded = [{shared[0]: next(iter(run.values()))} for run in loaded]
    if not shared:
        raise DataError(
            f"no benchmark is in all of {', '.join(labels)}", hint="ns summarize_results RUN lists what one holds"
        )
    matched = [(name, [run[name] for run in loaded]) for name in shared]
    if config.subsets:
        parts = [part for name, runs in matched for part in _subsets(name, runs)]
        if not parts:
            raise UsageError(f"--subsets: {', '.join(shared)} has none", hint="leave it out")
        matched += parts
    return [aligned(name, runs, labels, config) for name, runs in matched]


def _subsets(name: str, runs: Sequence[Samples]) -> Iterator[tuple[str, list[Samples]]]:
    """Each subset that every run has, under its name in the tables, and its questions in each run."""
    shared = set.intersection(*({subset for subset in run.subsets if subset} for run in runs))
    for subset in sorted(shared):
        yield f"{name}-{subset}", [run.only(np.array([own == subset for own in run.subsets])) for run in runs]


def aligned(name: str, runs: Sequence[Samples], labels: Sequence[str], config: CompareConfig) -> Values:
    """The question values of all runs in the order of the first; questions are matched by their content.

    Raises:
        DataError: questions that not every run has, unless `common`; no question that all have a value for.
    """
    score = config.score or next(iter(runs[0].values))
    keys = [_keys(run) for run in runs]
    common = set.intersection(*(set(own) for own in keys))
    for own, label in zip(keys, labels, strict=True):
        extra = [key for key in own if key not in common]
        if extra and not config.common:
            shown = next(run.names[found[extra[0]]] for run, found in zip(runs, keys, strict=True) if extra[0] in found)
            raise DataError(
                f"{name}: {label} answers {len(extra)} of its {len(own)} questions alone, such as `{shown}`; questions are "
                "matched by the hash of problem and expected answer",
                hint=f"--common compares the {len(common)} that all runs have" if common else "these are other questions",
            )
    columns = [_column(run, score, config.metric, label) for run, label in zip(runs, labels, strict=True)]
    order = [key for key in keys[0] if key in common]
    matrix = np.array([[column[own[key]] for key in order] for column, own in zip(columns, keys, strict=True)])
    known = ~np.isnan(matrix).any(axis=0) if len(order) else np.zeros(0, np.bool_)
    if not known.any():
        raise DataError(f"{name}: no question has a value of {config.metric} in every run", hint="try a smaller k")
    kept = [order[at] for at in np.flatnonzero(known)]
    clusters = np.unique([runs[0].clusters[keys[0][key]] for key in kept], return_inverse=True)[1]
    every = set.union(*(set(own) for own in keys))
    return Values(
        benchmark=name,
        score=score,
        names=tuple(runs[0].names[keys[0][key]] for key in kept),
        runs=tuple(row[known] for row in matrix),
        clusters=None if len(np.unique(clusters)) == len(kept) else clusters,
        left_out=len(every) - len(kept),
        rated=score in runs[0].rated,
        scale=runs[0].rated.get(score),
    )


def _keys(run: Samples) -> dict[tuple[str, int], int]:
    """Content hash and its how-manieth occurrence -> question number: data sets do repeat questions."""
    seen: dict[str, int] = {}
    keys = {}
    for number, hashed in enumerate(run.hashes):
        seen[hashed] = seen.get(hashed, -1) + 1
        keys[hashed, seen[hashed]] = number
    return keys


def _column(run: Samples, score: str, metric: str, label: str) -> Floats:
    if score not in run.values:
        raise UsageError(f"{label} has no score `{score}`, {suggest(score, run.values)}")
    mode = _MODE.fullmatch(metric)
    assert mode is not None
    seeded = run.where(run.seed != GREEDY)
    k = int(mode["k"])
    item = per_question(seeded if len(seeded.question) else run, score, vote=k > 1 and mode["kind"] != "pass")
    if k == 1:
        return item.mean
    curve = item.passed if mode["kind"] == "pass" else item.voted
    if k >= curve.shape[1]:
        raise UsageError(f"--metric={metric}: {label} has {curve.shape[1] - 1} samples a question")
    column: Floats = curve[:, k]
    return column


def _text(config: CompareConfig, labels: Sequence[str], table: Values, pairs: Sequence[Pair]) -> str:
    alpha = 1 - config.level
    signs = letters(len(labels), [(pair.first, pair.second) for pair in pairs if pair.adjusted < alpha])
    head = f"{table.benchmark}: {config.metric} of {table.score}, {len(table.names)} questions"
    first = [["run", "value", f"{100 * config.level:g}% interval", *(["group"] if len(labels) > 2 else [])]]
    for label, values, sign in zip(labels, table.runs, signs, strict=True):
        ends = interval(values, Interval(level=config.level), table.clusters, table.scale)
        low, high = ends or (None, None)
        shown = "n/a" if ends is None else f"{amount(low, rated=table.rated)} to {amount(high, rated=table.rated)}"
        first.append([label, amount(float(values.mean()), rated=table.rated), shown, *([sign] if len(labels) > 2 else [])])
    second = [["pair", "difference", "interval", "p", "p (Holm)", "wins/ties/losses", "detectable", "verdict"]]
    second += [_line(pair, labels, alpha) for pair in pairs]
    notes = [f"left out: {table.left_out} questions that not every run has a value for"] if table.left_out else []
    notes.append(f"p: {pairs[0].found.test}; detectable: what would be found with 80% power; signs: first run minus second")
    if config.format == "markdown":
        return f"**{head}**\n\n{_markdown(first)}\n{_markdown(second)}\n{' · '.join(notes)}\n\n"
    return (
        _plain(head, first)
        + _plain(f"{table.benchmark}: differences", second).rstrip("\n")
        + "\n"
        + "\n".join(notes)
        + "\n\n\n"
    )


def _line(pair: Pair, labels: Sequence[str], alpha: float) -> list[str]:
    found, rated = pair.found, pair.rated
    ends = "n/a" if found.low is None else f"{_signed(found.low, rated=rated)} to {_signed(found.high, rated=rated)}"
    better = labels[pair.first] if found.value > 0 else labels[pair.second]
    return [
        f"{labels[pair.first]} - {labels[pair.second]}",
        _signed(found.value, rated=rated),
        ends,
        f"{found.p:.4f}",
        f"{pair.adjusted:.4f}",
        f"{found.wins}/{found.ties}/{found.losses}",
        amount(found.detectable, rated=rated),
        f"{better} is better" if pair.adjusted < alpha else "no difference found",
    ]


def _signed(value: float | None, *, rated: bool) -> str:
    shown = amount(value, rated=rated)
    # What rounds to nothing has no sign.
    return shown if value is None or (value < 0 and shown.strip("-0.%")) else f"+{shown.lstrip('-')}"


def _plain(title: str, lines: Sequence[Sequence[str]]) -> str:
    return grid(title, lines, [max(map(len, column)) for column in zip(*lines, strict=True)])


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(lines[0])
    return "".join("| " + " | ".join(line) + " |\n" for line in (lines[0], rule, *lines[1:]))


def _as_json(config: CompareConfig, labels: Sequence[str], tables: Sequence[Values], pairs: Sequence[Pair]) -> str:
    found: list[Mapping[str, object]] = [
        {
            "benchmark": table.benchmark,
            "score": table.score,
            "metric": config.metric,
            "questions": len(table.names),
            "left_out": table.left_out,
            "runs": {label: float(values.mean()) for label, values in zip(labels, table.runs, strict=True)},
            "pairs": [
                {"first": labels[pair.first], "second": labels[pair.second], "p_holm": pair.adjusted} | asdict(pair.found)
                for pair in pairs
                if pair.benchmark == table.benchmark
            ],
        }
        for table in tables
    ]
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
