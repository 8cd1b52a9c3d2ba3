"""`ns summarize_results`: the tables of one or more runs, and their metrics.json."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec

from ns_eval.arguments import Spellings
from ns_eval.errors import CoverageError, UsageError, suggest
from ns_eval.files import write_text
from ns_eval.schema import positional
from ns_eval.scores import Scores, load
from summarize.coverage import Coverage
from summarize.discover import Found, Results, discover, run_folders
from summarize.extended import extended
from summarize.groups import grouped
from summarize.intervals import Interval
from summarize.metrics import Metrics, metrics
from summarize.questions import Samples, Selection, samples
from summarize.render import as_csv, classic, detail, latex, markdown
from summarize.selected import is_selection, joined, selected, selection_of
from summarize.tables import Options, Table, tables

_FORMATS = ("text", "classic", "markdown", "json", "csv", "latex")
_CLUSTERS = ("judge", "literal")
_log = logging.getLogger(__name__)


@dataclass
class ResultsConfig:
    """Print pass@k, majority@k and their errors from the folders of one or more runs.

    Examples:
        ns summarize_results out
        ns summarize_results out/eval-results/aime24 --metric_type=math --cluster=local
        ns summarize_results out --k=1,4,16,64 --format=markdown
        ns summarize_results run-a run-b --benchmarks=aime24 --plot=aime24.png
    """

    results_dirs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, ours or NeMo-Skills', or folders of one benchmark."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    format: str = "text"
    """text, classic (the first table only), markdown, json, csv or latex."""
    columns: list[str] = field(default_factory=list)
    """Only these scores, such as judge_correct, score_bleu, no_answer."""
    k: list[int] = field(default_factory=list)
    """The k of majority@k and pass@k that are printed. Default: the number of samples. metrics.json holds all."""
    interval: str = "wilson"
    """wilson (with the effective n), t, normal, clopper-pearson, jeffreys, uniform or bootstrap."""
    level: float = 0.95
    """The confidence level of the intervals."""
    clusters: str = "judge"
    """Which answers are one answer in a vote: judge (those it calls equal) or literal (equal text)."""
    min_coverage: float = 0.98
    """Exit with 6 where a smaller share of the expected samples is graded."""
    max_samples: int = -1
    """Only the first N questions of each benchmark; -1: all."""
    max_seq_len: int | None = None
    """Count every answer of more tokens as wrong."""
    labels: str | None = None
    """Human labels of judged samples, JSON lines of id, seed and label: the judge is compared with them."""
    plot: str | None = None
    """Draw pass@k, majority@k, length and truncation into this file: .png, .svg or .html."""
    save_metrics_path: str | None = None
    """Where metrics.json goes. Default: into the results folder."""
    metric_type: str | None = None
    """Accepted for older scripts: which scores there are is read from the results."""
    cluster: str | None = None
    """Accepted for older scripts: results are read where they are, on this machine or a shared file system."""
    verbose: bool = True
    """Print the second table, which holds errors and coverage; false is --format=classic."""


RESULTS_SPELLINGS = Spellings(
    aliases={"results_dir": "results_dirs"},
    ignored={
        "config_dir": "results are read where they are",
        "remote_tar_dir": "results are read where they are",
        "mount_paths": "results are read where they are",
        "extra_datasets": "which scores there are is read from the results",
        "extra_datasets_type": "which scores there are is read from the results",
        "data_dir": "which scores there are is read from the results",
        "debug": "a summary prints all it knows",
    },
    refused={
        "wandb_name": "metrics.json holds every number; log it from there",
        "wandb_group": "metrics.json holds every number; log it from there",
        "wandb_project": "metrics.json holds every number; log it from there",
        "metrics_kwargs": "the switches are --k, --interval, --columns, --clusters and --max_seq_len",
    },
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One benchmark: where it lies, its small table and the samples made of it; `tables` is the whole, then its subsets."""

    found: Found
    scores: Scores
    samples: Samples
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is printed of one results_dir: its benchmarks, and the tables of groups of them."""

    results: Results
    loaded: tuple[Loaded, ...]
    groups: tuple[Table, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for item in self.loaded for table in item.tables)


def main(config: ResultsConfig) -> int:
    """Prints the tables.

    Raises:
        CoverageError: less than min_coverage of a benchmark is graded; the tables are printed before.
    """
    _check(config)
    found = list(summaries(config))
    printed = [table for summary in found for table in (*summary.tables, *summary.groups)]
    saved = _save(config, found)
    if config.format != "json":
        print(rendered(config, printed), end="")
    if config.format == "text":
        from summarize.trust import reports

        every = [(item.tables[0].name, item.found) for summary in found for item in summary.loaded]
        print(reports(every, Path(config.labels) if config.labels else None), end="")
    if config.plot is not None:
        from summarize.plots import draw

        draw(Path(config.plot), [table for table in printed if table.curves])
        saved.insert(0, f"The picture is {config.plot}")
    # What a program reads must hold nothing else.
    for line in saved:
        print(line, file=sys.stderr if config.format in ("json", "csv") else sys.stdout)
    for summary in found:
        _require_coverage(summary, config.min_coverage)
    return 0


def _check(config: ResultsConfig) -> None:
    if not config.results_dirs:
        raise UsageError("which results?", hint="ns summarize_results OUTPUT_DIR")
    for name, value, known in (("format", config.format, _FORMATS), ("clusters", config.clusters, _CLUSTERS)):
        if value not in known:
            raise UsageError(f"--{name}={value}: {suggest(value, known)}")
    wrong = [k for k in config.k if k < 1]
    if wrong:
        raise UsageError(f"--k={wrong[0]}: expected numbers of samples from 1")


def summaries(config: ResultsConfig) -> Iterator[Summary]:
    """What is printed of each results_dir, in the order given.

    Raises:
        DataError: no results there, or files that cannot be read.
    """
    options = Options(tuple(config.k), Interval(config.interval, config.level))
    paths = [run for path in config.results_dirs for run in run_folders(Path(path))]
    for label, path in zip(labels := run_labels(paths), paths, strict=True):
        results = discover(path, config.benchmarks)
        loaded = []
        wholes: list[tuple[str, Table]] = []
        for item in results.benchmarks:
            scores = load_scores(item.folder)
            name = f"{label}: {item.name}" if len(labels) > 1 else item.name
            found = _samples(config, scores)
            every = [
                replace(table, extended=extended(item.folder, table.samples))
                for table in tables(name, found, scores.meta, options)
            ]
            loaded.append(Loaded(item, scores, found, _with_selection(every, item, config, options)))
            wholes.append((name, loaded[-1].tables[0]))
        yield Summary(results, tuple(loaded), tuple(grouped(wholes, config.level)))


def _with_selection(made: Sequence[Table], item: Found, config: ResultsConfig, options: Options) -> tuple[Table, ...]:
    """The tables, with the row of a model's choice among the samples where one was made."""
    if is_selection(item.folder):
        return tuple(selected(table, item.folder) for table in made)
    folder = selection_of(item)
    if folder is None:
        return tuple(made)
    scores = load_scores(folder)
    name = made[0].name.removesuffix("-all") if len(made) > 1 else made[0].name
    return joined(made, tables(name, _samples(config, scores), scores.meta, options), folder)


def load_scores(folder: Path) -> Scores:
    """The scores table of a folder; where it must be made anew, the judge says which answers are equal."""
    from summarize.equality import judged_equality

    with judged_equality(folder) as same:
        return load(folder, same)


def run_labels(paths: Sequence[Path]) -> list[str]:
    """A short name for each run: the last part of its path that tells it from the others."""
    resolved = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, resolved)) + 1):
        labels = ["/".join(parts[-depth:]) for parts in resolved]
        if len(set(labels)) == len(labels):
            return labels
    return [str(path) for path in paths]


def _samples(config: ResultsConfig, scores: Scores) -> Samples:
    return samples(scores, Selection(config.clusters == "literal", config.max_samples, config.max_seq_len))


def rendered(config: ResultsConfig, printed: Sequence[Table]) -> str:
    """The tables in the form that is asked for; JSON is metrics.json's business."""
    if config.format in ("markdown", "latex", "csv"):
        return {"markdown": markdown, "latex": latex, "csv": as_csv}[config.format](printed, config.columns)
    text = "".join(classic(table, config.columns) for table in printed)
    if config.max_seq_len is not None:
        text = f" Metrics for Max Sequence Length {config.max_seq_len} ".center(80, "-") + "\n" + text
    if config.format == "classic" or not config.verbose:
        return text
    text += "".join(detail(table, config.level, config.columns) for table in printed)
    return text + f"errors: {Interval(config.interval, config.level).described}; docs/statistics.md says how each is made\n"


def _save(config: ResultsConfig, summaries: Sequence[Summary]) -> list[str]:
    """Writes metrics.json of each run, or of all into the one file that was named."""
    settings = {
        name: value for name, value in asdict(config).items() if name not in ("plot", "save_metrics_path", "verbose")
    }
    if config.save_metrics_path is not None:
        every = metrics([table for summary in summaries for table in (*summary.tables, *summary.groups)], settings)
        files: dict[Path, Metrics] = {Path(config.save_metrics_path): every}
    else:
        files = {summary.results.metrics: metrics((*summary.tables, *summary.groups), settings) for summary in summaries}
    lines = []
    for path, found in files.items():
        text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
        if config.format == "json":
            print(text, end="")
        try:
            write_text(path, text)
            lines.append(f"Metrics are saved to {path}")
        except OSError as error:
            _log.warning("%s cannot be written (%s): --save_metrics_path names another place", path, error.strerror)
    return lines


def _require_coverage(summary: Summary, least: float) -> None:
    for table, item in [(table, own.found) for own in summary.loaded for table in own.tables]:
        covered = table.coverage
        if covered.share >= least:
            continue
        names = {seed: "output.jsonl" if seed < 0 else f"output-rs{seed}.jsonl" for seed, _ in covered.partial[:3]}
        short = ", ".join(f"{names[seed]} has {count} of {covered.questions}" for seed, count in covered.partial[:3])
        raise CoverageError(
            f"{table.name}: {covered.graded} of {covered.expected} samples are graded ({100 * covered.share:.1f}%), "
            f"--min_coverage asks for {100 * least:g}%{f': {short}' if short else ''}",
            hint=_finish(item, covered),
        )


def _finish(item: Found, covered: Coverage) -> str:
    """What completes the benchmark: the command that asks the rest, or another judge where that has nothing to ask."""
    if covered.graded + covered.judge_missing == covered.expected and (item.folder / "judging.json").exists():
        return (
            "the judge gave no verdict on the others, `judging` in their rows says why: judge with another one into another "
            "folder, or again with --rerun_done; --min_coverage=0 takes it as it is"
        )
    command = None if item.run is None else _command(item.run, item.name)
    if command is None:
        return "run the same evaluation again, it asks what is missing; or --min_coverage=0 takes it as it is"
    return f"{command}    finishes the run; --min_coverage=0 takes it as it is"


def _command(run: Path, benchmark: str) -> str | None:
    """The last command that asked this benchmark; None where nobody recorded one that can be read."""
    from ns_eval.manifest import read

    with contextlib.suppress(Exception):
        return next(entry.command for entry in reversed(read(run).commands) if benchmark in entry.benchmarks)
    return None
